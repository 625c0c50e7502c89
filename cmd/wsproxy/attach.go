package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
	"github.com/wsproxy/wsproxy/ui"
)

func attachCmd() *cobra.Command {
	var o outputFlags
	cmd := &cobra.Command{
		Use:   "attach [WHICH]",
		Short: "Show what a running wsproxy sees, read-only",
		Long: `Show the traffic of a wsproxy that runs in another terminal, from its temporary
recording: on the screen, as lines or as JSON. Nothing can be changed from here,
and any number may look on. Where several run, WHICH is a part of the address or
the target of one of them. A run with --record FILE is shown by wsproxy show
--follow FILE.`,
		Example: `  wsproxy attach
  wsproxy attach 8080
  wsproxy attach --plain`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := findRun(strings.Join(args, ""))
			if err != nil {
				return err
			}
			if o.screen(cmd.OutOrStdout()) {
				lowerPriority() // who looks on does not slow what is looked at
			}
			v := &view{flags: o, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), path: t.Path,
				live:    func() <-chan struct{} { return record.Poll(cmd.Context(), t.Path) },
				options: ui.Options{Title: inspect.Visible([]byte(t.Title), 0) + " (attached)", Save: saveFrom(t.Path)}}
			err = v.watch(cmd.Context(), cmd.Context())
			v.summary(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return interrupted(cmd.Context())
		},
	}
	o.register(cmd)
	return cmd
}

// findRun is the one running wsproxy whose title has the words in it.
func findRun(which string) (record.Temporary, error) {
	const hint = "a run with --record FILE is shown by wsproxy show --follow FILE"
	dir, err := temporaryDir()
	if err != nil {
		return record.Temporary{}, err
	}
	all, err := record.Temporaries(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return record.Temporary{}, failf("", "%s: %v", dir, cause(err))
	}
	var found []record.Temporary
	for _, t := range all {
		if t.Live && strings.Contains(t.Title, which) {
			found = append(found, t)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0 && which == "":
		return record.Temporary{}, failf(hint, "no wsproxy is running here with a temporary recording")
	case len(found) == 0:
		return record.Temporary{}, failf(hint, "no wsproxy is running here for %q", which)
	}
	var titles []string
	for _, t := range found {
		titles = append(titles, "\n  "+inspect.Visible([]byte(t.Title), 0))
	}
	return record.Temporary{}, usagef("wsproxy attach with a part of one of them", "%d of them are running:%s", len(found), fmt.Sprint(strings.Join(titles, "")))
}

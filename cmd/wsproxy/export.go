package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/record"
	"github.com/wsproxy/wsproxy/record/export"
)

// exportFlags are the flags of export.
type exportFlags struct {
	format, out string
	force       bool
	quiet       bool
}

func exportCmd() *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:   "export FILE -o OUT",
		Short: "Write a recording in another form",
		Long: `Write a recording in another form: one that wsproxy made, compressed or not, a
temporary one that a killed run left (its folder), or a capture of plain ws://
traffic. A recording that is pcapng already is copied byte for byte. The format
is the one that OUT's name ends in, unless --format says another:

` + formatTable(),
		Example: `  wsproxy export session.pcapng -o session.pcapng.zst
  wsproxy export ~/.cache/wsproxy/wsproxy-1234 -o session.pcapng
  wsproxy export session.pcapng.gz --format pcapng -o session`,
		Args: exactly(1, "one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runExport(cmd, f, args[0])
		},
	}
	s := cmd.Flags()
	s.StringVar(&f.format, "format", "", "the `FORMAT` to write: "+strings.Join(formatNames(), ", "))
	s.StringVarP(&f.out, "out", "o", "", "the file to write, `OUT`")
	s.BoolVarP(&f.force, "force", "f", false, "overwrite OUT")
	s.BoolVarP(&f.quiet, "quiet", "q", false, "print nothing but errors")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formatNames(), cobra.ShellCompDirectiveNoFileComp)) // fails only for an unknown flag
	return cmd
}

func formatNames() (names []string) {
	for _, f := range export.Formats() {
		names = append(names, f.Name)
	}
	return names
}

func formatTable() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, f := range export.Formats() {
		fmt.Fprintf(w, "  %s\t%s\n", f.Name, f.Doc)
	}
	_ = w.Flush() // into memory
	return strings.TrimRight(b.String(), "\n")
}

// chosenFormat is the format that the flags ask for.
func (f *exportFlags) chosenFormat() (export.Format, error) {
	names := strings.Join(formatNames(), ", ")
	switch {
	case f.out == "":
		return export.Format{}, usagef("wsproxy export FILE -o session.pcapng.zst", "-o says which file to write")
	case f.format != "":
		format, ok := export.Named(f.format)
		if !ok {
			return format, usagef("the formats are "+names, "there is no format %q", f.format)
		}
		return format, nil
	}
	format, ok := export.ForFile(f.out)
	if !ok {
		return format, usagef("--format with one of "+names, "the name %s says no format", f.out)
	}
	return format, nil
}

func runExport(cmd *cobra.Command, f exportFlags, from string) error {
	format, err := f.chosenFormat()
	if err != nil {
		return err
	}
	o := record.SaveOptions{Force: f.force, Version: version, Write: format.Write}
	if !f.quiet {
		o.Progress = progressOf(cmd.ErrOrStderr(), "exporting "+filepath.Base(from))
	}
	saved, err := record.Save(cmd.Context(), from, f.out, o)
	if cmd.Context().Err() != nil {
		return interrupted(cmd.Context())
	}
	return f.exported(cmd.ErrOrStderr(), from, saved, err)
}

// exported says what became of an export.
func (f *exportFlags) exported(stderr io.Writer, from string, saved record.Saved, err error) error {
	var exists *record.ExistsError
	var locked *record.LockedError
	var torn *record.TornError
	var damaged *record.DamagedError
	switch {
	case errors.As(err, &exists):
		return failf("--force overwrites it", "%s exists already", f.out)
	case errors.As(err, &locked):
		return failf("", "another wsproxy is writing %s", f.out)
	case errors.As(err, &torn) || errors.As(err, &damaged):
		fmt.Fprintf(stderr, "wsproxy: warning: %s: %v; what is whole is in %s\n", from, err, f.out)
	case errors.As(err, new(*cassette.SessionError)):
		return failf("wsproxy show "+shellWord(from)+" shows what there is", "%s: %v", from, err)
	case err != nil:
		return fileError(from, err)
	}
	if saved.Lapped > 0 {
		fmt.Fprintf(stderr, "wsproxy: warning: %s of the temporary recording were written over before they were read\n", size(saved.Lapped))
	}
	if format, _ := f.chosenFormat(); !f.quiet && !format.Recording {
		fmt.Fprintf(stderr, "exported to %s\n", f.out)
	} else if !f.quiet {
		fmt.Fprintf(stderr, "exported to %s; look again: wsproxy show %s\n", f.out, shellWord(f.out))
	}
	return nil
}

// progressOf tells how far something is, once a second, if it takes that long.
func progressOf(stderr io.Writer, what string) func(read, total int64) {
	told := time.Now()
	return func(read, total int64) {
		if now := time.Now(); total > 0 && now.Sub(told) >= time.Second {
			told = now
			fmt.Fprintf(stderr, "wsproxy: %s: %d %%\n", what, min(read*100/total, 100))
		}
	}
}

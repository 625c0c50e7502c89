package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func configCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check or write a configuration file",
		Long: `wsproxy -c FILE takes listeners, their targets and flags from a TOML file.
config check says what is wrong with one, or what would listen where; config
example prints one with every key.`,
		Args: exactly(0, "check FILE, or example"),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use: "check FILE", Short: "Say what is wrong with a file, or what would listen where",
		Args: exactly(1, "a FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return checkConfig(cmd, args[0]) },
	}, &cobra.Command{
		Use: "example", Short: "Print a configuration file with every key",
		Example: "  wsproxy config example > wsproxy.toml",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			printExample(cmd.OutOrStdout(), cmd.Root())
			return nil
		},
	}, &cobra.Command{
		Use: "keys", Short: "Print the table of all keys", Hidden: true,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			printKeys(cmd.OutOrStdout(), cmd.Root())
			return nil
		},
	})
	return cmd
}

// planOf reads a file and plans what it says. The error is that the file cannot be
// read, or that it is wrong, which has been said then.
func planOf(cmd *cobra.Command, path string, over *pflag.FlagSet) (rootFlags, []*door, error) {
	file, err := readConfig(path)
	if err != nil {
		return rootFlags{}, nil, err
	}
	p := &plan{file: file, over: over}
	var run rootFlags
	var doors []*door
	if len(file.bad) == 0 {
		p.commands(cmd)
		run = p.run()
		doors = p.doors()
		p.loops(doors)
	}
	return run, doors, told(cmd, file)
}

// told says everything that is wrong with a file; nil if nothing is.
func told(cmd *cobra.Command, file *configFile) error {
	for _, line := range file.wrong() {
		fmt.Fprintf(cmd.ErrOrStderr(), "wsproxy: error: %s\n", line)
	}
	if len(file.bad) == 0 {
		return nil
	}
	return &exitError{code: exitUsage, hint: "wsproxy config example prints a file with every key"}
}

// checkConfig is `wsproxy config check`.
func checkConfig(cmd *cobra.Command, path string) error {
	run, doors, err := planOf(cmd, path, pflag.NewFlagSet("none", pflag.ContinueOnError))
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	for _, d := range doors {
		d.foretell(w)
	}
	switch {
	case run.record != "":
		fmt.Fprintf(w, "recorded to %s\n", run.record)
	case run.noRecord:
		fmt.Fprintln(w, "nothing is recorded")
	default:
		fmt.Fprintf(w, "recorded for as long as it runs, the newest %s\n", run.keep)
	}
	return nil
}

// foretell says where a door would listen, and what is behind it.
func (d *door) foretell(w io.Writer) {
	if len(d.flags.listen) == 0 {
		fmt.Fprintf(w, "%s -> %s\n", d.url("tcp", "127.0.0.1:8080", false)+" or the next free port", d.goal())
	}
	for i, addr := range append(append([]string{}, d.flags.listen...), d.flags.socks...) {
		network, at, err := parseListen(addr)
		if err != nil {
			continue // it was said
		}
		fmt.Fprintf(w, "%s -> %s\n", d.url(network, at, i >= len(d.flags.listen)), d.goal())
	}
	if d.flags.access.auth != "" || len(d.flags.access.allow) > 0 {
		var who []string
		if len(d.flags.access.allow) > 0 {
			who = append(who, "from this machine and "+strings.Join(d.flags.access.allow, ", "))
		}
		if d.flags.access.auth != "" {
			who = append(who, "who know the password")
		}
		fmt.Fprintf(w, "  for clients %s\n", strings.Join(who, ", "))
	}
	d.list(w)
}

// runConfig is `wsproxy -c FILE`, perhaps with targets.
func runConfig(cmd *cobra.Command, f rootFlags, args []string) error {
	if len(args) > 0 {
		if err := applyConfig(cmd); err != nil {
			return err
		}
		return runReverse(cmd, f, args)
	}
	run, doors, err := planOf(cmd, f.config, cmd.Flags())
	if err != nil {
		return err
	}
	for _, d := range doors {
		if d.flags.forward == nil {
			continue
		}
		authority, err := openCA()
		if err != nil {
			return err
		}
		d.flags.forward.Leaf = authority.Leaf
		run.output.exchanges = true
		if !run.output.quiet {
			fmt.Fprintf(cmd.ErrOrStderr(), "clients of the forward proxy must trust %s (wsproxy ca env prints how)\n", authority.Path())
		}
	}
	p, err := startDoors(cmd, run, doors)
	if err != nil {
		return err
	}
	return p.watchUntilEnd(cmd.Context())
}

// applyConfig sets the flags of a command that says itself what it stands in front of
// from the file of -c, if there is one: those that the command line does not have.
func applyConfig(cmd *cobra.Command) error {
	flag := cmd.Flags().Lookup("config")
	if flag == nil || flag.Value.String() == "" {
		return nil
	}
	file, err := readConfig(flag.Value.String())
	if err != nil {
		return err
	}
	p := &plan{file: file, over: cmd.Flags()}
	for _, name := range []string{"listeners", "mode", "target", "targets"} {
		if e := file.top.get(name); e != nil {
			if cmd.HasParent() {
				file.say(e.at, "%s is for wsproxy -c %s, not for %s", name, filepath.Base(file.path), cmd.CommandPath())
			} else {
				file.say(e.at, "%s does not go together with a TARGET on the command line", name)
			}
		}
	}
	own := p.commands(cmd)
	p.check(file.top, atTop, p.settings().flags)
	if err := told(cmd, file); err != nil {
		return err
	}
	p.set(cmd.Flags(), file.top)
	p.set(cmd.Flags(), own)
	return nil
}

// commands takes the tables of single commands out of the file, checks them, and
// answers that of cmd.
func (p *plan) commands(cmd *cobra.Command) (own *table) {
	top := p.file.top
	own = &table{at: top.at}
	for _, c := range configurable(cmd.Root())[1:] {
		i := slices.IndexFunc(top.keys, func(e entry) bool { return e.name == c.Name() && e.value.table != nil })
		if i < 0 {
			continue
		}
		t := top.keys[i].value.table
		p.check(t, inCommand, c.Flags())
		if c == cmd {
			own = t
		}
		top.keys = slices.Delete(top.keys, i, i+1)
	}
	return own
}

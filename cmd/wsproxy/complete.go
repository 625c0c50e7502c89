package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is how wide a help text is, in columns.
const helpWidth = 80

// The words with which a shell completes arguments and flags. What ends with a
// colon or a slash goes on.
var (
	targetWords  = []string{"ws://localhost:", "wss://", "http://localhost:", "https://", "tcp://localhost:", "unix:/", "ws+unix:/"}
	browserWords = []string{"chromium", "firefox"}
	flagWords    = map[string][]string{
		"http":           {"auto", "1.1", "2"},
		"legs":           {"client", "both"},
		"store":          {"system", "nss", "java"},
		"to":             {"ws://localhost:", "wss://"},
		"listen":         {"127.0.0.1:", "https://127.0.0.1:", "tcp://127.0.0.1:", "unix:/", "ws+unix:/"},
		"socks":          {"127.0.0.1:1080"},
		"upstream-proxy": {"http://", "https://", "socks5://", "direct"},
		"keep":           {"256MiB", "1GiB", "4GiB"},
	}
	// flagsOfFiles are those that a shell completes with the names of files.
	flagsOfFiles = []string{"out", "keylog", "client-cert", "keys"}
)

// helpful makes help texts fit a terminal, and tells the shell how to complete what
// no command has told it itself.
func helpful(root *cobra.Command) {
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", ".FlagUsagesWrapped 80"))
	for _, cmd := range append(root.Commands(), root) {
		for _, c := range append(cmd.Commands(), cmd) {
			c.Flags().VisitAll(func(f *pflag.Flag) {
				_, named := f.Annotations[cobra.BashCompFilenameExt]
				if named || f.Value.Type() == "bool" || slices.Contains(flagsOfFiles, f.Name) {
					return
				}
				_ = c.RegisterFlagCompletionFunc(f.Name, words(flagWords[f.Name])) // fails where the command has told it
			})
		}
	}
}

// words completes with some of a few words.
func words(all []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		var some []string
		how := cobra.ShellCompDirectiveNoFileComp
		for _, w := range all {
			if strings.HasPrefix(w, begun) {
				if some = append(some, w); strings.HasSuffix(w, ":") || strings.HasSuffix(w, "/") {
					how |= cobra.ShellCompDirectiveNoSpace
				}
			}
		}
		if len(some) == 1 && strings.HasSuffix(some[0], "unix:/") {
			how = cobra.ShellCompDirectiveNoSpace // and then the file
		}
		return some, how
	}
}

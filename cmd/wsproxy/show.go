package main

import (
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/record"
	"github.com/wsproxy/wsproxy/ui"
)

func showCmd() *cobra.Command {
	var o outputFlags
	var follow bool
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Show a recording: on the screen, as lines or as JSON",
		Long: `Show a recording that wsproxy made, or a capture of plain ws:// traffic that
tcpdump or Wireshark made (pcapng or pcap): on the screen in a terminal, otherwise
one line or one JSON object an event.`,
		Example: `  wsproxy show session.pcapng
  wsproxy show --json session.pcapng | jq 'select(.op == "close")'
  wsproxy show --follow session.pcapng    # while another wsproxy writes it`,
		Args: exactly(1, "one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			v := &view{flags: o, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), path: args[0],
				options: ui.Options{Title: filepath.Base(args[0])}}
			if follow {
				v.live = record.Poll(cmd.Context(), args[0])
			}
			if err := v.watch(cmd.Context(), cmd.Context()); err != nil {
				v.summary(cmd.ErrOrStderr())
				return err
			}
			v.summary(cmd.ErrOrStderr())
			return interrupted(cmd.Context())
		},
	}
	o.register(cmd)
	cmd.Flags().BoolVar(&follow, "follow", false, "go on while another wsproxy is writing the file")
	return cmd
}

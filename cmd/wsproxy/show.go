package main

import (
	"fmt"
	"io"
	"maps"
	"net"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
	"github.com/wsproxy/wsproxy/ui"
)

func showCmd() *cobra.Command {
	var o outputFlags
	var follow, explained bool
	var d decodedFlags
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Show a recording: on the screen, as lines or as JSON",
		Long: `Show a recording that wsproxy made, or a capture of plain ws:// traffic that
tcpdump or Wireshark made (pcapng or pcap): on the screen in a terminal, otherwise
one line or one JSON object an event.`,
		Example: `  wsproxy show session.pcapng
  wsproxy show --json session.pcapng | jq 'select(.op == "close")'
  wsproxy show --follow session.pcapng    # while another wsproxy writes it
  wsproxy show --explain --filter 'finding == "error"' session.pcapng`,
		Args: exactly(1, "one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if explained {
				if follow || o.json {
					return usagef("wsproxy show --explain FILE", "--explain prints the frames of a finished recording in words")
				}
				chosen, err := o.chosen()
				if err != nil {
					return err
				}
				if err := explainFrames(cmd.Context(), cmd.OutOrStdout(), args[0], chosen); err != nil {
					return err
				}
				return interrupted(cmd.Context())
			}
			v := &view{flags: o, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), path: args[0],
				options: ui.Options{Title: filepath.Base(args[0])}, ports: portHint{}}
			if d.asked() {
				return d.show(cmd, &o, args[0], follow)
			}
			if follow {
				v.live = func() <-chan struct{} { return record.Poll(cmd.Context(), args[0]) }
			}
			err := v.watch(cmd.Context(), cmd.Context())
			v.summary(cmd.ErrOrStderr())
			if !o.quiet {
				v.ports.print(cmd.ErrOrStderr(), args[0])
			}
			if err != nil {
				return err
			}
			return interrupted(cmd.Context())
		},
	}
	o.register(cmd)
	cmd.Flags().BoolVar(&explained, "explain", false, "take each frame apart, bit by bit, in words")
	d.register(cmd)
	cmd.Flags().BoolVar(&follow, "follow", false, "go on while another wsproxy is writing the file")
	return cmd
}

// foreignPorts are ports whose streams Wireshark takes for another protocol, so
// that it shows no WebSocket unless it is told.
var foreignPorts = map[string]string{"22": "SSH", "1883": "MQTT", "3306": "MySQL", "5432": "PostgreSQL", "5900": "VNC", "6379": "Redis"}

// portHint are the foreign ports of a recording.
type portHint map[string]bool

// see looks at a connection's two servers: wsproxy's listener and the one behind.
func (p portHint) see(c *inspect.Conn) {
	if p == nil {
		return
	}
	addresses := []string{c.Info().Client.Local}
	if peer := c.Peer(); peer != nil {
		addresses = append(addresses, peer.Addr)
	}
	for _, a := range addresses {
		if _, port, err := net.SplitHostPort(a); err == nil && foreignPorts[port] != "" {
			p[port] = true
		}
	}
}

// print says how tshark is told.
func (p portHint) print(w io.Writer, path string) {
	for _, port := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(w, "wsproxy: hint: Wireshark takes port %s for %s; to see the frames there: tshark -d tcp.port==%s,http -r %s\n",
			port, foreignPorts[port], port, shellWord(path))
	}
}

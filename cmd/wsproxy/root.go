package main

import (
	"fmt"
	"io"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/proxy"
	"github.com/wsproxy/wsproxy/record"
	"github.com/wsproxy/wsproxy/ui"
)

// version is what --version prints; the release build sets it with -ldflags -X.
var version = "0.1.0-dev"

const shortHelp = `wsproxy stands between a WebSocket client and its server and shows every frame.

  wsproxy ws://localhost:3000     watch the traffic to that server
  wsproxy show session.pcapng     look at a recording
  wsproxy explain 818537fa213d7f9f4d5158     take a frame apart, bit by bit

wsproxy demo plays it all without a server of yours. wsproxy --help lists every
command and flag.
`

// rootFlags are the flags of a run that proxies.
type rootFlags struct {
	output    outputFlags
	decoded   decodedFlags
	listen    []string
	record    string
	force     bool
	append    bool
	noRecord  bool
	keep      string
	legs      string
	header    []string
	connectTo string
	keepHost  bool
	keepOrig  bool
	allowHost []string
	insecure  bool
	upstream  string
	http      string
	redact    bool
	secure    secureFlags
	access    accessFlags
	config    string // a file that names listeners

	forward *proxy.Forward // nil: a reverse proxy
	private bool           // never for other machines
	socks   []string       // more listeners of a forward proxy
}

// outputFlags choose how events are shown; every command that shows some has them.
type outputFlags struct {
	plain, json, quiet, noColor, exchanges bool
	filter, theme                          string

	silent bool // print the summary alone
}

func (o *outputFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&o.plain, "plain", false, "print one line an event (the default where there is no terminal)")
	f.BoolVar(&o.json, "json", false, "print one JSON object an event")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print nothing but errors")
	f.BoolVar(&o.noColor, "no-color", false, "use no colours (also: NO_COLOR in the environment)")
	f.StringVar(&o.theme, "theme", "", "how the screen looks: `NAME` is "+strings.Join(ui.Themes(), ", ")+" (default: by the terminal's background, where COLORFGBG tells it)")
	f.BoolVar(&o.exchanges, "exchanges", false, "print plain HTTP exchanges too, which are counted otherwise")
	f.StringVar(&o.filter, "filter", "", "print only the frames that `EXPR` chooses, as lines or JSON (wsproxy help filter)")
	_ = cmd.RegisterFlagCompletionFunc("filter", completeFilter) // fails only for an unknown flag
	_ = cmd.RegisterFlagCompletionFunc("theme", cobra.FixedCompletions(ui.Themes(), cobra.ShellCompDirectiveNoFileComp))
	cmd.MarkFlagsMutuallyExclusive("plain", "json", "quiet")
	cmd.MarkFlagsMutuallyExclusive("filter", "quiet")
}

func rootCmd() *cobra.Command {
	var f rootFlags
	cmd := &cobra.Command{
		Use:   "wsproxy [flags] TARGET…",
		Short: "A man-in-the-middle debugging proxy for WebSockets",
		Long: `wsproxy listens, passes every byte between clients and TARGET on unchanged, and
shows each frame. TARGET is the server's URL: ws, wss, http or https. What passed
is recorded as pcapng, which Wireshark opens and wsproxy show reads.

A TARGET of tcp:// makes a bridge: clients speak WebSocket, the server gets the
bytes in their messages. With --listen tcp:// it is the other way round. unix:/path
is a bridge too, and ws+unix:/path a server of WebSockets, behind a Unix socket; both
can be listened on.

Several targets: /path=URL, host=URL or host/path=URL take the requests for that path
and what is below it, or that host; a bare URL takes all others. -c FILE names several
listeners too (wsproxy config example).`,
		Example: `  wsproxy ws://localhost:3000
  wsproxy --listen 127.0.0.1:9001 --plain --record a.pcapng ws://127.0.0.1:9000
  wsproxy --header 'Authorization: Bearer x' wss://api.example.com/v1
  wsproxy /api=http://localhost:4000 /vnc=tcp://localhost:5900 ws://localhost:3000
  wsproxy tcp://localhost:5900
  wsproxy --listen tcp://127.0.0.1:5900 wss://vnc.example.com/websockify`,
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.HasParent() {
				return applyConfig(cmd)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.config != "" {
				return runConfig(cmd, f, args)
			}
			if len(args) > 0 {
				return runReverse(cmd, f, args)
			}
			if cmd.Flags().NFlag() > 0 {
				return usagef("wsproxy ws://localhost:3000", "no TARGET is given")
			}
			_, err := io.WriteString(cmd.OutOrStdout(), shortHelp)
			return err
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef(cmd.CommandPath()+" --help", "%v", err)
	})
	cmd.SetVersionTemplate("wsproxy {{.Version}}\n")
	f.register(cmd)
	cmd.CompletionOptions.HiddenDefaultCmd = false
	cmd.AddCommand(forwardCmd(), runCmd(), browserCmd(), showCmd(), attachCmd(), cassetteCmd(), replayCmd(), diffCmd(), exportCmd(), explainCmd(), decodeCmd(), demoCmd(), caCmd(), configCmd(), versionCmd(), screenCmd(), filterHelp(), keysCmd())
	return cmd
}

func (f *rootFlags) register(cmd *cobra.Command) {
	f.registerRun(cmd)
	f.registerRequests(cmd)
	f.secure.registerDoor(cmd)
	s := cmd.Flags()
	s.StringVar(&f.connectTo, "connect-to", "", "dial `host:port` instead of the target's")
	s.BoolVar(&f.keepHost, "keep-host", false, "pass the client's Host header on")
	s.BoolVar(&f.keepOrig, "keep-origin", false, "pass an Origin or Referer that names wsproxy on")
	s.StringArrayVar(&f.allowHost, "allow-host", nil, "accept requests for this `host` too, repeatable")
}

// registerRequests registers what concerns each request, whoever it is for.
func (f *rootFlags) registerRequests(cmd *cobra.Command) {
	f.secure.registerTLS(cmd)
	f.access.register(cmd)
	s := cmd.Flags()
	s.StringVarP(&f.config, "config", "c", "", "take flags, and where there is no TARGET listeners and targets, from this TOML `FILE`; flags on the command line win (wsproxy config example)")
	_ = cmd.MarkFlagFilename("config", "toml") // fails only for an unknown flag
	s.StringArrayVar(&f.header, "header", nil, "add or replace a request header, `'Name: value'`, repeatable")
	s.BoolVar(&f.insecure, "insecure", false, "do not verify servers' certificates")
	s.StringVar(&f.http, "http", "auto", "`version` of HTTP to speak: auto (HTTP/2 with clients that want it, and for those with servers that have it), 1.1 (nothing else), 2 (with servers, whatever the client speaks)")
	s.StringVar(&f.upstream, "upstream-proxy", "", "reach servers through another proxy: http, https or socks5 `URL`, or direct (default: HTTP_PROXY and the like)")
}

// registerRun registers what every run that proxies has, whatever its target.
func (f *rootFlags) registerRun(cmd *cobra.Command) {
	f.output.register(cmd)
	f.decoded.register(cmd)
	s := cmd.Flags()
	s.StringArrayVar(&f.listen, "listen", nil, "`[scheme://]host:port` to listen on, repeatable; https:// with TLS, tcp:// without WebSocket, ws+unix:/path or unix:/path on a Unix socket; port 0 takes a free one (default: port 8080 or the next free one, on 127.0.0.1 and ::1)")
	s.StringVar(&f.record, "record", "", "record everything to `FILE` (pcapng); without it a temporary recording is kept until the end")
	s.BoolVar(&f.force, "force", false, "overwrite the --record file")
	s.BoolVar(&f.append, "append", false, "add to the --record file")
	s.BoolVar(&f.noRecord, "no-record", false, "record nothing, which leaves nothing to inspect")
	s.StringVar(&f.keep, "keep", "256MiB", "about what `SIZE` of the newest traffic the temporary recording keeps (4MiB at least)")
	s.BoolVar(&f.redact, "redact", false, "leave credentials (Authorization, Cookie, tokens in URLs, …) out of the recording: same length, asterisks")
	s.StringVar(&f.legs, "legs", "client", "which legs are recorded whole: `client` or both")
	cmd.MarkFlagsMutuallyExclusive("record", "no-record")
	cmd.MarkFlagsMutuallyExclusive("redact", "no-record")
	cmd.MarkFlagsMutuallyExclusive("force", "append")
	_ = cmd.MarkFlagFilename("record", "pcapng") // fails only for an unknown flag
}

// version reads --http.
func (f *rootFlags) version() (proxy.HTTP, error) {
	v, ok := map[string]proxy.HTTP{"": proxy.HTTPAuto, "auto": proxy.HTTPAuto, "1.1": proxy.HTTP1, "2": proxy.HTTP2}[f.http]
	if !ok {
		return v, usagef("--http 1.1", "--http is auto, 1.1 or 2, not %s", f.http)
	}
	return v, nil
}

// check reads the flags that are texts with a grammar.
func (f *rootFlags) check() (keep int64, err error) {
	if keep, err = parseSize(f.keep); err != nil {
		return 0, usagef("--keep 256MiB", "--keep: %v", err)
	}
	if keep < record.MinKeep {
		return 0, usagef("--keep 256MiB", "--keep is 4MiB at least, not %s", f.keep)
	}
	if f.legs != "client" && f.legs != "both" {
		return 0, usagef("--legs both", "--legs takes client or both, not %q", f.legs)
	}
	if f.record == "" && (f.force || f.append) && !f.noRecord {
		return 0, usagef("--record FILE --force", "--force and --append say what to do with the --record file")
	}
	return keep, nil
}

// headers reads --header.
func (f *rootFlags) headers() (headers []inspect.HeaderField, err error) {
	for _, h := range f.header {
		name, value, ok := strings.Cut(h, ":")
		if !ok || name == "" || textproto.TrimString(name) != name || strings.ContainsAny(h, "\r\n\x00") {
			return nil, usagef("--header 'Name: value'", "--header %q is no header", h)
		}
		headers = append(headers, inspect.HeaderField{Name: name, Value: textproto.TrimString(value)})
	}
	return headers, nil
}

// parseSize reads 10MB, 256MiB, 1g or a bare number of bytes.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "BbIiKkMmGgTt ")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%q is no size", s)
	}
	factor, ok := map[string]int64{"": 1, "B": 1, "K": 1 << 10, "KB": 1000, "KIB": 1 << 10, "M": 1 << 20, "MB": 1e6, "MIB": 1 << 20,
		"G": 1 << 30, "GB": 1e9, "GIB": 1 << 30, "T": 1 << 40, "TB": 1e12, "TIB": 1 << 40}[strings.ToUpper(strings.TrimSpace(s[len(digits):]))]
	if !ok || n > (1<<62)/factor {
		return 0, fmt.Errorf("%q is no size", s)
	}
	return n * factor, nil
}

func versionCmd() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version",
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "wsproxy", version)
			return err
		},
	}
}

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/decode"
)

// payloadLimit bounds what decode reads.
const payloadLimit = 64 << 20

// decodeFlags are those of wsproxy decode.
type decodeFlags struct {
	as, proto, named, protocols    string
	base64, hex, lines, json, list bool
	fromServer                     bool
}

func decodeCmd() *cobra.Command {
	var f decodeFlags
	cmd := &cobra.Command{
		Use:   "decode",
		Short: "Say what a message means to the application that sent it",
		Long: `Decode the payload of a message from the standard input: Socket.IO, GraphQL, MQTT and
so on, or JSON, MessagePack, CBOR, protobuf and what is packed in them. What it is is
guessed from the bytes unless --as says so. A line end behind a text is left out. The
exit code is 1 if something is not what its protocol asks for.`,
		Example: `  echo '420["sum",2,3]' | wsproxy decode
  echo '82a8...' | wsproxy decode --hex
  wsproxy decode --as mqtt --base64 < payload.b64
  wsproxy decode --list`,
		Args: exactly(0, "its payload from the standard input"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			table, err := protocolTable(f.protocols)
			if err != nil {
				return err
			}
			if f.named != "" && f.proto == "" {
				return usagef("--proto FILE", "--message names a message of a --proto file")
			}
			if f.proto != "" {
				messages, err := schema(cmd.Context(), f.proto, f.named)
				if err != nil {
					return err
				}
				table = table.WithSchema(messages...)
			}
			if f.list {
				return listProtocols(cmd.OutOrStdout(), table)
			}
			return f.run(cmd, table)
		},
	}
	s := cmd.Flags()
	s.StringVar(&f.as, "as", "", "decode as this `PROTOCOL` (--list names them)")
	s.StringVar(&f.proto, "proto", "", "read protobuf by the messages of this .proto `FILE`")
	s.StringVar(&f.named, "message", "", "by this `MESSAGE` of it (default: the one that fits best)")
	s.StringVar(&f.protocols, "protocols", "", "read protocols of your own from `FILE` (default: protocols.toml in wsproxy's configuration folder)")
	s.BoolVar(&f.base64, "base64", false, "the payload is in base64")
	s.BoolVar(&f.hex, "hex", false, "the payload is in hexadecimal")
	s.BoolVar(&f.lines, "lines", false, "each line is a message; > or < and a space in front say who sent it")
	s.BoolVar(&f.fromServer, "from-server", false, "the server sent it")
	s.BoolVar(&f.json, "json", false, "print one JSON object an item")
	s.BoolVar(&f.list, "list", false, "list the protocols")
	cmd.MarkFlagsMutuallyExclusive("base64", "hex")
	_ = cmd.RegisterFlagCompletionFunc("as", completeProtocol) // fails only for an unknown flag
	return cmd
}

func completeProtocol(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	table, err := protocolTable("")
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var all []string
	for _, p := range table.Protocols() {
		if strings.HasPrefix(p.Name, prefix) {
			all = append(all, p.Name+"\t"+p.Title)
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

func listProtocols(out io.Writer, table *decode.Table) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range table.Protocols() {
		fmt.Fprintf(w, "%s\t%s\n", p.Name, p.Title)
	}
	return w.Flush()
}

func (f *decodeFlags) run(cmd *cobra.Command, table *decode.Table) error {
	session := table.Session(nil)
	if f.as != "" {
		if err := session.Force(f.as); err != nil {
			return unknownProtocol(f.as, table)
		}
	}
	in, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), payloadLimit+1))
	switch {
	case err != nil:
		return failf("", "the standard input: %v", cause(err))
	case len(in) > payloadLimit:
		return failf("", "a payload of more than %d MiB is not decoded", payloadLimit>>20)
	case len(in) == 0:
		return usagef(`echo '{"id":1}' | wsproxy decode`, "there is no payload on the standard input")
	}
	messages := [][]byte{in}
	if f.lines {
		messages = bytes.Split(bytes.TrimSuffix(in, []byte("\n")), []byte("\n"))
	}
	out := bufio.NewWriter(cmd.OutOrStdout())
	defer out.Flush()
	odd := 0
	for i, b := range messages {
		m, err := f.message(b)
		if err != nil {
			return err
		}
		m.First, m.Last = uint64(i+1), uint64(i+1)
		for _, it := range session.Message(m) {
			odd += len(it.Findings)
			if err := f.print(out, session, &it); err != nil {
				return err
			}
		}
	}
	if odd > 0 {
		_ = out.Flush() // the findings first; a pipe that nobody reads is told below
		return &exitError{code: exitMismatch}
	}
	return out.Flush()
}

func unknownProtocol(name string, table *decode.Table) error {
	var near []string
	for _, p := range table.Protocols() {
		if strings.Contains(p.Name, name) || strings.Contains(name, p.Name) {
			near = append(near, p.Name)
		}
	}
	hint := "wsproxy decode --list names the protocols"
	if len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return usagef(hint, "there is no protocol %q", name)
}

// message is a payload as people write it.
func (f *decodeFlags) message(b []byte) (*inspect.Message, error) {
	m := &inspect.Message{Dir: inspect.ToServer, Opcode: inspect.OpText}
	if f.fromServer {
		m.Dir = inspect.ToClient
	}
	if f.lines && len(b) > 1 && b[1] == ' ' {
		switch b[0] {
		case '>':
			m.Dir, b = inspect.ToServer, b[2:]
		case '<':
			m.Dir, b = inspect.ToClient, b[2:]
		}
	}
	if f.base64 || f.hex {
		raw, err := frameBytes(string(b), f.base64)
		if err != nil {
			return nil, err
		}
		b = raw
		m.Opcode = inspect.OpBinary
	}
	if utf8.Valid(b) && !slices.Contains(b, 0) {
		m.Opcode = inspect.OpText
		if !f.base64 && !f.hex {
			b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
		}
	} else {
		m.Opcode = inspect.OpBinary
	}
	m.Data, m.Size, m.Wire = b, int64(len(b)), int64(len(b))
	return m, nil
}

func (f *decodeFlags) print(out *bufio.Writer, session *decode.Session, it *decode.Item) error {
	if f.json {
		line := struct {
			Protocol string       `json:"protocol"`
			Item     *decode.Item `json:"item"`
		}{session.Protocol(), it}
		b, err := json.Marshal(line)
		if err != nil {
			return err
		}
		_, _ = out.Write(append(b, '\n')) // bufio keeps the error for Flush
		return nil
	}
	tree := it.Tree
	fmt.Fprintf(out, "%s  %s\n", session.Protocol(), it.Head())
	for line := range strings.Lines(tree.Indented(100)) {
		fmt.Fprint(out, "  ", line)
	}
	return nil
}

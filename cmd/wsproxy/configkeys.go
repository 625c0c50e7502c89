package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// keyScope says where in a configuration file a key may stand. What may stand in a
// listener or a target may stand further up too, where it holds for all below.
type keyScope uint8

const (
	atTop keyScope = 1 << iota
	inListener
	inTarget
	inCommand // in a table that is named like the command whose flag it is

	anywhere = atTop | inListener | inTarget
	doors    = atTop | inListener
)

// keyKind says whose traffic a key of a listener concerns.
type keyKind uint8

const (
	forAll keyKind = iota
	forReverse
	forForward
)

// configKey is a key of the file: that of a flag, which has its name, type and
// meaning, or one of the file's own.
type configKey struct {
	name  string
	scope keyScope
	kind  keyKind
	file  bool // names a file, from the configuration file's folder on

	own, doc string // the type and the meaning of a key without a flag
}

// configKeys are all keys, in the order in which they are explained.
var configKeys = []configKey{
	{name: "listeners", scope: atTop, own: "tables", doc: "the listeners: each `[[listeners]]` begins one; a file without them has one, whose keys stand at the top"},
	{name: "listen", scope: doors},
	{name: "mode", scope: doors, own: "string", doc: "`reverse` in front of a server, `forward` for clients that name their servers, `bridge` between WebSocket and TCP (default: what target and listen say)"},
	{name: "target", scope: anywhere, own: "string", doc: "the server's URL; beside targets, the server of all other requests"},
	{name: "targets", scope: doors, kind: forReverse, own: "tables", doc: "several servers: each `[[listeners.targets]]` begins one"},
	{name: "path", scope: inTarget, own: "string", doc: "the target is for this path and what is below it"},
	{name: "host", scope: inTarget, own: "string", doc: "the target is for this host, as requests name it; a `*` stands for anything"},
	{name: "sni", scope: inTarget, own: "string", doc: "the target is for clients whose TLS asks for this name; a `*` stands for anything"},
	{name: "strip", scope: inTarget, own: "true or false", doc: "take path off what the target gets"},
	{name: "socks", scope: doors, kind: forForward},
	{name: "tls", scope: doors, kind: forReverse},
	{name: "cert", scope: anywhere, kind: forReverse, file: true},
	{name: "key", scope: anywhere, kind: forReverse, file: true},
	{name: "allow", scope: doors},
	{name: "auth", scope: doors},
	{name: "allow-host", scope: anywhere, kind: forReverse},
	{name: "pass-through", scope: doors, kind: forForward},
	{name: "only", scope: doors, kind: forForward},
	{name: "connect-to", scope: anywhere, kind: forReverse},
	{name: "header", scope: anywhere, kind: forReverse},
	{name: "keep-host", scope: anywhere, kind: forReverse},
	{name: "keep-origin", scope: anywhere, kind: forReverse},
	{name: "insecure", scope: anywhere},
	{name: "http", scope: anywhere},
	{name: "client-cert", scope: anywhere, file: true},
	{name: "upstream-proxy", scope: anywhere},
	{name: "keylog", scope: atTop, file: true},
	{name: "record", scope: atTop, file: true},
	{name: "append", scope: atTop},
	{name: "force", scope: atTop},
	{name: "no-record", scope: atTop},
	{name: "keep", scope: atTop},
	{name: "legs", scope: atTop},
	{name: "redact", scope: atTop},
	{name: "plain", scope: atTop},
	{name: "json", scope: atTop},
	{name: "quiet", scope: atTop},
	{name: "no-color", scope: atTop},
	{name: "theme", scope: atTop},
	{name: "exchanges", scope: atTop},
	{name: "filter", scope: atTop},
	{name: "decoded", scope: atTop},
	{name: "decode", scope: atTop},
	{name: "protocols", scope: atTop, file: true},
	{name: "to", scope: inCommand},
	{name: "screen", scope: inCommand},
	{name: "program", scope: inCommand},
	{name: "rules", scope: doors, own: "–", doc: "reserved: there are no rules yet"},
}

// keyNamed is the key of that name; nil if there is none.
func keyNamed(name string) *configKey {
	i := slices.IndexFunc(configKeys, func(k configKey) bool { return k.name == name })
	if i < 0 {
		return nil
	}
	return &configKeys[i]
}

// notInFiles are the flags that a file cannot set.
var notInFiles = []string{"config", "help", "version"}

// configurable are the commands that -c is for: wsproxy itself and those that proxy.
func configurable(root *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{root}
	for _, c := range root.Commands() {
		if c.Flags().Lookup("config") != nil {
			all = append(all, c)
		}
	}
	return all
}

// flagOf is a key's flag, and the first command that has it; nil if there is none.
func (k *configKey) flagOf(commands []*cobra.Command) (*pflag.Flag, *cobra.Command) {
	for _, c := range commands {
		if f := c.Flags().Lookup(k.name); f != nil && k.own == "" {
			return f, c
		}
	}
	return nil, nil
}

// explained is a key as the table has it.
func (k *configKey) explained(commands []*cobra.Command) (name, where, kind, doc string) {
	name, kind, doc = k.name, k.own, k.doc
	f, c := k.flagOf(commands)
	if f != nil {
		value, usage := pflag.UnquoteUsage(f)
		if doc = usage; f.DefValue != "" && f.Value.Type() == "string" {
			doc += " (default: " + f.DefValue + ")"
		}
		kind = map[string]string{"bool": "true or false", "stringArray": "strings"}[f.Value.Type()]
		if kind == "" {
			kind = "string"
		}
		_ = value
	}
	switch {
	case k.scope == inCommand:
		where = "`[" + c.Name() + "]`"
	case k.scope&inTarget != 0 && k.scope&atTop == 0:
		where = "target"
	case k.scope&inTarget != 0:
		where = "top, listener, target"
	case k.scope&inListener != 0:
		where = "top, listener"
	default:
		where = "top"
	}
	return name, where, kind, doc
}

// printKeys prints the table of keys for docs/config.md.
func printKeys(w io.Writer, root *cobra.Command) {
	commands := configurable(root)
	fmt.Fprint(w, "| key | stands in | type | says |\n|---|---|---|---|\n")
	for i := range configKeys {
		name, where, kind, doc := configKeys[i].explained(commands)
		fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", name, where, kind, strings.ReplaceAll(doc, "|", `\|`))
	}
}

// printExample prints a file with all keys: those of a short one that works, and
// the others behind a #.
func printExample(w io.Writer, root *cobra.Command) {
	commands := configurable(root)
	fmt.Fprint(w, exampleHead)
	for i := range configKeys {
		k := &configKeys[i]
		if k.own != "" || slices.Contains([]string{"listen", "record"}, k.name) {
			continue
		}
		f, c := k.flagOf(commands)
		if f == nil {
			continue
		}
		name, _, kind, doc := k.explained(commands)
		if k.scope == inCommand {
			name = c.Name() + "." + name
		}
		fmt.Fprintf(w, "# %s\n# %s = %s\n", doc, name, exampleValue(k.name, kind))
	}
	fmt.Fprint(w, exampleListeners)
}

// exampleValue is a value that a key can have.
func exampleValue(name, kind string) string {
	value := map[string]string{
		"socks": `"127.0.0.1:1080"`, "cert": `"server.pem"`, "key": `"server-key.pem"`, "allow": `"192.168.1.0/24"`, "auth": `"user:password"`,
		"allow-host": `"dev.example"`, "pass-through": `"*.bank.example"`, "only": `"*.test"`, "connect-to": `"localhost:3000"`,
		"header": `"Authorization: Bearer x"`, "client-cert": `"client.pem"`, "upstream-proxy": `"http://proxy.example:3128"`,
		"keylog": `"keys.log"`, "http": `"auto"`, "theme": `"dark"`, "keep": `"256MiB"`, "legs": `"client"`, "filter": `"text"`, "decode": `"socket.io"`, "protocols": `"protocols.toml"`, "to": `"ws://localhost:3000"`, "program": `"/usr/bin/chromium"`,
	}[name]
	switch {
	case kind == "true or false":
		return "true"
	case kind == "strings":
		return "[" + value + "]"
	case value == "":
		return `""`
	}
	return value
}

const exampleHead = `# A configuration of wsproxy: wsproxy -c wsproxy.toml
# A key has the name and the meaning of its flag (wsproxy --help). At the top it holds
# for all listeners; a listener's own wins, and a flag on the command line wins over
# both. Files are looked for from this file's folder on.

# one recording of all listeners
record = "session.pcapng"

`

const exampleListeners = `
# In front of one server. port 0 would take a free one.
[[listeners]]
listen = ["127.0.0.1:8080", "[::1]:8080"]
target = "ws://localhost:3000"

# In front of several, by path or by host; target is for all other requests.
[[listeners]]
listen = "https://127.0.0.1:8443"
target = "http://localhost:3000"

[[listeners.targets]]
path = "/api"
target = "http://localhost:4000"
strip = true # the server gets /users for /api/users

[[listeners.targets]]
host = "*.chat.example"
target = "wss://chat.example"
header = ["X-Debug: 1"]

[[listeners.targets]]
path = "/vnc"
target = "tcp://localhost:5900" # WebSocket to TCP

# For clients whose URL cannot be changed: HTTP_PROXY=http://127.0.0.1:8081
[[listeners]]
listen = "127.0.0.1:8081"
mode = "forward"
socks = "127.0.0.1:1080"
`

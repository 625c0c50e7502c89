package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestEveryFlagHasItsKey: whatever can be said on the command line of what proxies
// can stand in a file.
func TestEveryFlagHasItsKey(t *testing.T) {
	commands := configurable(rootCmd())
	if len(commands) < 3 {
		t.Errorf("%d commands take -c", len(commands))
	}
	set := (&plan{file: &configFile{}, over: none()}).settings().flags
	for _, c := range commands {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if slices.Contains(notInFiles, f.Name) {
				return
			}
			k := keyNamed(f.Name)
			switch {
			case k == nil || k.own != "":
				t.Errorf("--%s of %s has no key: a line in configKeys gives it one", f.Name, c.CommandPath())
			case k.scope == inCommand && c == commands[0]:
				t.Errorf("--%s of wsproxy itself has a key for other commands only", f.Name)
			case k.scope != inCommand && set.Lookup(f.Name) == nil:
				t.Errorf("--%s of %s alone has a key at the top; inCommand puts it into [%s]", f.Name, c.CommandPath(), c.Name())
			}
		})
	}
	seen := map[string]bool{}
	for i := range configKeys {
		k := &configKeys[i]
		if f, _ := k.flagOf(commands); f == nil && k.own == "" {
			t.Errorf("the key %s has no flag", k.name)
		}
		if seen[k.name] {
			t.Errorf("the key %s is there twice", k.name)
		}
		seen[k.name] = true
	}
}

func none() *pflag.FlagSet { return pflag.NewFlagSet("none", pflag.ContinueOnError) }

// wrongIn is what is wrong with a file of that text.
func wrongIn(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "w.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := rootCmd()
	var said bytes.Buffer
	cmd.SetErr(&said)
	_, _, err := planOf(cmd, path, none())
	if (err != nil) != (said.Len() > 0) {
		t.Errorf("%v, but it said %q", err, said.String())
	}
	return strings.ReplaceAll(strings.ReplaceAll(said.String(), path, "w.toml"), filepath.Dir(path), "DIR")
}

// TestConfigExample: the example is right, and each of its keys that are behind a #.
func TestConfigExample(t *testing.T) {
	var b bytes.Buffer
	printExample(&b, rootCmd())
	if wrong := wrongIn(t, b.String()); wrong != "" {
		t.Error(wrong)
	}
	n := 0
	for line := range strings.Lines(b.String()) {
		line, ok := strings.CutPrefix(line, "# ")
		name, _, isKey := strings.Cut(line, " = ")
		if !ok || !isKey || strings.Contains(name, " ") {
			continue
		}
		n++
		behind := "target = \"ws://localhost:3000\"\n"
		if k := keyNamed(name); k != nil && k.kind == forForward {
			behind = "mode = \"forward\"\n"
		}
		switch name {
		case "key":
			behind += "cert = \"server.pem\"\n"
		case "force", "append":
			behind += "record = \"a.pcapng\"\n"
		}
		for wrong := range strings.Lines(wrongIn(t, line+behind)) {
			if !strings.Contains(wrong, "cannot read DIR/") {
				t.Errorf("%s%s", line, wrong)
			}
		}
	}
	if n < 25 {
		t.Errorf("%d keys are in the example", n)
	}
}

// TestConfigDocs: docs/config.md has the table of keys as it is.
func TestConfigDocs(t *testing.T) {
	var b bytes.Buffer
	printKeys(&b, rootCmd())
	text, err := os.ReadFile("../../docs/config.md")
	if err != nil || !strings.Contains(string(text), b.String()) {
		t.Errorf("docs/config.md lacks the table of keys, which wsproxy config keys prints (%v)", err)
	}
}

// TestConfigWrong: each error says where it is and what was meant.
func TestConfigWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "1:1: the file is empty",
		"listen = ":                           "1:9: expected value",
		"a = 1\na = 2":                        "2:1: key a is already defined",
		"target = \"ws://x\"\nl = 1":          "2:1: there is no key \"l\" here (docs/config.md",
		"targt = \"ws://x\"":                  "1:1: there is no key \"targt\"; target is meant?\nw.toml:1:1: neither target",
		"keep_host = true":                    "1:1: there is no key \"keep_host\"; keep-host is meant?",
		"listen = \"127.0.0.1:1\"":            "1:1: neither target = \"ws://…\" nor mode = \"forward\"",
		"target = \"ws://x\"\n[rules]\nx = 1": "2:2: rules: there are no rules yet",
		"tls = true\ncert = \"w.toml\"\n[[listeners]]\nmode = \"forward\"\n[[listeners]]\ntarget=\"ws://x\"": "5:3: cert: failed to find any PEM",
		"listeners = 3":               "1:13: listeners are tables: [[listeners]]",
		"listeners = [3]":             "1:14: listeners are tables: [[listeners]]",
		"[listeners]\nlisten=\"x:1\"": "1:2: listeners are several: [[listeners]]",
		"[[listeners]]\nrecord = \"a\"\ntarget = \"ws://x\"": "2:1: record stands at the top of the file",
		"[[listeners]]\nstrip = true\ntarget = \"ws://x\"":   "2:1: strip stands in [[listeners.targets]]",
		"to = \"ws://x\"\ntarget = \"ws://x\"":               "1:1: to stands in the table of its command",
		"target = \"ws://x\"\n[run]\nsocks = \"x:1\"":        "3:1: socks stands in [[listeners]]",
		"target = \"ws://x\"\n[forward]\nto = \"ws://x\"":    "3:1: to is for another command",
		"target = 3": "1:10: target is a string",
		"target = \"ws://x\"\ninsecure = \"yes\"":                                                                         "2:12: insecure is true or false",
		"target = \"ws://x\"\nheader = [\"a: b\",\n  \"c\"]":                                                              "3:3: header \"c\" is no header",
		"target = \"ws://x\"\nheader = [1]":                                                                               "2:1: header is a string, or several in brackets",
		"target = \"ws://x\"\nrecord = [\"a\"]":                                                                           "2:1: record is a string",
		"target = \"ftp://x\"":                                                                                            "1:10: a target's scheme is",
		"mode = \"sideways\"\ntarget = \"ws://x\"":                                                                        "1:8: mode is reverse, forward or bridge, not \"sideways\"",
		"mode = \"bridge\"\ntarget = \"ws://x\"":                                                                          "1:1: a bridge has tcp://",
		"mode = \"forward\"\ntarget = \"ws://x\"":                                                                         "1:1: a forward proxy's clients",
		"mode = \"forward\"\nkeep-host = true":                                                                            "2:1: keep-host is for listeners in front of a server",
		"target = \"ws://x\"\nsocks = \"127.0.0.1:1\"":                                                                    "2:1: socks is for mode = \"forward\"",
		"target = \"ws://x\"\nlisten = \"0.0.0.0:1\"":                                                                     "2:10: other machines could use",
		"target = \"ws://x\"\nlisten = \"192.0.2.1:1\"":                                                                   "2:10: other machines could use",
		"target = \"ws://x\"\nlisten = \"8080\"":                                                                          "2:10: cannot listen on \"8080\"",
		"target = \"ws://x\"\nlisten = [\"h:1\", \"h:1\"]":                                                                "2:18: line 2 listens on h:1 already",
		"target = \"ws://x\"\nallow = \"me\"":                                                                             "2:9: allow \"me\" is neither",
		"target = \"ws://x\"\nauth = \"s3cret\"":                                                                          "2:8: auth takes user:password",
		"target = \"ws://x\"\nlegs = \"no\"":                                                                              "2:8: legs takes client or both",
		"target = \"ws://x\"\nfilter = \"==\"":                                                                            "2:10: ",
		"target = \"ws://x\"\ncert = \"no.pem\"":                                                                          "2:8: cannot read DIR/no.pem: no such file",
		"target = \"ws://x\"\nkey = \"w.toml\"":                                                                           "1:1: key is that of a --cert",
		"target = \"ws://x\"\nappend = true":                                                                              "1:1: force and --append",
		"target = \"ws://x\"\nplain = true\njson = true":                                                                  "3:1: plain and json do not go together",
		"target = \"ws://localhost:81\"\nlisten = \"127.0.0.1:81\"":                                                       "2:10: wsproxy would connect to itself: 127.0.0.1:81 is the target ws://localhost:81 too",
		"auth = \"a:b\"\ntarget = \"ws://x\"\nlisten = \"tcp://127.0.0.1:81\"":                                            "1:1: a listener of tcp:// or unix: cannot ask",
		"mode = \"forward\"\nlisten = \"https://127.0.0.1:81\"":                                                           "1:1: a forward proxy's own port is plain",
		"[[listeners]]\n[[listeners.targets]]\npath = \"a\"\ntarget = \"ws://x\"":                                         "3:8: a path begins with a slash",
		"[[listeners]]\n[[listeners.targets]]\npath = \"/a\"":                                                             "2:13: a target's table has target",
		"[[listeners]]\n[[listeners.targets]]\ntarget = \"ws://x\"":                                                       "2:13: one of path, host and sni",
		"[[listeners]]\ntargets = [{path = \"/a\", target = \"ws://x\", pth = \"/\"}]":                                    "2:45: there is no key \"pth\"; path is meant?",
		"[[listeners]]\n[[listeners.targets]]\nsni = \"a\"\ntarget = \"ws://x\"":                                          "1:3: a target by sni is behind a listener with TLS",
		"[[listeners]]\ntargets = [{path = \"/a\", target = \"ws://x\"}, {path = \"/a/*\", target = \"ws://y\"}]":         "1:3: two targets are for /a/*",
		"[[listeners]]\nlisten = \"tcp://127.0.0.1:5\"\n[[listeners.targets]]\npath = \"/a\"\ntarget = \"ws://x\"":        "1:3: a listener of tcp:// or unix: stands in front of one target",
		"listen = \"127.0.0.1:81\"\ntarget = \"ws://x\"\n[[listeners]]\n[[listeners]]\nlisten = \"127.0.0.1:81\"":         "5:10: line 1 listens on 127.0.0.1:81 already",
		"[[listeners]]\ntarget = \"ws://x\"\nrules = \"x\"\n[[listeners]]\ntarget = \"ws://x\"\nhost = \"y\"\nsni = \"\"": "3:1: rules: there are no rules yet; the key is kept for them\nw.toml:6:1: host stands in [[listeners.targets]]\nw.toml:7:1: sni stands",
	} {
		got := wrongIn(t, text)
		got = strings.ReplaceAll(got, "wsproxy: error: ", "")
		if !strings.HasPrefix(got, "w.toml:"+want) {
			t.Errorf("%s\nis said to be wrong like so:\n%s\nwanted: %s", text, got, want)
		}
		if strings.Contains(got, "s3cret") {
			t.Errorf("a password is shown: %s", got)
		}
	}
}

// TestConfigLayers: a target's key wins over its listener's, that over the top's, and
// the command line over all.
func TestConfigLayers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "w.toml")
	text := `
header = ["A: top"]
insecure = true
keep-host = true
record = "a.pcapng"
connect-to = "top:1"
plain = true
[[listeners]]
target = "ws://one"
[[listeners]]
target = "ws://two"
insecure = false
header = "A: listener"
connect-to = "listener:1"
[[listeners.targets]]
path = "/x"
target = "ws://three"
strip = true
header = ["A: target", "B: target"]
connect-to = "target:1"
[[listeners.targets]]
host = "h"
target = "ws://four"
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range [][]string{nil, {"--header", "A: line", "--insecure", "--connect-to", "line:1", "--json"}} {
		cmd := rootCmd()
		if err := cmd.ParseFlags(line); err != nil {
			t.Fatal(err)
		}
		run, doors, err := planOf(cmd, path, cmd.Flags())
		if err != nil || len(doors) != 2 || len(doors[1].targets) != 3 {
			t.Fatalf("%d doors, %v", len(doors), err)
		}
		flags := []*rootFlags{&doors[0].flags, &doors[1].targets[0].flags, &doors[1].targets[1].flags, &doors[1].targets[2].flags}
		var got []string
		for _, f := range flags {
			got = append(got, strings.TrimSuffix(fmt.Sprintln(f.header, f.insecure, f.keepHost, f.connectTo), "\n"))
		}
		want := "[A: top] true true top:1, [A: target B: target] false true target:1, [A: listener] false true listener:1, [A: listener] false true listener:1"
		if line != nil {
			want = strings.TrimSuffix(strings.Repeat("[A: line] true true line:1, ", 4), ", ")
		}
		if got := strings.Join(got, ", "); got != want {
			t.Errorf("%v: %s, not %s", line, got, want)
		}
		if run.record != filepath.Join(dir, "a.pcapng") || run.output.plain != (line == nil) || run.output.json != (line != nil) {
			t.Errorf("%v: %+v", line, run.output)
		}
		b := doors[1].targets
		if !b[0].strip || b[0].path != "/x" || b[1].host != "h" || b[2].target.Host != "two" {
			t.Errorf("targets %+v", b)
		}
	}
}

func TestMeant(t *testing.T) {
	names := []string{"target", "tls", "listen", "keep-host", "keep", "path"}
	for given, want := range map[string]string{"tagret": "target", "Target": "target", "keep_host": "keep-host", "tsl": "tls", "paht": "path", "kep": "keep",
		"listeen": "listen", "x": "", "": "", "something": ""} {
		if got := meant(given, names); got != want {
			t.Errorf("%q: %q, not %q", given, got, want)
		}
	}
}

func TestParseBranch(t *testing.T) {
	for arg, want := range map[string]string{
		"/api=http://localhost:4000":   "/api/* -> http://localhost:4000",
		"/api/*=ws://localhost:4000":   "/api/* -> ws://localhost:4000",
		"/=ws://localhost:4000":        "/* -> ws://localhost:4000",
		"a.test=ws://localhost/x?":     "a.test/* -> ws://localhost/x?",
		"*.test/v1=tcp://localhost:59": "*.test/v1/* -> tcp://localhost:59",
		"/s=unix:/run/a=b.sock":        "/s/* -> unix:/run/a=b.sock",
		"ws://localhost/a=b":           "none",
		"unix:/run/a=b.sock":           "none",
		"/api=localhost:4000":          "\"localhost:4000\" has no scheme",
	} {
		b, ok, err := parseBranch(rootFlags{}, arg)
		got := "none"
		if err != nil {
			got = err.Error()
		} else if ok {
			got = b.matches() + " -> " + shown(b.target)
		}
		if got != want {
			t.Errorf("%s: %s, not %s", arg, got, want)
		}
	}
}

// TestConfigExit: a wrong file is the user's own mistake, one that is not there is not.
func TestConfigExit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.toml")
	if err := os.WriteFile(path, []byte("rules = []\nx = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"config", "check", path}, exitUsage},
		{[]string{"-c", path}, exitUsage},
		{[]string{"run", "-c", path, "--", "true"}, exitUsage},
		{[]string{"config", "check", path + "x"}, exitFailed},
		{[]string{"config", "example"}, exitOK},
		{[]string{"config", "sample"}, exitUsage},
	} {
		var out, said bytes.Buffer
		if code := wsproxy(c.args, strings.NewReader(""), &out, &said); code != c.code {
			t.Errorf("%v: exit code %d, not %d: %s", c.args, code, c.code, said.String())
		}
	}
}

// FuzzConfig: whatever a file holds, each thing that is wrong with it stands in it.
func FuzzConfig(f *testing.F) {
	var b bytes.Buffer
	printExample(&b, rootCmd())
	f.Add(b.Bytes())
	for _, seed := range []string{"a.b.c = 1\n[a.b]\n", "[[listeners]]\n[[listeners.targets]]\npath='/'\n", "listeners = [{target='ws://x'}, 1]", "targets = 1\n[run]\nto=''\n",
		"target='''\nws://x'''\nheader=[[1],{a=1}]\n", "[listeners.targets]\nx=1", "listen=['']\ntarget='tcp://h:1'"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := parseConfig("w.toml", text)
		if len(c.bad) == 0 {
			p := &plan{file: c, over: none()}
			p.commands(rootCmd())
			p.run()
			p.loops(p.doors())
		}
		for _, m := range c.bad {
			if m.at.line < 1 || m.at.column < 1 || m.at.line > bytes.Count(text, []byte("\n"))+1 || m.text == "" {
				t.Errorf("%+v", m)
			}
		}
	})
}

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wsproxy/wsproxy/internal/wstest"
)

// appModules is where .ci/tools installs the applications of apps/.
const appModules = "../.cache/apps"

func appsMissing() string {
	if missing := needs("node"); missing != "" {
		return missing
	}
	if _, err := os.Stat(appModules + "/node_modules/socket.io"); err != nil {
		return "the npm packages of e2e/apps"
	}
	return ""
}

// TestApplicationsDecoded runs real applications through wsproxy and has their
// conversations decoded: each answer names its question.
func TestApplicationsDecoded(t *testing.T) {
	if leftOut(t, appsMissing()) {
		return
	}
	for _, name := range []string{"make.mjs", "apps.mjs"} { // they find their packages beside them
		b, err := os.ReadFile("apps/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(appModules, name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, home(t), "node", filepath.Join(appModules, "make.mjs"), program, "-", "socket.io-4", "graphql-ws", "mqtt-4")
	code := p.wait(t)
	if code != 0 {
		t.Fatalf("exit code %d:\n%s%s", code, p.stdout, p.stderr)
	}
	for _, want := range []string{
		`request  sum  id=0  topic=/chat  \[40, 2\]`,
		`reply  ack  id=0  topic=/chat  ⤶ #\d+ sum \+\S+  \[42\]`,
		`request  file  id=1  topic=/  \[h'010203'\]`,
		`error  connect error /admin  topic=/admin  ⤶ #\d+ connect /admin`,
		`request  connection_init  \{authToken: •••\}`,
		`request  subscribe subscription Ticks`,
		`reply  next  id=\S+  topic=Ticks  ⤶ #\d+ subscribe subscription Ticks \+\S+  \{data: \{ticks: 2\}\}`,
		`error  error  id=\S+  ⤶ #\d+ subscribe query .*Cannot query field`,
		`request  CONNECT c1  .*password: •••`,
		`reply  PUBCOMP  id=\d+  topic=other  ⤶ #\d+ PUBLISH other`,
	} {
		if !regexp.MustCompile(want).MatchString(p.stdout.String()) {
			t.Errorf("nothing is like %s", want)
		}
	}
	if regexp.MustCompile(`decode-broken|hunter2|"secret"`).MatchString(p.stdout.String()) || t.Failed() {
		t.Errorf("it says\n%s", p.stdout)
	}
}

// TestApplicationsReplayed records real applications once, whose ids and times are others
// each time; from then on their clients do with what was recorded.
func TestApplicationsReplayed(t *testing.T) {
	if leftOut(t, appsMissing()) {
		return
	}
	for _, name := range []string{"use.mjs", "apps.mjs"} { // they find their packages beside them
		b, err := os.ReadFile("apps/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(appModules, name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	use := filepath.Join(appModules, "use.mjs")
	for _, name := range []string{"socket.io-4", "graphql-ws", "mqtt-4", "vscode-ws-jsonrpc"} {
		t.Run(name, func(t *testing.T) {
			server := start(t, nil, "node", use, "serve", name)
			said := server.stdout.wait(t, "port ", 1)
			_, port, _ := strings.Cut(said, "port ")
			tape := filepath.Join(t.TempDir(), "app.ndjson")
			p := start(t, nil, program, "replay", tape, "--vcr", "once", "--fallback", "http://127.0.0.1:"+strings.TrimSpace(port), "--", "node", use, "use", name)
			if code := p.wait(t); code != 0 {
				t.Fatalf("recording: exit code %d: %s%s", code, p.stdout, p.stderr)
			}
			_ = server.cmd.Process.Kill() // it is switched off
			<-server.done
			for i := range wstest.Count("replays of an application") {
				p := start(t, nil, program, "replay", tape, "--", "node", use, "use", name)
				if code := p.wait(t); code != 0 {
					b, err := os.ReadFile(tape)
					t.Fatalf("replay %d: exit code %d: %s%s\nof %v\n%s", i+1, code, p.stdout, p.stderr, err, b)
				}
			}
		})
	}
}

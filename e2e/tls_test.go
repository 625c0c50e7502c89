package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wsproxy/wsproxy/internal/wstest"
)

// TestListenWithTLS: wsproxy --tls serves wss to a client that trusts its authority,
// says what to do about one that does not, and logs the keys.
func TestListenWithTLS(t *testing.T) {
	if leftOut(t, pythonMissing()) || leftOut(t, needs("curl")) {
		return
	}
	echo, err := wstest.Serve(http.HandlerFunc(wstest.Echo))
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	env := home(t)
	dir := t.TempDir()
	keys, path := filepath.Join(dir, "keys"), filepath.Join(dir, "a.pcapng")
	p := &proxied{process: start(t, env, program, "--listen", "127.0.0.1:0", "--tls", "--keylog", keys, "--plain", "--record", path, "ws://"+echo.Addr)}
	p.listens(t)
	if said := p.stderr.String(); !strings.Contains(said, "listening on https://127.0.0.1:") || !strings.Contains(said, "warning: the keys of all TLS go to "+keys) {
		t.Errorf("it says\n%s", said)
	}
	ca := strings.TrimSpace(output1(t, env, program, "ca", "path"))
	port := p.addr[strings.LastIndex(p.addr, ":"):]
	for _, host := range []string{"localhost", "127.0.0.1"} {
		client := start(t, []string{"SSL_CERT_FILE=" + ca}, python, "python/secure.py", "wss://"+host+port+"/", "through "+host)
		if code := client.wait(t); code != 0 || client.stdout.String() != "through "+host+"\n" {
			t.Errorf("%s: exit code %d: %s%s", host, code, client.stdout, client.stderr)
		}
	}
	if out := output1(t, env, "curl", "-sS", "--cacert", ca, "https://localhost"+port+"/"); !strings.Contains(out, "Bad Request") {
		t.Errorf("curl got %q", out)
	}
	stranger := start(t, nil, python, "python/secure.py", "wss://localhost"+port+"/", "hello")
	if code := stranger.wait(t); code == 0 {
		t.Error("a client that does not know the authority came in")
	}
	p.stderr.wait(t, "the client does not take wsproxy's certificate for localhost", 1)
	p.stdout.wait(t, "  end ", 2)
	p.stop(t)
	var texts []string
	for _, l := range show(t, path) {
		if l.Op == "text" {
			texts = append(texts, l.Dir+l.Text)
		}
	}
	if got := strings.Join(texts, " "); got != ">through localhost <through localhost >through 127.0.0.1 <through 127.0.0.1" {
		t.Errorf("recorded: %s", got)
	}
	logged, err := os.ReadFile(keys)
	st, statErr := os.Stat(keys)
	if err != nil || statErr != nil || st.Mode().Perm() != 0o600 || strings.Count(string(logged), "CLIENT_TRAFFIC_SECRET_0 ") < 3 {
		t.Errorf("the keys: %v, %v, %s", err, statErr, logged)
	}
}

// output1 runs a program to its end and answers what it said.
func output1(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	p := start(t, env, name, args...)
	if code := p.wait(t); code != 0 {
		t.Errorf("%s: exit code %d: %s", p.cmd, code, p.stderr)
	}
	return p.stdout.String()
}

// TestInstallForBrowsers: the authority goes into the store of Chromium and Firefox,
// and out of it.
func TestInstallForBrowsers(t *testing.T) {
	if leftOut(t, needs("certutil")) {
		return
	}
	env := home(t)
	db := filepath.Join(strings.TrimPrefix(env[0], "HOME="), ".pki", "nssdb")
	if err := os.MkdirAll(db, 0o700); err != nil {
		t.Fatal(err)
	}
	list := func() string {
		out, err := exec.Command("certutil", "-L", "-d", "sql:"+db).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	output1(t, env, "certutil", "-N", "-d", "sql:"+db, "--empty-password")
	if out := output1(t, env, program, "ca", "install", "--store", "nss"); !strings.Contains(out, "nss     trusts it now") {
		t.Errorf("it says %q", out)
	}
	if got := list(); !strings.Contains(got, "wsproxy CA") || !strings.Contains(got, "C,,") {
		t.Errorf("the store holds\n%s", got)
	}
	if out := output1(t, env, program, "ca"); !strings.Contains(out, "nss           trusts it\n") {
		t.Errorf("it says %q", out)
	}
	if out := output1(t, env, program, "ca", "install", "--store", "nss"); !strings.Contains(out, "trusts it already") {
		t.Errorf("it says %q", out)
	}
	if out := output1(t, env, program, "ca", "uninstall", "--store", "nss"); !strings.Contains(out, "does not trust it any more") {
		t.Errorf("it says %q", out)
	}
	if got := list(); strings.Contains(got, "wsproxy") {
		t.Errorf("the store holds\n%s", got)
	}
}

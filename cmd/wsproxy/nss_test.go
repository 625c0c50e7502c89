package main

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// caHome is a user's folder with an authority to be made in it.
func caHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	for name, value := range map[string]string{"HOME": home, "USERPROFILE": home, "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": "", "WSPROXY_CA_DIR": filepath.Join(home, "ca"), "SSL_CERT_FILE": ""} {
		t.Setenv(name, value)
	}
	return home
}

// said runs wsproxy and answers all that it printed.
func said(t *testing.T, want int, args ...string) string {
	t.Helper()
	var out, stderr bytes.Buffer
	if code := wsproxy(args, strings.NewReader(""), &out, &stderr); code != want {
		t.Errorf("wsproxy %q: exit %d\n%s%s", args, code, out.String(), stderr.String())
	}
	return out.String() + stderr.String()
}

// TestNSS: the authority is put into each browser's store of a user, and taken out
// again, with Mozilla's own tool for a witness; one that cannot be changed is named,
// and keeps nobody else from it.
func TestNSS(t *testing.T) {
	certutil, err := exec.LookPath("certutil")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("certutil is not installed (.ci/tools installs it)")
		}
		t.Log("certutil is not installed: stores of browsers are left out")
		return
	}
	home := caHome(t)
	chromium, firefox := filepath.Join(home, ".pki/nssdb"), filepath.Join(home, ".mozilla/firefox/abc.default")
	for _, folder := range []string{chromium, firefox} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(certutil, "-N", "--empty-password", "-d", "sql:"+folder).CombinedOutput(); err != nil {
			t.Fatalf("%s, %v", out, err)
		}
	}
	trusted := func(folder string) bool {
		out, err := exec.Command(certutil, "-L", "-d", "sql:"+folder).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(out), "wsproxy CA") && strings.Contains(string(out), "C,,")
	}
	in := func(what, printed string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(printed, w) {
				t.Errorf("%s printed no %q but\n%s", what, w, printed)
			}
		}
	}
	in("a dry run", said(t, 0, "ca", "install", "--store", "nss", "--dry-run"), "nss     would be added to "+chromium+", "+firefox)
	if trusted(chromium) || trusted(firefox) {
		t.Error("a dry run changed something")
	}
	in("install", said(t, 0, "ca", "install", "--store", "nss"), "nss     trusts it now: "+chromium+", "+firefox, "may have to be started again")
	if !trusted(chromium) || !trusted(firefox) {
		t.Error("it is not in the stores")
	}
	in("ca", said(t, 0, "ca"), "nss           trusts it")
	in("install again", said(t, 0, "ca", "install", "--store", "nss"), "nss     trusts it already")
	in("uninstall", said(t, 0, "ca", "uninstall", "--store", "nss"), "nss     does not trust it any more")
	if trusted(chromium) || trusted(firefox) {
		t.Error("it is still in the stores")
	}
	if err := os.WriteFile(filepath.Join(firefox, "cert9.db"), []byte("spoiled"), 0o600); err != nil {
		t.Fatal(err)
	}
	in("a spoiled store", said(t, exitFailed, "ca", "install", "--store", "nss"), "nss     failed: "+firefox+": ", "not every store could be changed")
	if !trusted(chromium) {
		t.Error("the spoiled store kept the other from it")
	}
}

// TestKeyStaysSecret: what is in the authority's key shows nowhere but in its file,
// whatever is asked of wsproxy.
func TestKeyStaysSecret(t *testing.T) {
	home := caHome(t)
	printed := said(t, 0, "ca") + said(t, 0, "ca", "path") + said(t, 0, "ca", "env") + said(t, 0, "ca", "env", "--shell", "fish") +
		said(t, 0, "ca", "install", "--dry-run") + said(t, 0, "ca", "uninstall", "--store", "nss")
	path := filepath.Join(home, "ca", "ca-key.pem")
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(key)
	scalar := block.Bytes[7:39] // RFC 5915: the private key itself
	shows := func(b []byte) bool {
		return bytes.Contains(b, scalar) || bytes.Contains(b, []byte("-----BEGIN EC PRIVATE KEY")) ||
			bytes.Contains(b, []byte(base64.StdEncoding.EncodeToString(block.Bytes)[8:48])) // in the first line of PEM
	}
	if !shows(key) || !shows(block.Bytes) {
		t.Fatal("this test would not see the key")
	}
	if shows([]byte(printed)) {
		t.Errorf("it is printed:\n%s", printed)
	}
	err = filepath.WalkDir(home, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || file == path {
			return err
		}
		b, err := os.ReadFile(file)
		if shows(b) {
			t.Errorf("it stands in %s", file)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	// A file that has the key where a certificate is wanted, and a key that is spoiled.
	cert := filepath.Join(home, "ca", "ca.pem")
	for file, content := range map[string][]byte{cert: key, path: append([]byte("-----BEGIN EC PRIVATE KEY-----\nAAAA"), key[31:]...)} {
		before, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if s := said(t, exitFailed, "ca"); shows([]byte(s)) || bytes.Contains([]byte(s), key[40:60]) {
			t.Errorf("it is printed: %s", s)
		}
		if s := said(t, exitFailed, "--listen", "127.0.0.1:0", "--cert", file, "ws://127.0.0.1:1"); shows([]byte(s)) {
			t.Errorf("it is printed: %s", s)
		}
		if err := os.WriteFile(file, before, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

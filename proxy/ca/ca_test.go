package ca

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The CA is made once, for this user alone, and read from then on.
func TestOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "wsproxy")
	var all [8]*Authority
	var wait sync.WaitGroup
	for i := range all {
		wait.Go(func() {
			var err error
			if all[i], err = Open(dir); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if t.Failed() {
		return
	}
	for _, a := range all {
		if a.Fingerprint() != all[0].Fingerprint() {
			t.Error("two were made")
		}
	}
	for name, mode := range map[string]fs.FileMode{"": 0o700 | fs.ModeDir, keyFile: 0o600, certFile: 0o644} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil || st.Mode() != mode {
			t.Errorf("%q has mode %v, %v", name, st.Mode(), err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("the folder holds %v, %v", left, err)
	}
	if c := all[0].Certificate(); !strings.Contains(c.Subject.CommonName, "@") || !c.IsCA || time.Until(c.NotAfter) < 5*365*24*time.Hour {
		t.Errorf("the CA is %+v", c.Subject)
	}
}

// A client that trusts the CA takes its leaves, for names and addresses and what
// the mirror has.
func TestLeaf(t *testing.T) {
	a, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	mirror := &x509.Certificate{Raw: []byte("m"), DNSNames: []string{"*.example.com", "example.com"}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)}}
	for host, valid := range map[string][]string{
		"example.com":                            {"example.com", "www.example.com", "10.0.0.1"},
		"127.0.0.1":                              {"127.0.0.1", "www.example.com"},
		"::1":                                    {"::1"},
		strings.Repeat("a", 63) + ".example.org": {strings.Repeat("a", 63) + ".example.org"},
	} {
		leaf, err := a.Leaf(host, mirror)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range valid {
			if _, err := leaf.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
				t.Errorf("the leaf for %s: %v", host, err)
			}
		}
		if _, err := leaf.Leaf.Verify(x509.VerifyOptions{DNSName: "evil.org", Roots: roots}); err == nil {
			t.Errorf("the leaf for %s is valid for evil.org", host)
		}
		if n := len(leaf.Certificate); n != 2 {
			t.Errorf("the chain has %d certificates", n)
		}
		if life := leaf.Leaf.NotAfter.Sub(leaf.Leaf.NotBefore); life > 398*24*time.Hour || time.Since(leaf.Leaf.NotBefore) < time.Hour {
			t.Errorf("the leaf is valid from %v for %v", leaf.Leaf.NotBefore, life)
		}
		if again, _ := a.Leaf(host, mirror); again != leaf {
			t.Error("it was not kept")
		}
		if other, _ := a.Leaf(host, nil); other == leaf {
			t.Error("another mirror has the same leaf")
		}
	}
}

// The leaves that are kept are bounded, and are those that were wanted last.
func TestLeavesAreBounded(t *testing.T) {
	a, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	first, err := a.Leaf("first", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range leafLimit + 10 {
		if _, err := a.Leaf(fmt.Sprint("host", i), nil); err != nil {
			t.Fatal(err)
		}
		if again, _ := a.Leaf("first", nil); again != first {
			t.Fatalf("the leaf that is wanted all the time is gone after %d others", i)
		}
	}
	if len(a.leaves) != leafLimit || a.recent.Len() != leafLimit {
		t.Errorf("%d, %d leaves are kept", len(a.leaves), a.recent.Len())
	}
	if a.leaves["host0"] != nil || a.leaves[fmt.Sprint("host", leafLimit+9)] == nil {
		t.Error("the wrong ones are kept")
	}
}

// An authority that ends soon says so, and its leaves end with it.
func TestExpiring(t *testing.T) {
	a, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if a.Expiring() {
		t.Error("a new one ends soon")
	}
	a.cert.NotAfter = time.Now().Add(10 * 24 * time.Hour)
	if !a.Expiring() {
		t.Error("it does not end soon")
	}
	leaf, err := a.Leaf("localhost", nil)
	if err != nil {
		t.Fatal(err)
	}
	if leaf.Leaf.NotAfter.After(a.cert.NotAfter) {
		t.Errorf("the leaf ends on %v, the authority on %v", leaf.Leaf.NotAfter, a.cert.NotAfter)
	}
	if again, _ := a.Leaf("localhost", nil); again != leaf {
		t.Error("it is signed anew each time")
	}
}

// On a file system without links the second to come does not write over the first.
func TestRename(t *testing.T) {
	dir := t.TempDir()
	for i, want := range []error{nil, fs.ErrExist} {
		from, to := filepath.Join(dir, "new"), filepath.Join(dir, "ca.pem")
		if err := os.WriteFile(from, []byte{byte('0' + i)}, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := rename(from, to); !errors.Is(err, want) {
			t.Errorf("the error is %v", err)
		}
		if b, err := os.ReadFile(to); string(b) != "0" || err != nil {
			t.Errorf("there stands %q, %v", b, err)
		}
		if _, err := os.Stat(from); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the new file is left: %v", err)
		}
	}
}

// What is wrong with the files is told in a line that holds nothing of the key.
func TestBadFiles(t *testing.T) {
	other := t.TempDir()
	if _, err := Open(other); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(dir string) error
		says   string
	}{
		"no key":      {func(d string) error { return os.Remove(filepath.Join(d, keyFile)) }, "lost its key"},
		"no cert":     {func(d string) error { return os.Remove(filepath.Join(d, certFile)) }, "lost its certificate"},
		"foreign key": {func(d string) error { return copyFile(filepath.Join(other, keyFile), filepath.Join(d, keyFile)) }, "is not that of"},
		"garbage key": {func(d string) error { return os.WriteFile(filepath.Join(d, keyFile), []byte("secret"), 0o600) }, "no PEM file"},
		"swapped": {func(d string) error {
			return copyFile(filepath.Join(d, certFile), filepath.Join(d, keyFile))
		}, "no PEM file"},
		"broken cert": {func(d string) error {
			return os.WriteFile(filepath.Join(d, certFile), []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), 0o600)
		}, "no certificate that can be read"},
		"broken key": {func(d string) error {
			return os.WriteFile(filepath.Join(d, keyFile), []byte("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"), 0o600)
		}, "no key that can be read"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := Open(dir); err != nil {
				t.Fatal(err)
			}
			if err := c.change(dir); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir)
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), dir) {
				t.Errorf("the error is %v", err)
			}
		})
	}
	t.Run("a file where the folder should be", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the error is %v", err)
		}
	})
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

func TestDir(t *testing.T) {
	t.Setenv("WSPROXY_CA_DIR", "/elsewhere")
	if dir, err := Dir(); dir != "/elsewhere" || err != nil {
		t.Errorf("%s, %v", dir, err)
	}
	t.Setenv("WSPROXY_CA_DIR", "")
	t.Setenv("XDG_CONFIG_HOME", "/config")
	t.Setenv("HOME", "/home/me")
	if dir, err := Dir(); filepath.Base(dir) != "wsproxy" || err != nil {
		t.Errorf("%s, %v", dir, err)
	}
}

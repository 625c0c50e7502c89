package main

import (
	"crypto/x509"
	"os"
	"testing"

	"github.com/wsproxy/wsproxy/proxy"
)

// TestOwnNames: on loopback the certificate is for each name of it, whichever a
// client named, if any.
func TestOwnNames(t *testing.T) {
	t.Setenv("WSPROXY_CA_DIR", t.TempDir())
	f := secureFlags{tls: true}
	own, err := f.certificate()
	if err != nil {
		t.Fatal(err)
	}
	a, err := openCA()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	for _, asked := range []string{"127.0.0.1", "::1", "localhost"} {
		cert, err := own(asked)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"127.0.0.1", "::1", "localhost"} {
			if _, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
				t.Errorf("the certificate for %s: %v", asked, err)
			}
		}
	}
	other, err := own("dev.example")
	if err != nil || other.Leaf.VerifyHostname("localhost") == nil {
		t.Errorf("another name's is for localhost too (%v)", err)
	}
}

// TestKeyLogFile: the file is its owner's alone, what stands in it stays, and its
// user is warned.
func TestKeyLogFile(t *testing.T) {
	path := t.TempDir() + "/keys"
	for range 2 {
		var said string
		c := proxy.Config{Logf: func(format string, _ ...any) { said = format }}
		t.Setenv("SSLKEYLOGFILE", path)
		file, err := (&secureFlags{}).keys(&c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.KeyLog.Write([]byte("line\n")); err != nil || said == "" {
			t.Errorf("%v, said %q", err, said)
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode() != 0o600 || st.Size() != 2*int64(len("line\n")) {
		t.Errorf("%v, %v", st, err)
	}
}

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/pem"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// TestJavaStore: the store is, byte for byte, what Java's own keytool makes of the
// same certificate (keytool -importcert -storetype JKS -alias wsproxy-ca).
func TestJavaStore(t *testing.T) {
	want, err := os.ReadFile("testdata/java/keytool.jks")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/java/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	made := int64(binary.BigEndian.Uint64(want[12+4+2+len("wsproxy-ca"):]))
	if got := javaStore([]string{"wsproxy-ca"}, [][]byte{block.Bytes}, made); !bytes.Equal(got, want) {
		t.Errorf("made %x\nwant %x", got, want)
	}
	mixed := append([]byte("a comment\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), text...)
	roots := javaRoots(append(mixed, text...))
	if n := binary.BigEndian.Uint32(roots[8:]); n != 2 || bytes.Count(roots, block.Bytes) != 2 {
		t.Errorf("the store of two certificates and rubbish has %d", n)
	}
	nameless, err := os.ReadFile("testdata/java/nameless.pem")
	if err != nil {
		t.Fatal(err)
	}
	if roots := javaRoots(append(nameless, text...)); binary.BigEndian.Uint32(roots[8:]) != 1 {
		t.Error("a certificate without an issuer is in the store, which Java refuses then")
	}
}

func TestJavaOptions(t *testing.T) {
	t.Setenv("JAVA_TOOL_OPTIONS", "-Xmx1g")
	if got := javaOptions("/a b/c.jks"); got != `-Xmx1g "-Djavax.net.ssl.trustStore=/a b/c.jks" -Djavax.net.ssl.trustStoreType=JKS` {
		t.Error(got)
	} else if t.Setenv("JAVA_TOOL_OPTIONS", got); javaOptions("/a b/c.jks") != got {
		t.Errorf("a second time it is %s", javaOptions("/a b/c.jks"))
	}
}

// The Java is the one that JAVA_HOME names, else the one whose keytool would run.
func TestJavaHome(t *testing.T) {
	home := filepath.Join(t.TempDir(), "jvm", "java-17")
	bin, path := filepath.Join(home, "bin"), t.TempDir()
	tool := "keytool"
	if runtime.GOOS == "windows" {
		tool += ".exe"
	}
	if err := os.MkdirAll(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, tool), nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(bin, tool), filepath.Join(path, tool)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("JAVA_HOME", "")
	t.Setenv("PATH", path)
	want, err := filepath.EvalSymlinks(home)
	if err != nil {
		t.Fatal(err)
	}
	if got := javaHome(); got != want {
		t.Errorf("on the PATH: %q, want %q", got, want)
	}
	t.Setenv("PATH", bin+"x")
	if got := javaHome(); got != "" {
		t.Errorf("without one: %q", got)
	}
	t.Setenv("JAVA_HOME", "/opt/java")
	if got := javaHome(); got != "/opt/java" {
		t.Errorf("by name: %q", got)
	}
}

// What run adds goes behind the store, and leaves loopback to the proxy.
func TestJavaProxy(t *testing.T) {
	if got := javaProxy("127.0.0.1", "8080"); got != " -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=8080 -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=8080 -Dhttp.nonProxyHosts=" {
		t.Error(got)
	}
}

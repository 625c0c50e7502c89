package main

import (
	"bytes"
	"encoding/binary"
	"encoding/pem"
	"os"
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
}

func TestJavaOptions(t *testing.T) {
	t.Setenv("JAVA_TOOL_OPTIONS", "-Xmx1g")
	if got := javaOptions("/a b/c.jks"); got != `-Xmx1g "-Djavax.net.ssl.trustStore=/a b/c.jks" -Djavax.net.ssl.trustStoreType=JKS` {
		t.Error(got)
	} else if t.Setenv("JAVA_TOOL_OPTIONS", got); javaOptions("/a b/c.jks") != got {
		t.Errorf("a second time it is %s", javaOptions("/a b/c.jks"))
	}
}

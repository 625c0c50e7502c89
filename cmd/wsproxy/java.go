package main

import (
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unicode/utf16"
)

// javaPassword seals Java's stores, everywhere: it keeps nothing secret.
const javaPassword = "changeit"

// javaHome is where the Java is that JAVA_HOME or, without it, the PATH names;
// empty if there is none.
func javaHome() string {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		return home
	}
	tool, err := exec.LookPath("keytool")
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(tool); err == nil {
		tool = real
	}
	return filepath.Dir(filepath.Dir(tool))
}

// javaStore is a store of trusted certificates that every Java reads (JKS, as
// sun.security.provider.JavaKeyStore has it). made is a time in milliseconds.
func javaStore(names []string, certs [][]byte, made int64) []byte {
	const magic, version, trusted = 0xfeedfeed, 2, 2
	u32 := binary.BigEndian.AppendUint32
	text := func(b []byte, s string) []byte { // names and kinds are ASCII
		return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
	}
	b := u32(u32(u32(nil, magic), version), uint32(len(certs)))
	for i, der := range certs {
		b = text(u32(b, trusted), names[i])
		b = binary.BigEndian.AppendUint64(b, uint64(made))
		b = append(u32(text(b, "X.509"), uint32(len(der))), der...)
	}
	seal := sha1.New()
	for _, c := range utf16.Encode([]rune(javaPassword)) {
		seal.Write(binary.BigEndian.AppendUint16(nil, c)) // a hash never fails
	}
	seal.Write([]byte("Mighty Aphrodite"))
	seal.Write(b)
	return seal.Sum(b)
}

// javaRoots are the certificates of a PEM file as Java's store. What Java could not
// read is left out: it would refuse the store.
func javaRoots(roots []byte) []byte {
	var names []string
	var certs [][]byte
	for block, rest := pem.Decode(roots); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil || len(c.Issuer.Names) == 0 { // Java takes none without an issuer
			continue
		}
		names = append(names, fmt.Sprint("root-", len(certs)))
		certs = append(certs, bytes.Clone(block.Bytes))
	}
	return javaStore(names, certs, 0)
}

// javaVariable is read by every Java that starts, which says so.
const javaVariable = "JAVA_TOOL_OPTIONS"

// javaProxy are the options that send Java's own clients through a proxy, to
// loopback too. They go behind others.
func javaProxy(host, port string) string {
	options := ""
	for _, scheme := range []string{"http", "https"} {
		options += " -D" + scheme + ".proxyHost=" + host + " -D" + scheme + ".proxyPort=" + port
	}
	return options + " -Dhttp.nonProxyHosts="
}

// javaOptions are what JAVA_TOOL_OPTIONS is to hold for a store, beside what it has.
func javaOptions(path string) string {
	store := "-Djavax.net.ssl.trustStore=" + path
	if strings.ContainsAny(store, " \t") {
		store = `"` + store + `"`
	}
	store += " -Djavax.net.ssl.trustStoreType=JKS"
	before := os.Getenv(javaVariable)
	if strings.Contains(before, store) {
		return before
	}
	return strings.TrimSpace(before + " " + store)
}

package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/proxy"
)

// secureFlags say how TLS is spoken.
type secureFlags struct {
	tls        bool
	cert, key  string // of listeners
	clientCert string
	keyLog     string
}

// registerDoor registers what concerns listeners.
func (f *secureFlags) registerDoor(cmd *cobra.Command) {
	s := cmd.Flags()
	s.BoolVar(&f.tls, "tls", false, "listen with TLS (https, wss), with a certificate of wsproxy's own authority (wsproxy ca)")
	s.StringVar(&f.cert, "cert", "", "listen with TLS and this certificate, a PEM `FILE` with its chain")
	s.StringVar(&f.key, "key", "", "`FILE` with the key of --cert, if it is not in there")
	_ = cmd.MarkFlagFilename("cert", "pem", "crt")
	_ = cmd.MarkFlagFilename("key", "pem", "key") // these fail only for unknown flags
}

// registerTLS registers what concerns all TLS.
func (f *secureFlags) registerTLS(cmd *cobra.Command) {
	s := cmd.Flags()
	s.StringVar(&f.clientCert, "client-cert", "", "show this certificate to servers that ask for one, PEM `FILE[,KEY]`")
	s.StringVar(&f.keyLog, "keylog", "", "add the keys of all TLS to `FILE`, with which Wireshark reads what tcpdump saw (also: SSLKEYLOGFILE)")
}

// door says whether listeners speak TLS: by a flag, or by how they are written.
func (f *secureFlags) door(listen []string) (bool, error) {
	secure := 0
	for _, a := range listen {
		if strings.HasPrefix(a, "https://") || strings.HasPrefix(a, "wss://") {
			secure++
		}
	}
	asked := f.tls || f.cert != ""
	switch {
	case f.key != "" && f.cert == "":
		return false, usagef("--cert FILE --key FILE", "--key is that of a --cert")
	case secure > 0 && secure < len(listen) && !asked:
		return false, usagef("start a wsproxy for each", "listeners with TLS and without do not go together")
	}
	return asked || secure > 0, nil
}

// client reads the certificate that is shown to servers; nil: there is none.
func (f *secureFlags) client() (*tls.Certificate, error) {
	if f.clientCert == "" {
		return nil, nil
	}
	cert, key, _ := strings.Cut(f.clientCert, ",")
	return readPair("--client-cert", cert, key)
}

// keys opens the key log. What it answers is to be closed at the end; nil: nothing
// is.
func (f *secureFlags) keys(c *proxy.Config) (io.Closer, error) {
	path := f.keyLog
	if path == "" {
		path = os.Getenv("SSLKEYLOGFILE")
	}
	if path == "" {
		return nil, nil
	}
	keys, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, failf("", "cannot write the keys to %s: %v", path, cause(err))
	}
	c.KeyLog = keys
	c.Logf("warning: the keys of all TLS go to %s: whoever reads it reads the traffic", path)
	return keys, nil
}

// certificate answers listeners' certificates: the one of --cert, or leaves of the
// user's authority.
func (f *secureFlags) certificate() (func(string) (*tls.Certificate, error), error) {
	if f.cert != "" {
		pair, err := readPair("--cert", f.cert, f.key)
		return func(string) (*tls.Certificate, error) { return pair, nil }, err
	}
	a, err := openCA()
	if err != nil {
		return nil, err
	}
	return func(host string) (*tls.Certificate, error) {
		if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() || host == "localhost" {
			return a.Leaf(host, ownNames())
		}
		return a.Leaf(host, nil)
	}, nil
}

// ownNames are how this machine is called from itself: Java names no server when it
// means localhost, and then wants to see just that name.
func ownNames() *x509.Certificate {
	return &x509.Certificate{DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}}
}

// readPair reads a certificate and its key, which may be in one file. No error tells
// what is in them.
func readPair(flag, cert, key string) (*tls.Certificate, error) {
	if key == "" {
		key = cert
	}
	for _, path := range []string{cert, key} {
		if _, err := os.Stat(path); err != nil {
			return nil, failf("", "%s: cannot read %s: %v", flag, path, cause(err))
		}
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, failf("a PEM file holds BEGIN CERTIFICATE and, in it or in another, BEGIN PRIVATE KEY", "%s: %s", flag, strings.TrimPrefix(fmt.Sprint(err), "tls: "))
	}
	return &pair, nil
}

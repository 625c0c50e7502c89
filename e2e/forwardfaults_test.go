package e2e

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/internal/wstest"
)

// spoilt is a server whose certificate is not as it should be, and the certificate.
func spoilt(t *testing.T, change func(*x509.Certificate)) (addr string, cert []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	change(c)
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	must(t, err)
	s := httptest.NewUnstartedServer(http.HandlerFunc(wstest.Echo))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: k}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// fault is something that goes wrong behind a forward proxy: what a client sends,
// what it is answered, and what is said and shown of it, once.
type fault struct {
	name   string
	play   func(t *testing.T, p *proxied) (answer []byte)
	answer string
	says   string // on stderr, a line of its own; empty: nothing
	shows  string // on stdout, a line of its own
}

// sends is a client that sends some bytes and reads what comes.
func sends(text string) func(*testing.T, *proxied) []byte {
	return func(t *testing.T, p *proxied) []byte {
		c := p.raw(t)
		must(t, c.Send([]byte(strings.ReplaceAll(text, "PROXY", p.addr))), c.CloseWrite())
		answer, err := c.Rest()
		if err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		return answer
	}
}

// insideTLS is a client that opens a tunnel, shakes hands and sends an upgrade.
func insideTLS(addr string, config *tls.Config) func(*testing.T, *proxied) []byte {
	return func(t *testing.T, p *proxied) []byte {
		c := p.raw(t)
		must(t, c.Send([]byte("CONNECT "+addr+" HTTP/1.1\r\n\r\n")))
		if _, err := c.Head(); err != nil {
			t.Fatal(err)
		}
		s := tls.Client(c, config)
		if _, err := s.Write([]byte(wstest.UpgradeRequest(addr, "/", ""))); err != nil {
			return []byte(err.Error())
		}
		r := bufio.NewReader(s)
		answer, err := r.Peek(len("HTTP/1.1 502 "))
		must(t, err)
		if bytes.HasSuffix(answer, []byte(" 502 ")) {
			answer, err = io.ReadAll(r)
			must(t, err)
		}
		must(t, c.Close())
		return answer
	}
}

// What goes wrong behind a forward proxy is said in one line and shown in one, and
// disturbs nobody else.
func TestForwardFaults(t *testing.T) {
	t.Parallel()
	closed := nobody(t)
	selfSigned, _ := spoilt(t, func(*x509.Certificate) {})
	expired, expiredCert := spoilt(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-24 * time.Hour) })
	wrong, wrongCert := spoilt(t, func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"other.example"}, nil })
	good, goodCert := spoilt(t, func(c *x509.Certificate) {})
	echo := serve(t, http.HandlerFunc(wstest.Echo)).Addr
	dir := t.TempDir()
	trusted := filepath.Join(dir, "trusted.pem")
	must(t, os.WriteFile(trusted, bytes.Join([][]byte{expiredCert, wrongCert, goodCert}, nil), 0o600))
	recording := filepath.Join(dir, "faults.pcapng")
	p := startForwardEnv(t, []string{"SSL_CERT_FILE=" + trusted, "WSPROXY_CA_DIR=" + dir}, "--plain", "--record", recording)
	own, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	must(t, err)
	trust := &tls.Config{ServerName: "127.0.0.1", RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	trust.RootCAs.AppendCertsFromPEM(own)
	by := &bystander{t: t, c: p.raw(t)}
	must(t, by.c.Upgrade(wstest.UpgradeRequest(echo, "ws://"+echo+"/bystander", "")))
	for _, f := range []fault{
		{"closed port", sends("CONNECT " + closed + " HTTP/1.1\r\n\r\n"), "502 Bad Gateway",
			"the server " + closed + " cannot be reached: connection refused", "  http   502  CONNECT " + closed},
		{"no such host", sends("CONNECT no-such-host.invalid:443 HTTP/1.1\r\n\r\n"), "502 Bad Gateway",
			"no-such-host.invalid cannot be found", "  http   502  CONNECT no-such-host.invalid:443"},
		{"itself", sends("CONNECT PROXY HTTP/1.1\r\n\r\n"), "502 Bad Gateway",
			p.addr + " is wsproxy itself", "  http   502  CONNECT " + p.addr},
		{"itself, by an upgrade", sends("GET ws://PROXY/x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), "502 Bad Gateway",
			p.addr + " is wsproxy itself", "  refused  ws://" + p.addr + "/x  502 Bad Gateway: " + p.addr + " is wsproxy itself"},
		{"TLS garbage", sends("CONNECT " + echo + " HTTP/1.1\r\n\r\n\x16garbage garbage"), "200 ",
			"the client's TLS cannot be read: first record", "  the client's TLS cannot be read: first record"},
		{"TLS to the proxy", sends("\x16\x03\x01\x00\x05hello"), "",
			"a proxy's URL begins with http://", "  a client speaks TLS to the proxy's port"},
		{"no SNI", insideTLS(good, &tls.Config{InsecureSkipVerify: true}), "HTTP/1.1 101 ",
			"", "  open   101  wss://" + good + "/"},
		{"self-signed", insideTLS(selfSigned, trust), "502 Bad Gateway",
			"the certificate of " + selfSigned + " is not trusted: it is self-signed (--insecure", "  refused  wss://" + selfSigned + "/  502 Bad Gateway: the certificate"},
		{"expired", insideTLS(expired, trust), "502 Bad Gateway",
			"the certificate of " + expired + " is not trusted: it expired on ", "  refused  wss://" + expired + "/  502 Bad Gateway: the certificate"},
		{"wrong name", insideTLS(wrong, trust), "502 Bad Gateway",
			"it is for other.example, not for 127.0.0.1", "  refused  wss://" + wrong + "/  502 Bad Gateway: the certificate"},
		{"a client without trust", insideTLS(good, &tls.Config{ServerName: "127.0.0.1", RootCAs: x509.NewCertPool()}), "unknown authority",
			"the client does not take wsproxy's certificate for 127.0.0.1: bad certificate; wsproxy ca env", "  CONNECT " + good + "  0 up 0 down  the client does not take"},
	} {
		t.Log(f.name)
		said, shown := strings.Count(p.stderr.String(), "\n"), strings.Count(p.stdout.String(), f.shows)
		answer := f.play(t, p)
		p.stdout.wait(t, f.shows, shown+1)
		by.undisturbed()
		if !bytes.Contains(answer, []byte(f.answer)) {
			t.Errorf("answered %.300q", answer)
		}
		lines := strings.Split(p.stderr.String(), "\n")[said:]
		if f.says == "" && len(lines) != 1 || f.says != "" && (len(lines) != 2 || !strings.HasPrefix(lines[0], "wsproxy: ") || !strings.Contains(lines[0], f.says)) {
			t.Errorf("said\n%s", strings.Join(lines, "\n"))
		}
	}
	p.stop(t)
	key, err := os.ReadFile(filepath.Join(dir, "ca-key.pem"))
	must(t, err)
	b, err := os.ReadFile(recording)
	must(t, err)
	for _, line := range strings.Split(string(key), "\n") {
		if secret := strings.TrimSpace(line); secret != "" && !strings.HasPrefix(secret, "-----") && strings.Contains(p.stdout.String()+p.stderr.String()+string(b), secret) {
			t.Error("the CA's key shows")
		}
	}
}

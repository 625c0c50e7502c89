// Package ca is wsproxy's own certificate authority: made at first need in the
// user's configuration folder, it signs a certificate for each host whose TLS is
// taken apart. It proves nothing to anybody who was not told to trust it.
package ca

import (
	"container/list"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// How long what certificates last. Clients refuse leaves of more than 398 days.
const (
	rootLife = 10 * 365 * 24 * time.Hour
	leafLife = 90 * 24 * time.Hour
	backdate = 24 * time.Hour // clocks differ
)

// leafLimit bounds the leaves that are kept.
const leafLimit = 500

// The files in the folder.
const (
	certFile = "ca.pem"
	keyFile  = "ca-key.pem"
)

// Authority signs leaves. Its methods may be called by several goroutines.
type Authority struct {
	path string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	leaf *ecdsa.PrivateKey // one for all leaves: making one takes as long as signing

	mu     sync.Mutex
	leaves map[string]*list.Element // of recent
	recent *list.List               // of *kept, the one that was wanted last in front
}

// kept is a leaf that was signed.
type kept struct {
	key  string
	leaf *tls.Certificate
}

// Dir is the folder of the user's CA: $WSPROXY_CA_DIR, or wsproxy in the user's
// configuration folder.
func Dir() (string, error) {
	if dir := os.Getenv("WSPROXY_CA_DIR"); dir != "" {
		return dir, nil
	}
	base, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("no folder for the CA: %w", err)
	}
	return filepath.Join(base, "wsproxy"), nil
}

// Open reads the CA of a folder, or makes one where there is none. The errors say
// which file is wrong and why, never what is in it.
func Open(dir string) (*Authority, error) {
	a := &Authority{path: filepath.Join(dir, certFile), leaves: map[string]*list.Element{}, recent: list.New()}
	err := a.load(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = a.make(dir); err == nil || errors.Is(err, fs.ErrExist) {
			err = a.loadSoon(dir)
		}
	} else if errors.Is(err, errHalf) {
		err = a.loadSoon(dir)
	}
	if err != nil {
		return nil, err
	}
	a.leaf, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return a, err
}

// errHalf is a CA whose key is there and whose certificate is not: it is lost, or about
// to be written. It adds nothing to what is said.
var errHalf = errors.New("")

// loadSoon reads what another process, which was first, may just be writing.
func (a *Authority) loadSoon(dir string) (err error) {
	for range 100 {
		if err = a.load(dir); err == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond) // no system tells when a file is there
	}
	return err
}

// load reads both files. It is fs.ErrNotExist only if neither is there.
func (a *Authority) load(dir string) error {
	cert, certErr := readPEM(filepath.Join(dir, certFile), "CERTIFICATE")
	key, keyErr := readPEM(filepath.Join(dir, keyFile), "EC PRIVATE KEY")
	switch noCert, noKey := errors.Is(certErr, fs.ErrNotExist), errors.Is(keyErr, fs.ErrNotExist); {
	case noCert && noKey:
		return certErr
	case noKey:
		return fmt.Errorf("the CA in %s has lost its key, %s; remove %s to have a new one made", dir, keyFile, certFile)
	case noCert:
		return fmt.Errorf("the CA in %s has lost its certificate, %s; remove %s to have a new one made%w", dir, certFile, keyFile, errHalf)
	case certErr != nil:
		return certErr
	case keyErr != nil:
		return keyErr
	}
	var err error
	if a.cert, err = x509.ParseCertificate(cert); err != nil {
		return fmt.Errorf("%s holds no certificate that can be read", filepath.Join(dir, certFile))
	}
	if a.key, err = x509.ParseECPrivateKey(key); err != nil {
		return fmt.Errorf("%s holds no key that can be read", filepath.Join(dir, keyFile)) // what stands in it is nobody's business
	}
	switch {
	case !a.key.PublicKey.Equal(a.cert.PublicKey):
		return fmt.Errorf("the key %s is not that of %s", filepath.Join(dir, keyFile), certFile)
	case !a.cert.IsCA:
		return fmt.Errorf("%s is no CA's certificate", filepath.Join(dir, certFile))
	case time.Now().After(a.cert.NotAfter):
		return fmt.Errorf("the CA in %s expired on %s; remove it to have a new one made", dir, a.cert.NotAfter.Format(time.DateOnly))
	}
	return nil
}

func readPEM(path, kind string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s is no PEM file with a %s", path, strings.ToLower(kind))
	}
	return block.Bytes, nil
}

// make makes a CA. It is fs.ErrExist if another process was first: who writes the
// key writes the certificate, which comes after it.
func (a *Authority) make(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := newSerial()
	if err != nil {
		return err
	}
	now := time.Now()
	c := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "wsproxy CA (" + owner() + ")", Organization: []string{"wsproxy"}},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(rootLife), IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	cert, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := writePEM(filepath.Join(dir, keyFile), "EC PRIVATE KEY", secret, 0o600); err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, certFile), "CERTIFICATE", cert, 0o644)
}

// writePEM writes a file whole or not at all. It is fs.ErrExist if it is there.
func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	err = pem.Encode(f, &pem.Block{Type: kind, Bytes: der})
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		if err = os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
			return rename(f.Name(), path) // a file system without links
		}
	}
	return errors.Join(err, os.Remove(f.Name()))
}

// rename is Link's second best: two that look at the same moment may both write.
func rename(from, to string) error {
	_, err := os.Lstat(to)
	switch {
	case err == nil:
		err = fs.ErrExist
	case errors.Is(err, fs.ErrNotExist):
		if err = os.Rename(from, to); err == nil {
			return nil
		}
	}
	return errors.Join(err, os.Remove(from))
}

// owner is user@host, so that the CA is told from another's.
func owner() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "somewhere"
	}
	return name + "@" + host
}

func newSerial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}

// Certificate is the CA's own.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// Path is the file with the CA's certificate, which clients are told to trust.
func (a *Authority) Path() string { return a.path }

// Fingerprint is the SHA-256 of the CA's certificate, in hexadecimal with colons.
func (a *Authority) Fingerprint() string {
	sum := sha256.Sum256(a.cert.Raw)
	var all []string
	for _, b := range sum {
		all = append(all, strings.ToUpper(hex.EncodeToString([]byte{b})))
	}
	return strings.Join(all, ":")
}

// Leaf is a certificate for a host, a name or an address, and for the names of the
// mirror, the server's own; it may be nil. The chain has the CA's in it. Those
// wanted last are kept until half their time is over.
func (a *Authority) Leaf(host string, mirror *x509.Certificate) (*tls.Certificate, error) {
	key := strings.ToLower(host)
	if mirror != nil {
		sum := sha256.Sum256(mirror.Raw)
		key += string(sum[:])
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if e := a.leaves[key]; e != nil {
		if c := e.Value.(*kept).leaf; time.Until(c.Leaf.NotAfter) > c.Leaf.NotAfter.Sub(c.Leaf.NotBefore)/2 {
			a.recent.MoveToFront(e)
			return c, nil
		}
		a.forget(e)
	}
	c, err := a.sign(host, mirror)
	if err != nil {
		return nil, err
	}
	a.leaves[key] = a.recent.PushFront(&kept{key, c})
	if a.recent.Len() > leafLimit {
		a.forget(a.recent.Back())
	}
	return c, nil
}

// forget lets go of a leaf: a.mu is held.
func (a *Authority) forget(e *list.Element) {
	delete(a.leaves, a.recent.Remove(e).(*kept).key)
}

func (a *Authority) sign(host string, mirror *x509.Certificate) (*tls.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	c := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: clip(host), Organization: []string{"wsproxy"}},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(leafLife), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true}
	if a.cert.NotAfter.Before(c.NotAfter) {
		c.NotAfter = a.cert.NotAfter
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil {
		c.IPAddresses = []net.IP{ip}
	} else {
		c.DNSNames = []string{host}
	}
	if mirror != nil {
		for _, name := range mirror.DNSNames {
			if !strings.EqualFold(name, host) {
				c.DNSNames = append(c.DNSNames, name)
			}
		}
		for _, ip := range mirror.IPAddresses {
			if len(c.IPAddresses) == 0 || !c.IPAddresses[0].Equal(ip) {
				c.IPAddresses = append(c.IPAddresses, ip)
			}
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, a.leaf.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("certificate for %q: %w", host, err)
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: a.leaf, Leaf: leaf}, err
}

// clip keeps a name within what a common name may have (RFC 5280 appendix A.1).
func clip(s string) string { return s[:min(len(s), 64)] }

// Expiring says that the authority's own certificate ends before long: what clients
// were told to trust is to be made anew in time, which only its user can do.
func (a *Authority) Expiring() bool { return time.Until(a.cert.NotAfter) < leafLife }

// Trusted says that the system takes the authority for one, as programs that ask it
// see it.
func (a *Authority) Trusted() bool {
	_, err := a.cert.Verify(x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

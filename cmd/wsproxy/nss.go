package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// nssFolders are where Chromium and Firefox keep their stores, below the user's
// folder: each that holds a cert9.db is one.
var nssFolders = []string{
	".pki/nssdb",                 // Chromium and what is made of it
	"snap/chromium/*/.pki/nssdb", // from a snap
	".mozilla/firefox/*",         // Firefox's profiles
	".config/mozilla/firefox/*",  // newer ones
	"snap/firefox/common/.mozilla/firefox/*",
	".var/app/org.mozilla.firefox/.mozilla/firefox/*",
	"Library/Application Support/Firefox/Profiles/*",
}

// nssStores are the stores of the user's browsers, changed with certutil: the
// library's own code tells neither which it changed nor which it could not.
type nssStores struct {
	certutil string
	folders  []string
}

func openNSS() (store, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	s := &nssStores{}
	for _, pattern := range nssFolders {
		found, _ := filepath.Glob(filepath.Join(home, pattern, "cert9.db")) // the patterns are good
		for _, db := range found {
			s.folders = append(s.folders, filepath.Dir(db))
		}
	}
	if len(s.folders) == 0 {
		return nil, errors.New("no browser has made its store yet: start Chromium or Firefox once")
	}
	if s.certutil, err = exec.LookPath("certutil"); err != nil {
		return nil, errors.New("certutil is not installed (Debian: apt install libnss3-tools)")
	}
	return s, nil
}

// nickname is the authority's in a store: another user's, or one made later, has
// another.
func nickname(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return c.Subject.CommonName + " " + hex.EncodeToString(sum[:4])
}

func (s *nssStores) run(folder string, args ...string) ([]byte, error) {
	cmd := exec.Command(s.certutil, append(args, "-d", "sql:"+folder)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		line, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n")
		return nil, fmt.Errorf("%s: %s", folder, strings.TrimPrefix(line, "certutil: "))
	}
	return out, nil
}

// has says whether one store holds the authority. One that holds another under the
// same name does not.
func (s *nssStores) has(folder string, c *x509.Certificate) bool {
	out, err := s.run(folder, "-L", "-n", nickname(c), "-a")
	block, _ := pem.Decode(out)
	return err == nil && block != nil && bytes.Equal(block.Bytes, c.Raw)
}

func (s *nssStores) Exists(c *x509.Certificate) bool {
	for _, folder := range s.folders {
		if !s.has(folder, c) {
			return false
		}
	}
	return true
}

// each changes every store that wants it, and names those that could not be changed.
func (s *nssStores) each(c *x509.Certificate, install bool, args ...string) error {
	var errs []error
	for _, folder := range s.folders {
		if s.has(folder, c) != install {
			_, err := s.run(folder, args...)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *nssStores) Install(path string, c *x509.Certificate) error {
	return s.each(c, true, "-A", "-t", "C,,", "-n", nickname(c), "-i", path)
}

func (s *nssStores) Uninstall(_ string, c *x509.Certificate) error {
	return s.each(c, false, "-D", "-n", nickname(c))
}

func (s *nssStores) where() string { return strings.Join(s.folders, ", ") }

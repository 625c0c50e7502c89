package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/smallstep/truststore"
	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/proxy/ca"
)

func caCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "The certificate authority: where it is, and who trusts it",
		Long: `To look into wss:// and https://, wsproxy shows clients certificates of an
authority of its own, which is made at first need and lies in your configuration
folder (or in $WSPROXY_CA_DIR). Nobody trusts it until you say so: for one shell
with wsproxy ca env, for one command with wsproxy run, or for this machine with
wsproxy ca install. Whoever has its key can pretend to be any server to those
who trust it.`,
		Example: `  curl -x localhost:8080 --cacert "$(wsproxy ca path)" https://example.com/
  eval "$(wsproxy ca env)"
  wsproxy ca install --dry-run`,
		Args: exactly(0, "no arguments; path, env, install and uninstall are commands of their own"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := openCA()
			if err != nil {
				return err
			}
			describeCA(cmd.OutOrStdout(), a)
			return nil
		},
	}
	cmd.AddCommand(caPathCmd(), caEnvCmd(), caStoreCmd("install"), caStoreCmd("uninstall"))
	return cmd
}

func describeCA(w io.Writer, a *ca.Authority) {
	c := a.Certificate()
	fmt.Fprintf(w, "certificate   %s\n", a.Path())
	fmt.Fprintf(w, "subject       %s\n", c.Subject.CommonName)
	fmt.Fprintf(w, "SHA-256       %s\n", a.Fingerprint())
	fmt.Fprintf(w, "SPKI          %s\n", spki(c))
	fmt.Fprintf(w, "valid until   %s\n", c.NotAfter.Format(time.DateOnly))
	if a.Expiring() {
		fmt.Fprintf(w, "              soon: remove both files in %s, and install the new one in its place\n", filepath.Dir(a.Path()))
	}
	for _, s := range caStores {
		fmt.Fprintf(w, "%-12s  %s\n", s.name, s.state(a))
	}
}

// spki is the digest of a certificate's key, as browsers take it.
func spki(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func caPathCmd() *cobra.Command {
	return &cobra.Command{
		Use: "path", Short: "Print the path of the authority's certificate",
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := openCA()
			if err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), a.Path())
			}
			return err
		},
	}
}

// shells are how an environment variable is set in each, and a word quoted.
var shells = map[string]struct {
	form  string
	quote func(string) string
}{
	"sh":         {"export %s=%s\n", shellWord},
	"fish":       {"set -gx %s %s\n", fishWord},
	"powershell": {"$env:%s = %s\n", powershellWord},
}

// fishWord quotes for fish, where a backslash means something in quotes too.
func fishWord(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}

// powershellWord quotes for PowerShell, where a bare word would be a command.
func powershellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func caEnvCmd() *cobra.Command {
	shell := "sh"
	if runtime.GOOS == "windows" {
		shell = "powershell"
	}
	cmd := &cobra.Command{
		Use: "env", Short: "Print the variables that make programs trust the authority",
		Long: `Print the variables that make curl, Node, Python, Go, Ruby, Java, git and others
trust the authority beside what the system trusts, for programs that a shell
starts from then on.`,
		Example: `  eval "$(wsproxy ca env)"
  wsproxy ca env --shell fish | source`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			sh, ok := shells[shell]
			if !ok {
				return usagef("--shell sh", "--shell takes sh, fish or powershell, not %q", shell)
			}
			a, err := openCA()
			if err != nil {
				return err
			}
			own, err := os.ReadFile(a.Path())
			if err != nil {
				return failf("", "cannot read %s: %v", a.Path(), cause(err))
			}
			all, err := trustEnvironment(a.Path(), own)
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			for _, v := range all {
				fmt.Fprintf(w, sh.form, v.name, sh.quote(v.value))
			}
			fmt.Fprintf(w, "# Chromium and Firefox have stores of their own: wsproxy ca install --store nss\n")
			if runtime.GOOS != "linux" {
				fmt.Fprintf(w, "# Go's programs ask the system's store here: wsproxy ca install --store system\n")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&shell, "shell", shell, "`sh`, fish or powershell")
	return cmd
}

// variable is one of the environment.
type variable struct{ name, value string }

// trustEnvironment writes the files that programs are pointed to and answers the
// variables that do so. own is the authority's certificate, which stands at path.
func trustEnvironment(path string, own []byte) ([]variable, error) {
	roots := systemRoots()
	if !bytes.Contains(roots, bytes.TrimSpace(own)) { // as they do in a shell that was told before
		roots = append(roots, own...)
	}
	bundle, err := keep("roots", ".pem", roots)
	if err != nil {
		return nil, err
	}
	java, err := keep("java", ".jks", javaRoots(roots))
	if err != nil {
		return nil, err
	}
	var all []variable
	for _, name := range trustVariables {
		all = append(all, variable{name, bundle})
	}
	return append(all, variable{"NODE_EXTRA_CA_CERTS", path}, variable{javaVariable, javaOptions(java)}), nil
}

// store holds whom programs trust, and can be changed. truststore's are such.
type store interface {
	Exists(*x509.Certificate) bool
	Install(path string, c *x509.Certificate) error
	Uninstall(path string, c *x509.Certificate) error
}

// caStore is a place where programs look for whom to trust.
type caStore struct {
	name  string
	about string
	open  func() (store, error) // nil: the system's own; the error says what is missing
}

// caStores are those that wsproxy knows.
var caStores = []caStore{
	{name: "system", about: "the system's, for curl, Go, Python's ssl, …"},
	{name: "nss", about: "Chromium's and Firefox's on Linux and macOS", open: openNSS},
	{name: "java", about: "Java's", open: openJava},
}

func openJava() (store, error) {
	if home := javaHome(); home != "" {
		_ = os.Setenv("JAVA_HOME", home) // truststore looks there alone; a name that cannot be set is none
	}
	t, err := truststore.NewJavaTrust()
	if err != nil {
		return nil, errors.New("no Java with keytool is on the PATH or in JAVA_HOME")
	}
	return t, t.PreCheck()
}

// find opens a store and says whether the authority is in it. No store is nil: the
// system's own, or the reason says what is missing.
func (s *caStore) find(a *ca.Authority) (st store, trusted bool, missing error) {
	if s.open == nil {
		for _, name := range []string{"SSL_CERT_FILE", "SSL_CERT_DIR"} { // of a shell that ca env told, and not the system's
			_ = os.Unsetenv(name) // fails for names that are none
		}
		return nil, a.Trusted(), nil
	}
	if st, missing = s.open(); missing != nil {
		return nil, false, missing
	}
	return st, st.Exists(a.Certificate()), nil
}

// state says whether the authority is in it.
func (s *caStore) state(a *ca.Authority) string {
	_, trusted, missing := s.find(a)
	switch {
	case missing != nil:
		return "not found: " + missing.Error()
	case trusted:
		return "trusts it"
	}
	return "does not trust it"
}

// plan says what change would do.
func (s *caStore) plan(a *ca.Authority, install bool) string {
	st, trusted, missing := s.find(a)
	switch {
	case missing != nil:
		return "would be left alone: " + missing.Error()
	case trusted && install:
		return "trusts it already"
	case !trusted && !install && st == nil:
		return "does not trust it"
	}
	verb := map[bool]string{true: "would be added to ", false: "would be taken out of "}[install]
	switch st := st.(type) {
	case *nssStores:
		return verb + st.where()
	case nil:
		return verb + systemStore()
	}
	return verb + "it"
}

// change installs the authority in a store or takes it out, and says what that did.
func (s *caStore) change(a *ca.Authority, install bool) string {
	st, trusted, missing := s.find(a)
	var err error
	switch {
	case missing != nil:
		return "left alone: " + missing.Error()
	case trusted && install:
		return "trusts it already"
	case st == nil && !trusted && !install:
		return "does not trust it"
	case st == nil && install:
		err = truststore.InstallFile(a.Path())
	case st == nil:
		err = truststore.UninstallFile(a.Path())
	case install:
		err = st.Install(a.Path(), a.Certificate())
	default:
		err = st.Uninstall(a.Path(), a.Certificate())
	}
	said := map[bool]string{true: "trusts it now", false: "does not trust it any more"}[install]
	if err != nil {
		return "failed: " + strings.ReplaceAll(cause(err).Error(), "\n", "; ")
	}
	if nss, ok := st.(*nssStores); ok {
		said += ": " + nss.where()
	}
	return said
}

func caStoreCmd(verb string) *cobra.Command {
	var stores []string
	var dry bool
	install := verb == "install"
	cmd := &cobra.Command{
		Use:   verb,
		Short: map[bool]string{true: "Have this machine trust the authority", false: "Take the authority out of this machine's stores"}[install],
		Long: map[bool]string{
			true: `Put the authority into the stores of the system, of Chromium and Firefox (NSS)
and of Java, as far as they are found, and say what was done. The system's needs
administrator's rights, for which sudo may ask.`,
			false: `Take the authority out of the stores again. Its files stay where they are.`}[install],
		Args: exactly(0, "no arguments; --store names one"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, s := range stores {
				if !slices.ContainsFunc(caStores, func(c caStore) bool { return c.name == s }) {
					return usagef("--store nss", "--store takes system, nss or java, not %q", s)
				}
			}
			a, err := openCA()
			if err != nil {
				return err
			}
			failed := false
			for _, s := range caStores {
				if len(stores) > 0 && !slices.Contains(stores, s.name) {
					continue
				}
				said := ""
				if dry {
					said = s.plan(a, install)
				} else {
					said = s.change(a, install)
				}
				failed = failed || strings.HasPrefix(said, "failed")
				fmt.Fprintf(cmd.OutOrStdout(), "%-7s %s (%s)\n", s.name, said, s.about)
			}
			if install && !dry {
				fmt.Fprintln(cmd.OutOrStdout(), "programs that run already may have to be started again")
			}
			if failed {
				return failf("wsproxy ca env does without", "not every store could be changed")
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&stores, "store", nil, "`system`, nss or java, repeatable; all that are found otherwise")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would be done and change nothing")
	return cmd
}

package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/wsproxy/wsproxy/proxy/ca"
)

// browserKind is a family of browsers that are told in the same way.
type browserKind struct {
	name  string
	title string

	commands []string // by which Linux and others find them
	apps     []string // below macOS' folders of applications
	windows  []string // below Windows' folders of programs
	debian   string   // what to install

	// prepare fills the profile and answers the arguments and variables that go
	// with it, but for the page.
	prepare func(*address) (args, env []string, err error)
}

// browserKinds are those that wsproxy knows; the first that is found is taken.
var browserKinds = []browserKind{
	{
		name: "chromium", title: "Chromium", debian: "chromium", prepare: chromium,
		commands: []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "microsoft-edge-stable", "microsoft-edge", "brave-browser"},
		apps: []string{"Chromium.app/Contents/MacOS/Chromium", "Google Chrome.app/Contents/MacOS/Google Chrome",
			"Microsoft Edge.app/Contents/MacOS/Microsoft Edge", "Brave Browser.app/Contents/MacOS/Brave Browser"},
		windows: []string{`Chromium\Application\chrome.exe`, `Google\Chrome\Application\chrome.exe`,
			`Microsoft\Edge\Application\msedge.exe`, `BraveSoftware\Brave-Browser\Application\brave.exe`},
	},
	{
		name: "firefox", title: "Firefox", debian: "firefox-esr", prepare: firefox,
		commands: []string{"firefox", "firefox-esr"},
		apps:     []string{"Firefox.app/Contents/MacOS/firefox", "Firefox Developer Edition.app/Contents/MacOS/firefox"},
		windows:  []string{`Mozilla Firefox\firefox.exe`},
	},
}

// kindOf is that of a program: the named one, or what its name says.
func kindOf(name, program string) *browserKind {
	if name == "" && strings.Contains(strings.ToLower(filepath.Base(program)), "firefox") {
		name = "firefox"
	}
	for i, k := range browserKinds {
		if k.name == name {
			return &browserKinds[i]
		}
	}
	return &browserKinds[0]
}

// machine is where browsers are looked for.
type machine struct {
	system string
	getenv func(string) string
	look   func(string) (string, error) // finds a program by a name or a path
}

func installed() *machine { return &machine{runtime.GOOS, os.Getenv, exec.LookPath} }

// find finds a browser of the named kind; of any without a name.
func (m *machine) find(name string) (*browserKind, string, error) {
	title, suggested := "browser", browserKinds[0].debian
	for i, k := range browserKinds {
		if name != "" && k.name != name {
			continue
		}
		if name != "" {
			title, suggested = k.title, k.debian
		}
		for _, place := range m.places(&k) {
			if path, err := m.look(place); err == nil {
				return &browserKinds[i], path, nil
			}
		}
	}
	hint := "wsproxy browser --program FILE names one"
	if m.system == "linux" {
		hint = "install one (Debian: apt install " + suggested + "), or " + hint
	}
	return nil, "", &exitError{exitNotFound, errors.New("no " + title + " is found"), hint}
}

// places are where a kind's programs may be, in the order of preference.
func (m *machine) places(k *browserKind) (all []string) {
	join := func(sep string, folders, programs []string) {
		for _, p := range programs {
			for _, f := range folders {
				if f != "" {
					all = append(all, strings.TrimRight(f, sep)+sep+p)
				}
			}
		}
	}
	switch m.system {
	case "darwin":
		folders := []string{"/Applications"}
		if home := m.getenv("HOME"); home != "" {
			folders = append(folders, home+"/Applications")
		}
		join("/", folders, k.apps)
	case "windows":
		join(`\`, []string{m.getenv("ProgramFiles"), m.getenv("ProgramFiles(x86)"), m.getenv("LocalAppData")}, k.windows)
	}
	return append(all, k.commands...)
}

// profilesDir is where profiles go; "" is the system's folder for temporary files. A
// browser from a snap has another one of those, but sees the user's own folder.
func profilesDir(program string) string {
	if !fromSnap(program) {
		return ""
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return home
}

// fromSnap says that a program is a snap's, or one of Ubuntu's scripts that start one.
func fromSnap(program string) bool {
	if strings.HasPrefix(program, "/snap/") {
		return true
	}
	f, err := os.Open(program)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 4096)
	n, err := io.ReadFull(f, head)
	return (err == nil || errors.Is(err, io.ErrUnexpectedEOF)) && bytes.HasPrefix(head, []byte("#!")) && bytes.Contains(head[:n], []byte("/snap/bin/"))
}

// address is what a browser is told of wsproxy.
type address struct {
	authority     *ca.Authority
	host, port    string // of the proxy
	profile, page string
}

func (a *address) set(l net.Addr) {
	a.host, a.port, _ = net.SplitHostPort(reachable(l)) // it is one
}

// quiet is a name that nobody has (RFC 6761 section 6.4): what browsers would ask
// their makers for goes there, past the proxy, and to nobody.
const quiet = "wsproxy.invalid"

// chromiumQuiet are hosts that no flag keeps Chromium from asking on its own account,
// and no page is on: they are sent past the proxy, where no name is resolved.
var chromiumQuiet = []string{quiet, "update.googleapis.com", "clients2.google.com", "redirector.gvt1.com", "optimizationguide-pa.googleapis.com"}

// chromiumOff are what Chromium does in the background.
var chromiumOff = []string{"NetworkTimeServiceQuerying", "OptimizationHints", "MediaRouter", "Translate", "InterestFeedContentSuggestions",
	"CertificateTransparencyComponentUpdater", "AutofillServerCommunication"}

// chromium needs nothing in its profile. It takes wsproxy's certificates because it
// is told the CA's key, which its own flag restricts to this one profile.
func chromium(a *address) (args, env []string, err error) {
	return []string{
		"--user-data-dir=" + a.profile,
		"--proxy-server=http://" + net.JoinHostPort(a.host, a.port),
		"--proxy-bypass-list=<-loopback>;" + strings.Join(chromiumQuiet, ";"), // <-loopback>: that goes through the proxy too
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE " + a.host,            // names are the proxy's to resolve
		"--ignore-certificate-errors-spki-list=" + spki(a.authority.Certificate()),
		"--test-type", // no bar that warns of the flag above
		"--gaia-url=https://" + quiet + "/", "--google-apis-url=https://" + quiet + "/",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-breakpad",
		"--disable-client-side-phishing-detection", "--disable-domain-reliability", "--disable-field-trial-config", "--metrics-recording-only", "--no-pings",
		"--disable-search-engine-choice-screen", "--no-first-run", "--no-default-browser-check", "--password-store=basic", "--use-mock-keychain",
		"--disable-features=" + strings.Join(chromiumOff, ","),
	}, nil, nil
}

// firefox takes settings and the CA from its profile.
func firefox(a *address) (args, env []string, err error) {
	settings := strings.NewReplacer("HOST", a.host, "PORT", a.port, "QUIET", quiet).Replace(firefoxSettings)
	own := runtime.GOOS == "linux" || !a.authority.Trusted()
	if !own { // what the system trusts is Firefox's where it asks it
		settings += `user_pref("security.enterprise_roots.enabled", true);` + "\n"
	}
	if err := os.WriteFile(filepath.Join(a.profile, "user.js"), []byte(settings), 0o600); err != nil {
		return nil, nil, failf("", "cannot make a profile: %v", cause(err))
	}
	if own {
		if err := trustInProfile(a); err != nil {
			return nil, nil, err
		}
	}
	args = []string{"--no-remote", "--profile", a.profile}
	if runtime.GOOS == "windows" {
		args = append(args, "--wait-for-browser") // else its launcher ends at once
	}
	return args, []string{"MOZ_REMOTE_SETTINGS_DEVTOOLS=1", "MOZ_CRASHREPORTER_DISABLE=1"}, nil
}

// trustInProfile makes the profile's store of certificates, with the CA in it.
func trustInProfile(a *address) error {
	tool, err := exec.LookPath("certutil")
	if err != nil || runtime.GOOS == "windows" { // where another program has that name
		hint := map[string]string{"linux": "apt install libnss3-tools, or wsproxy browser chromium", "darwin": "brew install nss, or wsproxy ca install, or wsproxy browser chromium"}[runtime.GOOS]
		if hint == "" {
			hint = "wsproxy ca install, or wsproxy browser chromium"
		}
		return failf(hint, "Firefox is told to trust wsproxy by NSS's certutil, which is not found")
	}
	s := &nssStores{certutil: tool, folders: []string{a.profile}}
	if _, err = s.run(a.profile, "-N", "--empty-password"); err == nil {
		err = s.Install(a.authority.Path(), a.authority.Certificate())
	}
	if err != nil {
		return failf("", "cannot make the profile's store of certificates: %v", err)
	}
	return nil
}

// firefoxSettings are Firefox's user.js: the proxy, also for loopback, and that it
// asks nobody on its own account.
const firefoxSettings = `user_pref("network.proxy.type", 1);
user_pref("network.proxy.http", "HOST");
user_pref("network.proxy.http_port", PORT);
user_pref("network.proxy.ssl", "HOST");
user_pref("network.proxy.ssl_port", PORT);
user_pref("network.proxy.no_proxies_on", "QUIET");
user_pref("network.proxy.allow_hijacking_localhost", true);
user_pref("network.proxy.failover_direct", false);
user_pref("network.dns.localDomains", "QUIET");
user_pref("network.trr.mode", 5);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.prefetch-next", false);
user_pref("network.dns.disablePrefetch", true);
user_pref("network.http.speculative-parallel-limit", 0);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.page", 0);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("browser.aboutwelcome.enabled", false);
user_pref("startup.homepage_welcome_url", "about:blank");
user_pref("startup.homepage_welcome_url.additional", "");
user_pref("browser.newtabpage.enabled", false);
user_pref("browser.newtabpage.activity-stream.feeds.system.topstories", false);
user_pref("browser.newtabpage.activity-stream.unifiedAds.endpoint", "https://QUIET/");
user_pref("browser.newtabpage.activity-stream.feeds.topsites", false);
user_pref("browser.topsites.contile.enabled", false);
user_pref("browser.region.update.enabled", false);
user_pref("browser.region.network.url", "");
user_pref("browser.search.update", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.safebrowsing.downloads.enabled", false);
user_pref("browser.safebrowsing.blockedURIs.enabled", false);
user_pref("browser.safebrowsing.update.enabled", false);
user_pref("browser.safebrowsing.provider.google4.updateURL", "");
user_pref("browser.safebrowsing.provider.google5.updateURL", "");
user_pref("browser.safebrowsing.provider.mozilla.updateURL", "");
user_pref("browser.contentblocking.report.lockwise.enabled", false);
user_pref("app.update.enabled", false);
user_pref("app.update.url", "https://QUIET/");
user_pref("app.update.disabledForTesting", true);
user_pref("app.normandy.enabled", false);
user_pref("app.normandy.api_url", "");
user_pref("app.shield.optoutstudies.enabled", false);
user_pref("extensions.update.enabled", false);
user_pref("extensions.systemAddon.update.enabled", false);
user_pref("extensions.systemAddon.update.url", "");
user_pref("extensions.getAddons.cache.enabled", false);
user_pref("extensions.blocklist.enabled", false);
user_pref("media.gmp-manager.updateEnabled", false);
user_pref("media.gmp-manager.url", "");
user_pref("media.gmp-provider.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("datareporting.healthreport.uploadEnabled", false);
user_pref("datareporting.policy.dataSubmissionPolicyBypassNotification", true);
user_pref("toolkit.telemetry.enabled", false);
user_pref("toolkit.telemetry.server", "");
user_pref("toolkit.telemetry.reportingpolicy.firstRun", false);
user_pref("dom.push.connection.enabled", false);
user_pref("services.settings.server", "https://QUIET/v1");
user_pref("identity.fxaccounts.enabled", false);
user_pref("browser.tabs.warnOnClose", false);
user_pref("browser.warnOnQuit", false);
user_pref("security.certerrors.mitm.priming.enabled", false);
user_pref("security.OCSP.enabled", 0);
user_pref("termsofuse.bypassNotification", true);
user_pref("telemetry.fog.test.localhost_port", -1);
`

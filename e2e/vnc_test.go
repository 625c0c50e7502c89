package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// noVNC is where Debian keeps it.
const noVNC = "/usr/share/novnc"

// vncPage shows a remote screen and tells what it sees of it: its size, its name and
// the colour in the middle, as soon as there is one.
const vncPage = `<!doctype html><title>vnc</title><link rel=icon href=data:,><div id=screen style="width:400px;height:300px"></div>
<script type=module>
import RFB from '/core/rfb.js';
const tell = (text) => fetch('/told', { method: 'POST', body: text });
const rfb = new RFB(document.getElementById('screen'), new URLSearchParams(location.search).get('at'), { shared: true });
let name = '?';
rfb.addEventListener('desktopname', (e) => { name = e.detail.name; });
rfb.addEventListener('disconnect', (e) => tell('disconnected ' + e.detail.clean));
rfb.addEventListener('connect', () => {
  const look = () => {
    const canvas = document.querySelector('canvas');
    const [r, g, b] = canvas.getContext('2d').getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data;
    if (r + g + b === 0) return setTimeout(look, 20); // nothing is drawn yet
    tell(canvas.width + 'x' + canvas.height + ' ' + name.split(':')[1] + ' ' + [r, g, b]).then(() => rfb.disconnect());
  };
  look();
});
</script>`

// startVNC starts a white screen of 320x200 and x11vnc in front of it, and answers the
// address and the number of the screen.
func startVNC(t *testing.T) (addr, display string) {
	t.Helper()
	x := start(t, nil, "Xvfb", "-displayfd", "1", "-screen", "0", "320x200x24", "-nolisten", "tcp", "-wr")
	display = strings.TrimSpace(x.stdout.wait(t, "\n", 1))
	free := listenTCP(t)
	_, port, err := net.SplitHostPort(free.Addr().String())
	must(t, err)
	must(t, free.Close()) // it takes no listener
	vnc := start(t, nil, "x11vnc", "-display", ":"+display, "-rfbport", port, "-localhost", "-no6", "-nopw", "-forever", "-shared", "-noxdamage")
	vnc.stdout.wait(t, "PORT="+port+"\n", 1)
	return "127.0.0.1:" + port, display
}

// noVNC in Chromium shows a real screen through a bridge, and through websockify with
// wsproxy in front of it; Chromium itself goes through another wsproxy.
func TestVNC(t *testing.T) {
	t.Parallel()
	missing := browserMissing()
	if missing == "" {
		missing = needs("Xvfb", "x11vnc", "websockify")
	}
	if _, err := os.Stat(noVNC + "/core/rfb.js"); missing == "" && err != nil {
		missing = "novnc"
	}
	if leftOut(t, missing) {
		return
	}
	vnc, display := startVNC(t)
	free := listenTCP(t)
	behind := free.Addr().String()
	must(t, free.Close()) // websockify takes no listener and no port 0
	start(t, nil, "websockify", behind, vnc).stderr.wait(t, "proxying from", 1)
	for name, target := range map[string]string{"bridge": "tcp://" + vnc, "websockify": "ws://" + behind} {
		t.Run(name, func(t *testing.T) {
			told := make(chan string, 4)
			mux := http.NewServeMux()
			mux.Handle("/core/", http.FileServer(http.Dir(noVNC)))
			mux.Handle("/vendor/", http.FileServer(http.Dir(noVNC)))
			mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				fmt.Fprint(w, vncPage)
			})
			mux.HandleFunc("/told", func(_ http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body) // what is missing shows
				told <- string(b)
			})
			recording := filepath.Join(t.TempDir(), "vnc.pcapng")
			p := startProxy(t, "--plain", "--record", recording, target)
			page := "http://" + serve(t, mux).Addr + "/?at=ws://" + p.addr + "/"
			browser := start(t, append(home(t), "TMPDIR="+profilesFolder(t)), program, "browser", "--plain", "chromium", page, "--", "--headless")
			for _, want := range []string{"320x200 " + display + " 255,255,255", "disconnected true"} {
				select {
				case got := <-told:
					if got != want {
						t.Errorf("the page tells %q, not %q", got, want)
					}
				case <-browser.done:
					t.Fatalf("the browser has ended:\n%s", browser.stderr)
				case <-time.After(patience):
					t.Fatalf("the page tells nothing:\n%s%s%s", browser.stdout, browser.stderr, p.stderr)
				}
			}
			must(t, browser.cmd.Process.Signal(os.Interrupt))
			browser.wait(t)
			p.stdout.wait(t, "  end ", 1)
			p.stop(t)
			spokeRFB(t, recording, name == "bridge")
		})
	}
}

// spokeRFB checks that a recording has the protocol's greetings both ways, and, of a
// bridge, that the frames carry just what the stream does.
func spokeRFB(t *testing.T, path string, bridged bool) {
	t.Helper()
	var carried [2][]byte
	for _, l := range show(t, path) {
		if l.Event == "frame" && l.Op == "binary" {
			d := inspect.ToServer
			if l.Dir == "<" {
				d = inspect.ToClient
			}
			carried[d] = append(carried[d], l.Binary...)
		}
		for _, f := range l.Findings {
			if bridged || f.ID != "close-code-reserved" { // which websockify does (1005)
				t.Errorf("finding %s at %+v", f.ID, l)
			}
		}
	}
	for d, b := range carried {
		if !bytes.HasPrefix(b, []byte("RFB 003.00")) {
			t.Errorf("direction %d begins with %.20q", d, b)
		}
	}
	if !bridged {
		return
	}
	got := legs{streams{}, map[inspect.ConnID]*[2][]byte{}}
	must(t, record.Follow(context.Background(), path, nil, got))
	for _, s := range got.stream {
		for d, b := range carried {
			differ(t, "the stream and the frames", s[d], b)
		}
	}
	if len(got.stream) != 1 {
		t.Errorf("%d streams", len(got.stream))
	}
}

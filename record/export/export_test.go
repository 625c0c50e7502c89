package export

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

const (
	request = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	answer  = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)

// recorded is a recording of a session in which each side says something.
func recorded(t *testing.T, o record.Options) string {
	t.Helper()
	if o.Path = filepath.Join(t.TempDir(), "a.pcapng"); o.Temporary {
		o.Path = t.TempDir()
	}
	w, err := record.Create(o)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	w.Open(inspect.ConnInfo{ID: 1, Mode: "reverse", Time: at, Client: inspect.Endpoints{Local: "127.0.0.1:8080", Remote: "127.0.0.1:40000"}})
	var off [2]int64
	for _, c := range []struct {
		dir  inspect.Dir
		data string
	}{{inspect.ToServer, request}, {inspect.ToClient, answer}, {inspect.ToServer, "\x81\x85\x00\x00\x00\x00hello"}, {inspect.ToClient, "\x81\x05world"}} {
		w.Chunk(inspect.Chunk{Conn: 1, Dir: c.dir, Time: at, Off: off[c.dir], Data: []byte(c.data)})
		off[c.dir] += int64(len(c.data))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return o.Path
}

// said are the texts in a recording.
func said(t *testing.T, path string) (all []string) {
	t.Helper()
	in := &inspect.Inspector{Emit: func(_ *inspect.Conn, e inspect.Event) {
		if m, ok := e.(*inspect.Message); ok {
			all = append(all, string(m.Data))
		}
	}}
	if err := record.Follow(t.Context(), path, nil, in); err != nil {
		t.Fatal(err)
	}
	return all
}

// Each format has a folder with the first bytes of its files, writes recordings
// and temporary ones, and what it writes says the same.
func TestFormats(t *testing.T) {
	folders, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range folders {
		if _, ok := Named(d.Name()); !ok {
			t.Errorf("testdata/%s belongs to no format: give it a line in Formats", d.Name())
		}
	}
	for _, f := range Formats() {
		want, err := os.ReadFile(filepath.Join("testdata", f.Name, "magic.txt"))
		if err != nil {
			t.Errorf("the format %s has no testdata/%s/magic.txt with the first bytes of its files in hexadecimal", f.Name, f.Name)
			continue
		}
		magic, err := hex.DecodeString(strings.Join(strings.Fields(string(want)), ""))
		if err != nil {
			t.Fatal(err)
		}
		if f.Doc == "" || !strings.HasPrefix(f.Ext, ".") {
			t.Errorf("%+v says too little of itself", f)
		}
		for _, temporary := range []bool{false, true} {
			from := recorded(t, record.Options{Temporary: temporary, Limit: record.MinKeep})
			var out bytes.Buffer
			if _, err := f.Write(context.Background(), from, &out, record.SaveOptions{Version: "test"}); err != nil {
				t.Errorf("%s: %v", f.Name, err)
			}
			if !bytes.HasPrefix(out.Bytes(), magic) {
				t.Errorf("%s begins with %x and not %x", f.Name, out.Bytes()[:min(8, out.Len())], magic)
			}
			if !f.Recording {
				if !bytes.Contains(out.Bytes(), []byte("hello")) || !bytes.Contains(out.Bytes(), []byte("world")) {
					t.Errorf("%s says not what was said: %s", f.Name, out.Bytes())
				}
				continue
			}
			path := filepath.Join(t.TempDir(), "out"+f.Ext)
			if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := said(t, path); !slices.Equal(got, []string{"hello", "world"}) {
				t.Errorf("%s says %q", f.Name, got)
			}
			if got := sharkTexts(t, path); got != nil && !slices.Equal(got, []string{"hello", "world"}) {
				t.Errorf("tshark reads %q of %s", got, f.Name)
			}
		}
	}
}

// sharkTexts is what tshark reads; nil where there is none, which with CI=true
// there must be.
func sharkTexts(t *testing.T, path string) []string {
	t.Helper()
	shark, err := exec.LookPath("tshark")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("tshark is not installed (.ci/tools installs it)")
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, shark, "-r", path, "-Y", "websocket", "-T", "fields", "-e", "websocket.payload.text")
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME=", "LC_ALL=C.UTF-8")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{}, strings.Fields(string(out))...)
}

func TestForFile(t *testing.T) {
	for path, want := range map[string]string{"a.pcapng": "pcapng", "a.PCAPNG.ZST": "pcapng.zst", "x/a.b.pcapng.gz": "pcapng.gz", "a.har": "har", "pcapng": "", "a.k6.js": "k6", "a.js": "", "x.jsonl": "jsonl"} {
		if f, ok := ForFile(path); f.Name != want || ok != (want != "") {
			t.Errorf("%s: %q", path, f.Name)
		}
	}
}

// failing takes a few bytes and then none.
type failing struct{ room int }

func (f *failing) Write(b []byte) (int, error) {
	if f.room -= len(b); f.room < 0 {
		return 0, errors.New("full")
	}
	return len(b), nil
}

// What cannot be written, or read, is an error.
func TestErrors(t *testing.T) {
	from := recorded(t, record.Options{})
	for _, f := range Formats() {
		if _, err := f.Write(t.Context(), from, &failing{20}, record.SaveOptions{}); err == nil {
			t.Errorf("%s: a full disk is no error", f.Name)
		}
		if _, err := f.Write(t.Context(), filepath.Join(t.TempDir(), "none"), &bytes.Buffer{}, record.SaveOptions{}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}

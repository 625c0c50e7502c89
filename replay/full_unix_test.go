//go:build unix

package replay

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	coder "github.com/coder/websocket"
	"golang.org/x/sys/unix"
)

// fullPath, in the environment, makes TestRecordFull record to a file on a disk that
// is full, and say what its test was told.
const fullPath = "WSPROXY_TEST_FULL"

// recordFull records a session on a disk that has room for so many bytes a file.
func recordFull(t *testing.T, path string, room uint64) (told string) {
	t.Helper()
	server := "ws" + strings.TrimPrefix(echoServer(t).URL, "http")
	signal.Ignore(syscall.SIGXFSZ) // a full disk sends none
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: room, Max: room}); err != nil {
		t.Fatal(err)
	}
	f := &fakeT{dir: filepath.Dir(path)}
	s := Record(f, server, path)
	const sent = `{"a":1}`
	c, _, err := coder.Dial(t.Context(), s.URL+"/echo", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Write(t.Context(), coder.MessageText, []byte(sent)); err != nil {
		t.Fatal(err)
	}
	if _, got, err := c.Read(t.Context()); err != nil || string(got) != sent {
		t.Errorf("the traffic did not go on: %q, %v", got, err)
	}
	if err := c.Close(coder.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	if told = f.end(); !f.failed {
		t.Error("the test holds")
	}
	return told
}

// TestRecordFull: a disk that fills while a test records makes the test fail, says so,
// and leaves what was there as it was.
func TestRecordFull(t *testing.T) {
	if path := os.Getenv(fullPath); path != "" {
		t.Log("told: " + recordFull(t, path, 1500))
		return
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "half.ndjson")
	if err := os.WriteFile(path, []byte("as it was\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestRecordFull$", "-test.v")
	cmd.Env = append(os.Environ(), fullPath+"="+path)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "told: replay: what passed cannot be made into "+path+": ") || !strings.Contains(string(out), "file too large") {
		t.Errorf("%v\n%s", err, out)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "as it was\n" {
		t.Errorf("it is %q now (%v)", b, err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
		t.Errorf("%v lie there (%v)", all, err)
	}
}

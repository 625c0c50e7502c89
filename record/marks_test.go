package record

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

func TestMarks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcapng")
	if all, err := ReadMarks(path); all != nil || err != nil {
		t.Errorf("without a file: %v, %v", all, err)
	}
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	want := []Mark{
		{Session: 0xfedcba9876543210, Time: at},
		{Session: 7, Frame: 12, Dir: inspect.ToClient, Off: 1 << 40, Text: "here \n it \x1b breaks", Time: at},
	}
	if err := WriteMarks(path, want); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadMarks(path); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read back as %+v, %v", got, err)
	}
	if st, err := os.Stat(MarksPath(path)); err != nil || st.Mode().Perm()&0o077 != 0 {
		t.Errorf("%v, %v: others may read it", st.Mode(), err)
	}
	if err := os.WriteFile(MarksPath(path), []byte("\n{\"session\":\"7\"}\nno JSON\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadMarks(path); err == nil || !strings.Contains(err.Error(), "a.pcapng.notes:") {
		t.Errorf("a damaged file: %v", err)
	}
	for range 2 {
		if err := WriteMarks(path, nil); err != nil {
			t.Error(err)
		}
	}
	if left, _ := filepath.Glob(path + "*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if err := WriteMarks(filepath.Join(path, "nowhere"), want); err == nil {
		t.Error("written to a folder that is not there")
	}
}

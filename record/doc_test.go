package record

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

// TestNotesAreDocumented: docs/recording.md has a row for every kind of note, and
// names every key.
func TestNotesAreDocumented(t *testing.T) {
	b, err := os.ReadFile("../docs/recording.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for kind, note := range map[string]any{
		inspect.NoteLeg: inspect.LegNote{}, inspect.NoteSession: inspect.SessionNote{}, inspect.NotePeer: inspect.PeerNote{}, inspect.NoteHTTP2: inspect.HTTP2Note{},
		inspect.NoteEnded: endedNote{}, inspect.NoteFailed: inspect.FailedNote{}, inspect.NoteGap: inspect.GapNote{}, inspect.NoteRedacted: inspect.RedactedNote{},
		inspect.NoteStopped: inspect.StoppedNote{}, inspect.NoteFinished: struct{}{}, inspect.NoteContinues: struct{}{},
		inspect.NoteResumed: inspect.ResumedNote{}, inspect.NoteBoundary: inspect.BoundaryNote{}, inspect.NoteSegment: inspect.SegmentNote{},
	} {
		_, row, ok := strings.Cut(text, "\n| `"+kind+"` | ")
		if row, _, _ = strings.Cut(row, "\n"); !ok {
			t.Errorf("docs/recording.md has no row for %s", kind)
		}
		for _, key := range keys(reflect.TypeOf(note)) {
			if key != "kind" && !strings.Contains(row, "`"+key+"`") {
				t.Errorf("docs/recording.md does not say what %s of %s is", key, kind)
			}
		}
	}
}

// keys are the JSON keys of a struct and of what it holds.
func keys(of reflect.Type) []string {
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || !strings.Contains(of.PkgPath(), "wsproxy") {
		return nil
	}
	var all []string
	for i := range of.NumField() {
		f := of.Field(i)
		if key, _, _ := strings.Cut(f.Tag.Get("json"), ","); key != "" && key != "-" {
			all = append(all, key)
		}
		all = append(all, keys(f.Type)...)
	}
	return all
}

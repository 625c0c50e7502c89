package plain

import (
	"strings"
	"testing"

	"github.com/wsproxy/wsproxy/inspect/filter"
)

// TestFilter: of everything that is printed otherwise only the frames that are wanted
// are left; they are counted all the same.
func TestFilter(t *testing.T) {
	for source, want := range map[string][]string{
		`finding == "error"`:        {"Hello"},
		`op == binary`:              {"00ff"},
		`dir == down && op == text`: {`\u{202e}`},
		`hello`:                     {"Hello"},
		`size > 4`:                  {"Hello", `\u{202e}`},
		`session.path contains "x" && session.n == 1 && !session.open`: nil,
		`session.path contains "x" && frame >= 2`:                      {`\u{202e}`, "00ff"},
		`no such thing`: nil,
	} {
		f, err := filter.Compile(source)
		if err != nil {
			t.Fatal(err)
		}
		lines, summary := printed(t, Options{Filter: f})
		if got := strings.Count(lines, "\n"); got != len(want) {
			t.Errorf("%s:\n%s", source, lines)
		}
		for _, w := range want {
			if !strings.Contains(lines, w) {
				t.Errorf("%s: no %q in\n%s", source, w, lines)
			}
		}
		if !strings.Contains(summary, "3 frames, 1 finding") {
			t.Errorf("%s: %s", source, summary)
		}
	}
}

package plain

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestOutputIsDocumented: docs/output.md has a row for every key, of the right
// type, and none that is not printed.
func TestOutputIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/output.md")
	if err != nil {
		t.Fatal(err)
	}
	lines, findings, ok := strings.Cut(string(text), "\nA finding:\n")
	if !ok {
		t.Fatal("there is no table of a finding's keys")
	}
	for _, tt := range []struct {
		of   reflect.Type
		text string
	}{{reflect.TypeFor[entry](), lines}, {reflect.TypeFor[found](), findings}} {
		rows := map[string]string{}
		for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\w+) \\| ").FindAllStringSubmatch(tt.text, -1) {
			rows[m[1]] = m[2]
		}
		for i := range tt.of.NumField() {
			key, _, _ := strings.Cut(tt.of.Field(i).Tag.Get("json"), ",")
			if key == "" {
				continue
			}
			want := "number"
			switch f := tt.of.Field(i).Type; {
			case key == "time", key == "binary", key == "severity", f.Kind() == reflect.String:
				want = "string"
			case f.Kind() == reflect.Slice:
				want = "array"
			}
			if rows[key] != want {
				t.Errorf("%s of %s: docs/output.md says %q, it is a %s", key, tt.of, rows[key], want)
			}
			delete(rows, key)
		}
		for key := range rows {
			t.Errorf("docs/output.md documents %s, which is not printed", key)
		}
	}
}

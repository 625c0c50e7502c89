package record

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// Mark is what a user noted at a frame, or at a session as a whole. It is kept
// beside the recording, which stays as it is.
type Mark struct {
	Session inspect.SessionID `json:"session"`
	Frame   uint64            `json:"frame,omitempty"` // number in the session; 0: the session
	Dir     inspect.Dir       `json:"dir"`             // of the frame
	Off     int64             `json:"off"`             // of the frame's header in its direction's stream, which stays when frames before it are lost
	Text    string            `json:"text,omitempty"`
	Time    time.Time         `json:"time"` // when it was made
}

// MarksPath is the file that has the marks of a recording.
func MarksPath(recording string) string { return recording + ".notes" }

// marksLimit is how long a file of marks may be.
const marksLimit = 16 << 20

// ReadMarks reads the marks of a recording: one JSON object a line. Without a file
// there are none.
func ReadMarks(recording string) ([]Mark, error) {
	path := MarksPath(recording)
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only
	var all []Mark
	lines := bufio.NewScanner(io.LimitReader(f, marksLimit))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var m Mark
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		m.Dir &= 1
		all = append(all, m)
	}
	return all, lines.Err()
}

// WriteMarks writes all marks of a recording, in place of those before; without
// any it removes the file.
func WriteMarks(recording string, all []Mark) error {
	path := MarksPath(recording)
	if len(all) == 0 {
		if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	for _, m := range all {
		if err := e.Encode(m); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b.Bytes())
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/wsproxy/wsproxy/record"
)

// recording is what a run writes to: the file asked for with --record, or a ring
// of files that goes when the run ends.
type recording struct {
	path      string // a file, or the folder of a temporary one
	temporary bool
	writer    *record.Writer
}

func openRecording(f rootFlags, keep int64, title string, n *notices) (*recording, error) {
	o := record.Options{Path: f.record, Force: f.force, Append: f.append, Version: version,
		OnStop: func(why string) { n.logf("warning: the recording stops here, the traffic goes on: %s", why) },
		OnLess: func(st record.Status) { n.logf("warning: %s", less(st)) }}
	r := &recording{path: f.record}
	if f.record == "" {
		dir, err := temporaryDir()
		if err != nil {
			return nil, err
		}
		nameLeftovers(dir, n)
		if r.path, err = os.MkdirTemp(dir, "wsproxy-*"); err != nil { // mode 0700
			return nil, failf("--no-record does without", "cannot make a temporary recording: %v", cause(err))
		}
		r.temporary = true
		o.Path, o.Temporary, o.Title, o.Limit = r.path, true, title, keep
	}
	w, err := record.Create(o)
	if err != nil {
		return nil, recordingError(r.path, err)
	}
	r.writer = w
	return r, nil
}

func recordingError(path string, err error) error {
	var exists *record.ExistsError
	var locked *record.LockedError
	switch {
	case errors.As(err, &exists):
		return failf("--force overwrites it, --append adds to it", "%s exists already", path)
	case errors.As(err, &locked):
		return failf("wsproxy show --follow "+path, "another wsproxy is writing %s", path)
	}
	return failf("", "cannot record to %s: %v", path, cause(err))
}

// temporaryDir is the folder of temporary recordings, for this user alone.
func temporaryDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", failf("set HOME or XDG_CACHE_HOME, or use --record FILE or --no-record", "there is no folder for the temporary recording: %v", err)
	}
	dir := filepath.Join(base, "wsproxy")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", failf("set HOME or XDG_CACHE_HOME to a folder that can be written to; a recording alone does without: --record FILE, or --no-record", "cannot make %s: %v", dir, cause(err))
	}
	return dir, nil
}

// nameLeftovers offers what a killed run has left: temporary recordings that
// nobody writes to.
func nameLeftovers(dir string, n *notices) {
	all, _ := record.Temporaries(dir) // what cannot be read cannot be offered
	for _, t := range all {
		if !t.Live {
			n.logf("a run that was killed left %s (wsproxy show opens it; delete it when done)", t.Path)
		}
	}
}

// readable says that what is written can be read back and shown: not from a
// device or a pipe, whose other end it belongs to.
func (r *recording) readable() bool {
	if r == nil {
		return false
	}
	st, err := os.Stat(r.path)
	return err == nil && (st.Mode().IsRegular() || st.IsDir())
}

// close ends the recording. The temporary one stays until farewell, since it
// may still be read to its end.
func (r *recording) close() error {
	if r == nil {
		return nil
	}
	if err := r.writer.Close(); err != nil {
		return failf("", "the recording %s is not whole: %v", r.path, cause(err))
	}
	return nil
}

// farewell says where the recording is and what to do with it, and removes a
// temporary one.
func (r *recording) farewell(stderr io.Writer, quiet bool) {
	if r == nil {
		return
	}
	if st := r.writer.Status(); st.Stopped != "" {
		fmt.Fprintf(stderr, "wsproxy: warning: the recording is not whole, it stopped early: %s\n", st.Stopped)
	}
	if st := r.writer.Status(); !quiet && st.Snapped+st.Dropped > 0 {
		fmt.Fprintf(stderr, "wsproxy: warning: the traffic was faster than the disk: %s\n", leftOut(st))
	}
	if r.temporary {
		_ = record.RemoveTemporary(r.path) // what cannot be removed is named at the next start
		if !quiet {
			fmt.Fprintln(stderr, "the recording was temporary; --record FILE keeps one")
		}
		return
	}
	if !quiet {
		fmt.Fprintf(stderr, "recorded to %s; look again: wsproxy show %s\n", r.path, shellWord(r.path))
	}
}

// less says that the recording begins to take less than all.
func less(st record.Status) string {
	if st.Dropped > 0 {
		return "the traffic is faster than the disk: some of it is not recorded (--record FILE makes it wait instead)"
	}
	return "the traffic is faster than the disk: of long frames only the first KiB is recorded (--record FILE makes it wait instead)"
}

// leftOut says how much a recording has left out.
func leftOut(st record.Status) string {
	var all []string
	if st.Snapped > 0 {
		all = append(all, size(st.Snapped)+" of long frames")
	}
	if st.Dropped > 0 {
		all = append(all, size(st.Dropped)+" of the traffic")
	}
	return strings.Join(all, " and ") + " not recorded"
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}

// shellWord quotes a file name for a POSIX shell where it needs to be.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./+,:=@%") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

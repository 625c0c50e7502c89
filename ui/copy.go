package ui

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/wsproxy/wsproxy/record"
)

// Bounds of what is copied: how much of a payload, how much a terminal is given, and
// how long the clipboard's own program may take.
const (
	copyMost     = 16 << 20
	copyTerminal = 64 << 10 // terminals drop what is longer
	copyCommand  = 64 << 10 // of a payload in a command
	copyTime     = 3 * time.Second
)

// askCopy asks what is to be copied.
func (v *view) askCopy() {
	v.ask(question{label: "copy: ", pick: true, done: v.copyAs, options: func(text string) []option {
		var all []option
		for _, c := range copyings() {
			if strings.HasPrefix(c.name, strings.TrimSpace(text)) && (!c.message || v.onFrame()) {
				all = append(all, option{text: c.name, doc: c.doc})
			}
		}
		return all
	}})
}

// onFrame says that the selected row is a frame.
func (v *view) onFrame() bool {
	return v.frames.session >= 0 && v.frames.entry(v.frames.cursor) == entryFrame
}

// withSecrets stands behind the name of what is copied.
const withSecrets = "secrets"

// copyAs copies the selected row in the way of that name, "secrets" behind it with the
// credentials of its request too. What has to be read is read on a goroutine that Run
// waits for.
func (v *view) copyAs(how string) {
	words := strings.Fields(how)
	if len(words) == 0 {
		return
	}
	secrets := len(words) > 1 && words[1] == withSecrets
	for _, c := range copyings() {
		switch {
		case c.name != words[0]:
			continue
		case v.frames.session < 0:
			v.said = "there is nothing to copy yet"
		case c.message && !v.onFrame():
			v.said = "this row is no frame: copy curl, websocat, wscat, js or go"
		default:
			v.copy(c, secrets)
		}
		return
	}
	v.said = fmt.Sprintf("nothing is copied as %q", how)
}

func (v *view) copy(c copying, secrets bool) {
	x := v.source.Session(v.frames.session)
	w := v.want(&x, 0)
	ctx, cancel := context.WithTimeout(v.ctx, copyTime)
	v.said = "copying …"
	v.start(func(context.Context) {
		defer cancel()
		s, err := subjectOf(v.source, &w, &x, c)
		var text []byte
		by := ""
		if err == nil {
			s.asked(&x, secrets)
			text = c.make(s)
			if v.options.Copy != nil {
				by, err = v.options.Copy(ctx, text)
			}
		}
		v.post(func() { v.copied(c.name, text, s, by, err) })
	})
}

// subjectOf reads what a copy is made of.
func subjectOf(src source, w *want, x *record.Session, c copying) (*subject, error) {
	s := &subject{}
	if w.entry != entryFrame {
		return s, nil
	}
	most := copyMost
	if c.name != "payload" {
		most = copyCommand
	}
	msg, err := src.Message(w.row, most)
	if err != nil {
		return nil, err
	}
	if s.frame, err = src.Frame(w.row, most); err != nil {
		return nil, err
	}
	s.opcode, s.payload, s.message = msg.Opcode, msg.Data, !msg.Opcode.Control() && !msg.Undecodable
	if c.name == "payload" && msg.Undecodable {
		return nil, errors.New("the message cannot be inflated; hex copies its frame")
	}
	if c.message && (int64(len(msg.Data)) < msg.Size || s.frame.Cut) {
		return nil, fmt.Errorf("it is too long to copy: %s", bytesOf(max(msg.Size, int64(w.row.Length()))))
	}
	if int64(len(msg.Data)) < msg.Size {
		s.message = false // a command for the connection alone
	}
	return s, nil
}

// copied gives the text to the terminal too, whose clipboard may be on another
// machine (OSC 52), and says what became of it. The loop calls it: nobody else writes
// to the terminal.
func (v *view) copied(what string, text []byte, s *subject, by string, err error) {
	if text == nil {
		v.said = "not copied: " + err.Error()
		return
	}
	var to []string
	if by != "" {
		to = append(to, by)
	}
	if len(text) <= copyTerminal && v.toTerminal(text) {
		to = append(to, "the terminal")
	}
	if len(to) == 0 {
		v.said = fmt.Sprintf("not copied: %s are too many for the terminal", bytesOf(int64(len(text))))
		if err != nil {
			v.said += ", and " + err.Error()
		}
		return
	}
	v.said = fmt.Sprintf("copied %s, %s, by %s", what, bytesOf(int64(len(text))), strings.Join(to, " and "))
	if len(s.masked) > 0 && what != "payload" && what != "hex" && what != "explain" && what != "build" {
		v.said += fmt.Sprintf("; %s masked (:copy %s %s)", strings.Join(s.masked, ", "), what, withSecrets)
	}
}

// toTerminal gives a text to the terminal's clipboard (OSC 52), as far as can be known:
// no terminal says whether it takes it. tcell does that for some terminals only; between
// two drawings its terminal can be written to.
func (v *view) toTerminal(text []byte) bool {
	tty, ok := v.screen.Tty()
	if !ok || tty == nil {
		v.screen.SetClipboard(text)
		return runtime.GOOS != "windows" // whose console knows nothing of it
	}
	if os.Getenv("TERM") == "linux" {
		return false // it would show it
	}
	_, err := io.WriteString(tty, "\x1b]52;c;"+base64.StdEncoding.EncodeToString(text)+"\a")
	return err == nil
}

package lint

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wsproxy/wsproxy/inspect"
)

// The independent oracle: a gorilla server reads the same bytes and says
// whether it would have failed the connection.

// wire is a connection whose peer has already said everything.
type wire struct {
	net.Conn // nil: only what is below is called
	in       *bytes.Reader
	out      bytes.Buffer
}

func (w *wire) Read(b []byte) (int, error)       { return w.in.Read(b) }
func (w *wire) Write(b []byte) (int, error)      { return w.out.Write(b) }
func (w *wire) Close() error                     { return nil }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// hijack is the ResponseWriter that hands the wire to the upgrader.
type hijack struct {
	http.ResponseWriter
	w *wire
}

func (h hijack) Header() http.Header { return http.Header{} }
func (h hijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.w, bufio.NewReadWriter(bufio.NewReaderSize(h.w, 512), bufio.NewWriter(h.w)), nil
}

// gorilla says why a gorilla server fails a connection with these client
// frames; "" if it does not. Reading ends at the first Close frame.
func gorilla(t *testing.T, frames []byte) (failure string, response []byte) {
	t.Helper()
	request := strings.ReplaceAll(plainRequest+"\n", "\n", "\r\n")
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request)))
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{in: bytes.NewReader(frames)}
	up := websocket.Upgrader{ReadBufferSize: 512, WriteBufferSize: 512}
	c, err := up.Upgrade(hijack{w: w}, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	response = bytes.Clone(w.out.Bytes())
	for {
		_, _, err := c.ReadMessage()
		var closed *websocket.CloseError
		switch {
		case err == nil:
		case errors.As(err, &closed) || errors.Is(err, io.EOF):
			return "", response
		default:
			return err.Error(), response
		}
	}
}

// lenient are the rules that gorilla lets pass on reading.
var lenient = []string{"non-minimal-length", "one-byte-close", "invalid-utf8", "zero-mask-key", "data-after-close"}

func judged(frames, response []byte) []string {
	found := talk([]piece{
		{inspect.ToServer, []byte(strings.ReplaceAll(plainRequest+"\n", "\n", "\r\n"))},
		{inspect.ToClient, response},
		{inspect.ToServer, frames},
	})
	found = slices.DeleteFunc(found, func(f inspect.Finding) bool { return slices.Contains(lenient, f.ID) })
	return written(found)
}

// verdicts counts what gorilla said, so that no test passes on one answer only.
type verdicts struct{ failed, passed int }

func (v *verdicts) compare(t *testing.T, what string, frames []byte) {
	t.Helper()
	failure, response := gorilla(t, frames)
	found := judged(frames, response)
	if (failure != "") != (len(found) > 0) {
		t.Errorf("%s (%x): gorilla says %q, the judges %q", what, frames, failure, found)
	}
	if failure != "" {
		v.failed++
	} else {
		v.passed++
	}
}

func (v *verdicts) check(t *testing.T) {
	t.Helper()
	if v.failed < 5 || v.passed < 5 {
		t.Errorf("gorilla failed %d connections and let %d pass, which compares too little", v.failed, v.passed)
	}
}

// clientFrame is a frame with any first byte; text in it is valid, and so is a
// close code if there is room for one.
func clientFrame(first byte, masked bool, n int) []byte {
	b := []byte{first}
	second := byte(0)
	if masked {
		second = 0x80
	}
	if n > 125 {
		b = append(b, second|126, byte(n>>8), byte(n))
	} else {
		b = append(b, second|byte(n))
	}
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	if masked {
		b = append(b, key[:]...)
	}
	payload := bytes.Repeat([]byte("a"), n)
	copy(payload, "\x03\xe8")
	if first&15 == 1 {
		copy(payload, "aa")
	}
	if masked {
		inspect.Mask(key, 0, payload)
	}
	return append(b, payload...)
}

func TestEveryFirstByteAgainstGorilla(t *testing.T) {
	var v verdicts
	defer v.check(t)
	for first := range 256 {
		for _, masked := range []bool{true, false} {
			for _, n := range []int{0, 2, 125, 126} {
				v.compare(t, fmt.Sprintf("first byte %#02x, masked %v, %d bytes", first, masked, n), clientFrame(byte(first), masked, n))
			}
		}
	}
}

// Two and three frames behind each other: what is legal depends on what is open.
func TestFrameSequencesAgainstGorilla(t *testing.T) {
	var v verdicts
	defer v.check(t)
	firsts := []byte{0x00, 0x80, 0x01, 0x81, 0x02, 0x82, 0x89, 0x8a}
	for _, a := range firsts {
		for _, b := range firsts {
			for _, c := range append(firsts, 0x88) {
				frames := slices.Concat(clientFrame(a, true, 2), clientFrame(b, true, 2), clientFrame(c, true, 2))
				v.compare(t, fmt.Sprintf("first bytes %#02x %#02x %#02x", a, b, c), frames)
			}
		}
	}
}

func TestCloseCodesAgainstGorilla(t *testing.T) {
	var v verdicts
	defer v.check(t)
	codes := []int{0, 1, 999, 4999, 5000, 5001, 10000, 59395, 65535}
	for c := 1000; c < 1020; c++ {
		codes = append(codes, c)
	}
	for c := 1020; c < 5000; c += 89 {
		codes = append(codes, c, c-c%1000, c-c%1000+999)
	}
	for _, c := range codes {
		if c == 1014 {
			continue // registered with IANA after gorilla's table was written
		}
		b := clientFrame(0x88, true, 2)
		payload := binary.BigEndian.AppendUint16(nil, uint16(c))
		inspect.Mask([4]byte{0x37, 0xfa, 0x21, 0x3d}, 0, payload)
		v.compare(t, fmt.Sprint("close code ", c), append(b[:6], payload...))
	}
}

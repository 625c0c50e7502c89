package proxy

import (
	"sync"
	"syscall"

	"github.com/wsproxy/wsproxy/proxy/h2"
)

// Sizes of the buffers that bytes are read into. A direction that fills the small
// one is read with the large one as long as that pays.
const (
	smallBuffer = 64 << 10
	largeBuffer = 256 << 10
	tlsBuffer   = 16 << 10 // a record holds no more (RFC 8446 section 5.1)
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

// intake reads a socket and holds a buffer only while there are bytes in it: one
// that waits costs nothing. That takes a look below net.Conn, or a stream; where there
// is neither, as under TLS, the buffer waits with the reader. It belongs to the
// goroutine that reads.
type intake struct {
	sock *socket
	raw  syscall.RawConn // nil: read conn
	st   *h2.Stream      // what conn is, if it is one
	take func(fd uintptr) bool

	room  int // left free before what is read, for a head
	large bool
	buf   []byte // from a pool; nil: none is held
	n     int
	err   error
}

func newIntake(s *socket) *intake {
	in := &intake{sock: s, st: s.stream()}
	if c, ok := s.Conn.(syscall.Conn); ok && s.tls == nil {
		in.raw = rawConn(c)
		in.take = in.readFD // made once: a closure for each read would be an allocation
	}
	return in
}

// next waits for bytes and answers them; they are valid until the next call. The
// error is that of net.Conn's Read.
func (in *intake) next() ([]byte, error) {
	if ahead := in.sock.ahead; len(ahead) > 0 {
		in.sock.ahead = nil
		return ahead, nil
	}
	in.large = in.n == len(in.buf)-in.room && in.n > 0 || in.large && in.n > smallBuffer/2
	in.n, in.err = 0, nil
	if in.st != nil {
		in.release()
		in.st.Wait()
		in.hold()
		in.n, in.err = in.st.Read(in.buf[in.room:])
		return in.read(), in.err
	}
	if in.raw == nil {
		if in.buf == nil {
			in.buf = make([]byte, tlsBuffer)
		}
		in.n, in.err = in.sock.Read(in.buf[in.room:])
		return in.read(), in.err
	}
	in.release()
	if err := in.raw.Read(in.take); err != nil {
		return nil, err
	}
	return in.read(), in.err
}

func (in *intake) read() []byte { return in.buf[in.room : in.room+in.n] }

// behind answers what next has answered, with a head in front of it: in place if there
// is room.
func (in *intake) behind(head, data []byte) []byte {
	if len(in.buf) == 0 || len(head) > in.room || len(data) != in.n || &data[0] != &in.buf[in.room] {
		return append(head, data...) // it was read ahead
	}
	at := in.room - len(head)
	copy(in.buf[at:], head)
	return in.buf[at : in.room+in.n]
}

// hold takes a buffer of the size that is wanted now.
func (in *intake) hold() {
	if in.buf != nil && (len(in.buf) == largeBuffer) == in.large {
		return
	}
	in.release()
	if in.large {
		in.buf = largeBuffers.Get().(*[largeBuffer]byte)[:]
	} else {
		in.buf = smallBuffers.Get().(*[smallBuffer]byte)[:]
	}
}

// release gives the buffer back.
func (in *intake) release() {
	switch len(in.buf) {
	case smallBuffer:
		smallBuffers.Put((*[smallBuffer]byte)(in.buf))
	case largeBuffer:
		largeBuffers.Put((*[largeBuffer]byte)(in.buf))
	}
	in.buf = nil
}

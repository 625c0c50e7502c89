package main

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// smallMessage is the size up to which one goroutine writes and reads: what is in
// flight fits into the sockets' buffers.
const smallMessage = 16 << 10

// echo sends messages and waits for them to come back, a number in flight on each
// connection.
func (j *job) echo(tell func(string)) (*result, error) {
	want, err := j.contents()
	if err != nil {
		return nil, err
	}
	all, err := j.openAll("/echo", want)
	if err != nil {
		return nil, err
	}
	defer closeAll(all)
	w, wait := j.window(tell)
	errs := make([]error, len(all))
	var running sync.WaitGroup
	for i, s := range all {
		running.Go(func() {
			if j.Size <= smallMessage {
				errs[i] = j.echoSmall(s, w)
			} else {
				errs[i] = j.echoLarge(s, w)
			}
		})
	}
	running.Wait()
	wait()
	return j.sum(all), errors.Join(errs...)
}

// contents makes what each session says.
func (j *job) contents() (func() content, error) {
	if j.Deflate {
		t, err := newTexts(j.Size, true)
		return func() content { return t.another() }, err
	}
	p := newPattern(j.Size, true)
	return func() content { return p.another() }, nil
}

// echoSmall writes as many messages as came back, all at once, so that the load
// costs as few system calls as the proxy lets it.
func (j *job) echoSmall(s *stream, w window) error {
	_ = s.SetReadDeadline(w.end.Add(drainTime)) // a closed socket tells with the read
	sent := make([]time.Time, j.Flight)
	var seq uint64
	var out []byte
	var now time.Time
	due := time.Now()
	done := func(n uint64) {
		if w.holds(now) {
			s.lat.record(now.Sub(sent[n%uint64(j.Flight)]))
		}
	}
	for {
		if j.Rate > 0 { // latency counts from when the message was due
			due = due.Add(time.Duration(float64(time.Second) / j.Rate))
			waitUntil(due)
		} else {
			due = time.Now()
		}
		out = out[:0]
		for ; due.Before(w.end) && seq < s.check.next+uint64(j.Flight); seq++ {
			sent[seq%uint64(j.Flight)] = due
			out = s.check.want.appendFrame(out, seq)
		}
		if len(out) > 0 {
			if _, err := s.Write(out); err != nil {
				s.check.outstanding(seq)
				return err
			}
		}
		if seq <= s.check.next {
			return nil
		}
		before := s.check.next
		for s.check.next == before {
			// The clock is read before the answers are looked at, not for each.
			if err := s.readAt(&now, done); err != nil {
				return s.missed(err, seq)
			}
		}
	}
}

// readAt reads and notes when the bytes were there.
func (s *stream) readAt(now *time.Time, done func(uint64)) error {
	if len(s.first) > 0 {
		*now = time.Now()
		return s.read(done)
	}
	n, err := s.Conn.Read(s.buf)
	*now = time.Now()
	s.check.feed(s.buf[:n], done)
	if n == len(s.buf) && n < mostBuffer {
		s.buf = make([]byte, 4*n)
	}
	return err
}

// missed counts what has not come back. That is a finding, not an error, unless the
// connection failed.
func (s *stream) missed(err error, sent uint64) error {
	s.check.outstanding(sent)
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// waitUntil sleeps up to shortly before t and spins for the rest: sleeping alone is
// late by more than a round trip takes.
func waitUntil(t time.Time) {
	if d := time.Until(t) - 200*time.Microsecond; d > 0 {
		time.Sleep(d)
	}
	for time.Now().Before(t) {
	}
}

// echoLarge writes in a goroutine of its own, since a message is longer than any
// buffer on its way. It waits for the writer.
func (j *job) echoLarge(s *stream, w window) error {
	b := &bulk{Conn: s.Conn, want: s.check.want.(*pattern), // compressed messages are small
		until: w.end, room: make(chan struct{}, j.Flight), sent: make([]atomic.Int64, j.Flight), done: make(chan struct{})}
	go b.run()
	woken := false
	var now time.Time
	done := func(n uint64) {
		if w.holds(now) {
			s.lat.record(now.Sub(time.Unix(0, b.sent[n%uint64(j.Flight)].Load())))
		}
	}
	for {
		before := s.check.next
		err := s.readAt(&now, done)
		if errors.Is(err, os.ErrDeadlineExceeded) && !woken { // the writer is done
			woken = true
			_ = s.SetReadDeadline(w.end.Add(drainTime)) // a closed socket tells with the read
		} else if err != nil {
			_ = s.Close() // a writer that waits for the peer ends too
			b.drain()
			return s.missed(err, b.seq)
		}
		for range s.check.next - before {
			<-b.room
		}
		if woken && s.check.next >= b.seq {
			return nil
		}
	}
}

// bulk is the writing half of echoLarge. When it is done it wakes the reader, which
// may have nothing to wait for any more.
type bulk struct {
	net.Conn
	want  *pattern
	until time.Time
	room  chan struct{}  // holds one for each message in flight
	sent  []atomic.Int64 // when, in Unix nanoseconds, by sequence number
	done  chan struct{}  // closed when run returns
	seq   uint64         // messages sent; to be read once done is closed
}

func (b *bulk) run() {
	defer func() {
		close(b.done)
		_ = b.SetReadDeadline(time.Unix(1, 0)) // a closed socket tells with the read
	}()
	var head []byte
	for failed := false; !failed; b.seq++ {
		b.room <- struct{}{}
		now := time.Now()
		if !now.Before(b.until) {
			return
		}
		b.sent[b.seq%uint64(len(b.sent))].Store(now.UnixNano())
		head = b.want.appendHead(head[:0], b.seq)
		parts := net.Buffers{head, b.want.tail(b.seq)}
		_, err := parts.WriteTo(b.Conn)
		failed = err != nil // it is on its way, in part
	}
}

// drain waits for run, which may wait for room.
func (b *bulk) drain() {
	for {
		select {
		case <-b.done:
			return
		case <-b.room:
		}
	}
}

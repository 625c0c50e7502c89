package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// echoBytes sends back what comes.
func echoBytes(l net.Listener) error {
	return acceptEach(l, func(c net.Conn) {
		buf := make([]byte, mostBuffer)
		_, _ = io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{c}, buf) // the client's side counts what is missing
	})
}

// gorillaBridge is the bridge that people write by hand, written for speed: messages are
// streamed without being put together, buffers are large and reused.
func gorillaBridge(l net.Listener, target string) error {
	up := websocket.Upgrader{ReadBufferSize: 64 << 10, WriteBufferSize: 64 << 10, CheckOrigin: func(*http.Request) bool { return true }}
	server := http.Server{ReadHeaderTimeout: handshakeTime, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := dialLoopback(target)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer s.Close()
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return // it has been answered
		}
		defer c.Close()
		var both sync.WaitGroup
		both.Go(func() { bytesToMessages(c, s) })
		messagesToBytes(s, c)
		both.Wait()
	})}
	if err := server.Serve(l); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func messagesToBytes(to net.Conn, from *websocket.Conn) {
	buf := make([]byte, 64<<10)
	for {
		_, r, err := from.NextReader()
		if err == nil {
			_, err = io.CopyBuffer(struct{ io.Writer }{to}, r, buf)
		}
		if err != nil {
			_ = to.(*net.TCPConn).CloseWrite() // a closed socket has ended already
			return
		}
	}
}

func bytesToMessages(to *websocket.Conn, from net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if to.WriteMessage(websocket.BinaryMessage, buf[:n]) != nil {
				_ = from.Close() // the other direction ends too
				return
			}
		}
		if err != nil {
			// One that has ended needs no Close any more.
			_ = to.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
			return
		}
	}
}

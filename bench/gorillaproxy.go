package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// gorillaProxy is the proxy that people write by hand: it accepts a WebSocket, dials
// another, and passes messages from one to the other.
func gorillaProxy(l net.Listener, target string) error {
	up := websocket.Upgrader{EnableCompression: true, CheckOrigin: func(*http.Request) bool { return true }}
	dialer := websocket.Dialer{
		HandshakeTimeout: handshakeTime,
		NetDialContext:   func(_ context.Context, _, addr string) (net.Conn, error) { return dialLoopback(addr) },
	}
	server := http.Server{ReadHeaderTimeout: handshakeTime, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dialer := dialer
		dialer.EnableCompression = r.Header.Get("Sec-WebSocket-Extensions") != ""
		s, resp, err := dialer.DialContext(r.Context(), "ws://"+target+r.URL.RequestURI(), nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		_ = resp.Body.Close() // empty
		defer s.Close()
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return // it has been answered
		}
		defer c.Close()
		var both sync.WaitGroup
		both.Go(func() { passMessages(s, c) })
		passMessages(c, s)
		both.Wait()
	})}
	if err := server.Serve(l); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// passMessages passes messages on until there are none, and then how it ended.
func passMessages(to, from *websocket.Conn) {
	for {
		kind, data, err := from.ReadMessage()
		if err != nil {
			code := websocket.CloseNormalClosure
			var closed *websocket.CloseError
			if errors.As(err, &closed) && closed.Code != websocket.CloseNoStatusReceived && closed.Code != websocket.CloseAbnormalClosure {
				code = closed.Code
			}
			// One that has ended needs no Close any more.
			_ = to.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(time.Second))
			return
		}
		if err := to.WriteMessage(kind, data); err != nil {
			_ = from.Close() // its reader ends with the next read
			return
		}
	}
}

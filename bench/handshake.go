package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// handshakeTime bounds an opening handshake: a crowd of thousands waits for it.
const handshakeTime = 20 * time.Second

const sampleKey = "dGhlIHNhbXBsZSBub25jZQ=="

// readHead reads an HTTP head into buf and answers it and what came behind it.
func readHead(c net.Conn, buf []byte) (head, rest []byte, err error) {
	n := 0
	for {
		if at := bytes.Index(buf[:n], []byte("\r\n\r\n")); at >= 0 {
			return buf[:at+4], buf[at+4 : n], nil
		}
		if n == len(buf) {
			return nil, nil, errors.New("the head is too long")
		}
		m, err := c.Read(buf[n:])
		if n += m; m == 0 && err != nil {
			return nil, nil, err
		}
	}
}

// upgrade opens a session as its client. It answers whether permessage-deflate was
// agreed, and bytes that came right behind the answer.
func upgrade(c net.Conn, host, path string, deflate bool) (agreed bool, rest []byte, err error) {
	_ = c.SetDeadline(time.Now().Add(handshakeTime)) // a closed socket tells with the write
	b := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n", path, host, sampleKey)
	if deflate {
		b = append(b, "Sec-WebSocket-Extensions: permessage-deflate\r\n"...)
	}
	if _, err := c.Write(append(b, "\r\n"...)); err != nil {
		return false, nil, err
	}
	head, rest, err := readHead(c, make([]byte, 4096))
	if err != nil {
		return false, nil, err
	}
	h, err := inspect.ParseResponse(head)
	if err != nil {
		return false, nil, err
	}
	if h.Status != 101 || h.Get("Sec-WebSocket-Accept") != inspect.AcceptKey(sampleKey) {
		return false, nil, fmt.Errorf("the upgrade was answered with %d", h.Status)
	}
	agreed = strings.Contains(h.Get("Sec-WebSocket-Extensions"), inspect.DeflateName)
	return agreed, bytes.Clone(rest), c.SetDeadline(time.Time{})
}

// accept answers an upgrade as its server. It answers the request's target.
func accept(c net.Conn, buf []byte) (target string, rest []byte, err error) {
	_ = c.SetDeadline(time.Now().Add(handshakeTime)) // a closed socket tells with the read
	head, rest, err := readHead(c, buf)
	if err != nil {
		return "", nil, err
	}
	h, err := inspect.ParseRequest(head)
	if err != nil {
		return "", nil, err
	}
	b := fmt.Appendf(nil, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n", inspect.AcceptKey(h.Get("Sec-WebSocket-Key")))
	if offer := h.Get("Sec-WebSocket-Extensions"); strings.Contains(offer, inspect.DeflateName) {
		b = append(b, "Sec-WebSocket-Extensions: permessage-deflate"...)
		for _, param := range []string{"server_no_context_takeover", "client_no_context_takeover"} {
			if strings.Contains(offer, param) {
				b = append(b, "; "+param...)
			}
		}
		b = append(b, "\r\n"...)
	}
	target, rest = h.Target, bytes.Clone(rest)
	if _, err = c.Write(append(b, "\r\n"...)); err != nil {
		return "", nil, err
	}
	return target, rest, c.SetDeadline(time.Time{})
}

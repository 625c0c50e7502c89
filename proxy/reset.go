package proxy

import "net"

// Reset ends a connection with an RST once what was written to it has left the
// send queue, which it waits for 2 s at most: a reset throws away the rest.
func Reset(c *net.TCPConn) { plain(c).reset() }

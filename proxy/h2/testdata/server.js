// An HTTP/2 server that echoes WebSocket sessions (RFC 8441), refuses /refuse,
// resets /reset, and answers other requests with a body and a trailer. Prints its
// port, and ends with its standard input.
const http2 = require('http2');
const server = http2.createServer({ settings: { enableConnectProtocol: true } });
server.on('stream', (s, h) => {
  s.on('error', () => {});
  if (h[':protocol'] === 'websocket') {
    if (h[':path'].startsWith('/refuse')) {
      s.respond({ ':status': 403 });
      s.end('no');
    } else if (h[':path'].startsWith('/reset')) {
      s.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
    } else {
      s.respond({ ':status': 200, 'sec-websocket-protocol': h['sec-websocket-protocol'] });
      s.pipe(s);
    }
    return;
  }
  let body = '';
  s.on('data', (d) => { body += d; });
  s.on('end', () => {
    s.respond({ ':status': 201 }, { waitForTrailers: true });
    s.on('wantTrailers', () => s.sendTrailers({ 'x-sum': String(body.length) }));
    s.end(`${h[':method']} ${h[':path']} ${body}`);
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));

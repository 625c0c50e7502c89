// h2server.js CERT KEY: an HTTP/2 server of WebSockets (RFC 8441) that also knows HTTP/1.1 pages.
// It unmasks short frames and sends them back; /reset resets behind the first.
'use strict';
const http2 = require('node:http2');
const fs = require('node:fs');

const [cert, key] = process.argv.slice(2);
const server = http2.createSecureServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key), allowHTTP1: true, settings: { enableConnectProtocol: true } });
server.on('stream', (st, h) => {
  st.on('error', () => {});
  if (h[':method'] !== 'CONNECT') {
    st.respond({ ':status': 200, 'content-type': 'text/plain' });
    st.end(`${h[':method']} ${h[':path']}\n`);
    return;
  }
  st.respond({ ':status': 200, 'x-Server': 'node' });
  let rest = Buffer.alloc(0);
  st.on('data', (b) => {
    rest = Buffer.concat([rest, b]);
    while (rest.length >= 6 && rest.length >= 6 + (rest[1] & 127)) {
      const size = rest[1] & 127;
      const payload = Buffer.from(rest.subarray(6, 6 + size));
      for (let i = 0; i < size; i++) payload[i] ^= rest[2 + (i & 3)];
      st.write(Buffer.concat([Buffer.from([rest[0], size]), payload]));
      if (rest[0] === 0x88) st.end(); // RFC 6455 section 7.1.1: the server ends first
      rest = rest.subarray(6 + size);
      if (h[':path'] === '/reset') st.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
    }
  });
  st.on('end', () => st.end());
});
server.listen(0, '127.0.0.1', () => console.log('listening', `127.0.0.1:${server.address().port}`));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));

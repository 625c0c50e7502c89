// h2page.js CERT KEY: a page and its sockets over HTTP/2 (RFC 8441); an echo by ws with permessage-deflate. Prints "listening HOST:PORT", and of each
// socket its path and by which version of HTTP it came, and the code with which it ended.
'use strict';
const fs = require('fs');
const http2 = require('http2');
const WebSocket = require('ws');
const { PerMessageDeflate, extension } = WebSocket;

const [cert, key] = process.argv.slice(2).map((f) => fs.readFileSync(f));
const server = http2.createSecureServer({ cert, key, allowHTTP1: true, settings: { enableConnectProtocol: true } });

const serve = (ws, path) => {
  ws.on('close', (code) => console.log(`closed ${path} ${code}`));
  ws.on('error', () => {}); // 'close' follows
  ws.on('message', (data, binary) => {
    if (path === '/bye') ws.close(1001, 'going away now');
    else ws.send(data, { binary });
  });
};

// upgrade makes a stream a WebSocket, as ws does with a socket.
const upgrade = (stream, headers) => {
  const path = headers[':path'];
  console.log(`socket ${path} 2`);
  stream.on('error', () => {}); // 'close' follows
  if (path === '/refused') return stream.respond({ ':status': 403 }, { endStream: true });
  const ws = new WebSocket(null, undefined, { autoPong: true, closeTimeout: 30000 });
  const answer = { ':status': 200 };
  const offers = extension.parse(headers['sec-websocket-extensions'] || '');
  if (offers['permessage-deflate']) {
    const deflate = new PerMessageDeflate({ threshold: 0, isServer: true, maxPayload: 1 << 24 }, true, 1 << 24);
    deflate.accept(offers['permessage-deflate']);
    ws._extensions = { 'permessage-deflate': deflate };
    answer['sec-websocket-extensions'] = extension.format({ 'permessage-deflate': [deflate.params] });
  }
  stream.respond(answer);
  ws.setSocket(stream, Buffer.alloc(0), { allowSynchronousEvents: true, maxPayload: 1 << 24, skipUTF8Validation: false });
  serve(ws, path);
};

server.on('stream', (stream, headers) => {
  if (headers[':method'] === 'CONNECT') return upgrade(stream, headers);
  stream.respond({ ':status': 200, 'content-type': 'text/html; charset=utf-8' });
  stream.end('<!doctype html><title>a page</title><link rel=icon href=data:,><p>a page</p>');
});
server.listen(0, '127.0.0.1', () => console.log(`listening 127.0.0.1:${server.address().port}`));
process.stdin.resume().on('end', () => process.exit());

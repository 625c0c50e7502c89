// An echo server; prints "listening HOST:PORT" and ends when its standard input does.
'use strict';
const WebSocket = require('ws');

const server = new WebSocket.Server({ host: '127.0.0.1', port: 0, perMessageDeflate: { threshold: 0 } }, () => {
  const { address, port } = server.address();
  console.log(`listening ${address}:${port}`);
});
server.on('connection', (ws, request) => {
  ws.on('error', () => {}); // 'close' follows
  ws.on('message', (data, binary) => {
    if (request.url === '/bye') ws.close(1001, 'going away now');
    else if (request.url === '/server-fin') ws.terminate();
    else if (request.url === '/server-rst') ws._socket.resetAndDestroy();
    else ws.send(data, { binary });
  });
});
process.stdin.resume().on('end', () => process.exit());

// Opens twenty WebSocket sessions on one HTTP/2 connection (RFC 8441), each of
// which must get its bytes back, and posts a form. Prints what it saw as JSON.
const http2 = require('http2');
const session = http2.connect(process.argv[2]);
session.on('error', (e) => { console.error(e); process.exit(1); });

function open(n) {
  return new Promise((resolve, reject) => {
    const s = session.request({
      ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/chat/' + n, 'sec-websocket-version': '13',
    }, { endStream: false });
    const sent = Buffer.alloc(100000 + n, 'abc' + n);
    const got = [];
    let head;
    const hints = [];
    s.on('headers', (h) => hints.push(h[':status']));
    s.on('response', (h) => { head = h; s.write(sent.subarray(0, 5)); s.end(sent.subarray(5)); });
    s.on('data', (d) => got.push(d));
    s.on('error', reject);
    s.on('end', () => resolve({
      same: head[':status'] === 200 && Buffer.concat(got).equals(sent), accept: 'sec-websocket-accept' in head, hints,
    }));
  });
}

function post() {
  return new Promise((resolve, reject) => {
    const s = session.request({ ':method': 'POST', ':path': '/form?a=b', 'x-order': '1', 'x-another': '2' });
    let text = '';
    s.setEncoding('latin1');
    s.on('data', (d) => { text += d; });
    s.on('error', reject);
    s.on('end', () => resolve(text));
    s.end('hello');
  });
}

session.once('remoteSettings', async (settings) => {
  const all = await Promise.all(Array.from({ length: 20 }, (_, n) => open(n)));
  console.log(JSON.stringify({
    Setting: settings.enableConnectProtocol,
    Sessions: all.filter((r) => r.same).length,
    Accept: all.filter((r) => r.accept).length,
    Hints: all.flatMap((r) => r.hints),
    Post: await post(),
  }));
  session.close();
});

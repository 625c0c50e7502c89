// h2client.js URL CA N: opens N WebSockets on one HTTP/2 connection (RFC 8441), each with a
// message to and fro and a Close; then one that it cancels, and one that the server resets.
'use strict';
const http2 = require('node:http2');
const fs = require('node:fs');

const [url, ca, n] = process.argv.slice(2);
const hello = Buffer.from('818537fa213d7f9f4d5158', 'hex'); // RFC 6455 section 5.7
const bye = Buffer.from('88820102030402ea', 'hex');
const session = http2.connect(url, { ca: fs.readFileSync(ca) });
session.on('error', (e) => { console.error(e); process.exit(1); });

function open(path) {
  return session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': path, 'sec-websocket-version': '13', 'x-Order': ['1', '2'] }, { endStream: false });
}

function talk(path) {
  return new Promise((resolve) => {
    const st = open(path);
    let status = 0;
    let got = '';
    st.on('response', (h) => { status = h[':status']; st.write(hello); });
    st.on('data', (b) => {
      got += b.toString('hex');
      if (got === '810548656c6c6f') st.write(bye);
      if (got === '810548656c6c6f880203e8') st.end();
    });
    st.on('error', () => {});
    st.on('close', () => resolve([status, got, st.rstCode]));
  });
}

function cancel() {
  return new Promise((resolve) => {
    const st = open('/echo');
    st.on('response', () => st.write(hello));
    st.on('data', () => st.close(http2.constants.NGHTTP2_CANCEL));
    st.on('error', () => {});
    st.on('close', () => resolve(st.rstCode));
  });
}

session.on('remoteSettings', async (settings) => {
  const all = await Promise.all(Array.from({ length: Number(n) }, () => talk('/echo')));
  const report = { connect: settings.enableConnectProtocol, talks: all.map((a) => a.join(' ')), cancelled: await cancel(), reset: (await talk('/reset')).join(' ') };
  console.log(JSON.stringify(report));
  session.close();
});

// client.js URL CONVERSATION SCENE...: one connection a scene, one JSON line about each.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const WebSocket = require('ws');

// The proxy to go through, and how, if there is one.
const proxy = process.env.WSPROXY_E2E_PROXY;
const agent = () => {
  if (!proxy) return undefined;
  const { HttpProxyAgent } = require('http-proxy-agent');
  const { HttpsProxyAgent } = require('https-proxy-agent');
  return process.env.WSPROXY_E2E_WAY === 'absolute' ? new HttpProxyAgent(proxy) : new HttpsProxyAgent(proxy);
};

const [url, file, ...scenes] = process.argv.slice(2);
const conversation = JSON.parse(fs.readFileSync(file));

const told = (op, data) => ({ op, size: data.length, sha256: crypto.createHash('sha256').update(data).digest('hex') });
const print = (report) => new Promise((done) => process.stdout.write(JSON.stringify(report) + '\n', done));

async function echo(ws, report, op, parts) {
  const answer = new Promise((done) => ws.once('message', (data, binary) => done(told(binary ? 'binary' : 'text', data))));
  parts.forEach((p, i) => ws.send(p, { binary: op === 'binary', fin: i === parts.length - 1 }));
  report.sent.push(told(op, Buffer.concat(parts)));
  report.got.push(await answer);
}

async function play(scene, ws, report) {
  if (scene === 'talk') {
    for (const m of conversation) await echo(ws, report, m.op, m.parts.map((p) => Buffer.from(p, 'base64')));
    const pong = new Promise((done) => ws.once('pong', done));
    ws.ping('there?');
    await pong;
    report.pongs++;
    ws.close(1000, 'done');
  } else if (['bye', 'server-fin', 'server-rst'].includes(scene)) {
    report.sent.push(told('text', Buffer.from('please')));
    ws.send('please');
  } else {
    await echo(ws, report, 'text', [Buffer.from('still here')]);
    if (scene === 'kill') {
      await print(report);
      await new Promise(() => {}); // the open socket keeps the process
    }
    if (scene === 'rst') ws._socket.resetAndDestroy();
    else ws.terminate();
  }
}

async function main() {
  for (const scene of scenes) {
    const report = { scene, sent: [], got: [], pongs: 0 };
    const ws = new WebSocket(`${url}/${scene}`, { origin: url.replace('ws://', 'http://'), perMessageDeflate: { threshold: 0 }, agent: agent() });
    const closed = new Promise((done) => ws.once('close', (code, reason) => done([code, reason.toString()])));
    ws.on('error', (e) => console.error(e.message)); // 'close' follows and tells
    await new Promise((done) => ws.once('open', done));
    await play(scene, ws, report);
    [report.code, report.reason] = await closed;
    await print(report);
  }
}

main();

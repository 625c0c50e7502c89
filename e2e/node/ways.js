// ways.js HTTP-URL HTTPS-URL: each way in which Node's programs connect; a line about each.
'use strict';
const http = require('http');
const https = require('https');
const WebSocket = require('ws');
const undici = require('undici');

const [plain, secure] = process.argv.slice(2);
const ask = (module, ...args) => new Promise((done) => {
  module.get(...args, (r) => {
    let body = '';
    r.setEncoding('utf8').on('data', (d) => { body += d; }).on('end', () => done(`${r.statusCode} ${body.trim()}`));
  }).on('error', (e) => done(`${e.code} ${e.message}`));
});
const talk = (url, options) => new Promise((done) => {
  const ws = new WebSocket(url.replace('http', 'ws') + '/socket', options);
  ws.on('open', () => ws.send('hello'));
  ws.on('message', (m) => { ws.close(1000); ws.once('close', (code) => done(`${m} ${code}`)); });
  ws.on('error', (e) => done(e.message));
});
const talkUndici = (url) => new Promise((done) => {
  const ws = new undici.WebSocket(url.replace('http', 'ws') + '/socket');
  ws.onopen = () => ws.send('hello');
  ws.onmessage = (m) => { ws.close(1000); ws.onclose = (c) => done(`${m.data} ${c.code}`); };
  ws.onerror = (e) => done(String(e.error || e.message));
});
const fetched = (url) => fetch(url).then(async (r) => `${r.status} ${(await r.text()).trim()}`, (e) => String(e.cause));
const posted = (url) => new Promise((done) => {
  const r = http.request(url + '/post', { method: 'POST' }, (a) => {
    let n = 0;
    a.on('data', (d) => { n += d.length; }).on('end', () => done(`${a.statusCode} ${n}`));
  });
  r.end('0123456789'.repeat(30));
});

(async () => {
  const u = new URL(secure);
  for (const [name, run] of [
    ['http', () => ask(http, plain + '/')],
    ['https', () => ask(https, secure + '/')],
    ['options', () => ask(https, { host: u.hostname, port: u.port, path: '/' })],
    ['own agent', () => ask(http, plain + '/', { agent: new http.Agent({ keepAlive: true }) })],
    ['post', () => posted(plain)],
    ['fetch', () => fetched(plain + '/')],
    ['fetch https', () => fetched(secure + '/')],
    ['undici', () => undici.fetch(secure + '/').then(async (r) => `${r.status} ${(await r.text()).trim()}`, (e) => String(e.cause))],
    ['undici ws', () => talkUndici(plain)],
    ['undici wss', () => talkUndici(secure)],
    ['ws', () => talk(plain)],
    ['wss', () => talk(secure)],
    ['closed', () => ask(http, 'http://127.0.0.1:9/')],
    ['esm', () => import('node:http').then(({ get }) => ask({ get }, plain + '/'))],
  ]) console.log(`${name}: ${await run()}`);
  process.exit(0);
})();

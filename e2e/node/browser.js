// browser.js CONVERSATION PAGE-URL SCENE...: Chromium, driven by playwright, opens the
// page by the proxy and plays each scene in it; one JSON line about each connection.
'use strict';
const fs = require('fs');
const { chromium } = require('playwright-core');

const [file, page, ...scenes] = process.argv.slice(2);
const conversation = JSON.parse(fs.readFileSync(file)).map((m) => ({ op: m.op, data: Buffer.concat(m.parts.map((p) => Buffer.from(p, 'base64'))).toString('base64') }));

// What the page does, in the browser: it answers reports.
async function play({ scene, conversation }) {
  const hex = (b) => [...new Uint8Array(b)].map((x) => x.toString(16).padStart(2, '0')).join('');
  const told = async (data) => {
    const text = typeof data === 'string';
    const b = text ? new TextEncoder().encode(data) : new Uint8Array(data);
    const sum = await crypto.subtle.digest('SHA-256', b);
    return { op: text ? 'text' : 'binary', size: b.length, sha256: hex(sum) };
  };
  const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const open = (path) => new Promise((done) => {
    const ws = new WebSocket(location.origin.replace('http', 'ws') + '/' + path);
    const r = { scene: path, sent: [], got: [], extensions: '', ws };
    r.closed = new Promise((over) => { ws.onclose = (e) => { r.code = e.code; r.reason = e.reason; over(); }; });
    ws.binaryType = 'arraybuffer';
    ws.onopen = () => { r.extensions = ws.extensions; done(r); };
    r.closed.then(() => done(r)); // refused
  });
  const send = async (r, op, data) => {
    const b = bytes(data);
    const m = op === 'text' ? new TextDecoder().decode(b) : b;
    r.sent.push(await told(m));
    r.ws.send(m);
  };
  const echo = async (r, m) => {
    const answer = new Promise((done) => { r.ws.onmessage = (e) => done(e.data); });
    await send(r, m.op, m.data);
    r.got.push(await told(await answer));
  };
  const report = (r) => ({ scene: r.scene, sent: r.sent, got: r.got, code: r.code, reason: r.reason, extensions: r.extensions });
  const one = async (path, run) => {
    const r = await open(path);
    if (run) await run(r);
    await r.closed;
    return report(r);
  };
  const hello = { op: 'text', data: btoa('hello') };
  switch (scene) {
    case 'talk':
      return [await one(scene, async (r) => {
        for (const m of conversation) await echo(r, m);
        r.ws.close(1000, 'done');
      })];
    case 'own': // a code of the application's
      return [await one('talk?own', async (r) => { await echo(r, hello); r.ws.close(4321, 'mine ✓'); })];
    case 'several': // at once, in turn
      return (async () => {
        const all = await Promise.all([1, 2, 3, 4, 5].map((n) => open(`talk?several=${n}`)));
        for (const m of conversation.slice(0, 4)) await Promise.all(all.map((r) => echo(r, m)));
        all.forEach((r) => r.ws.close());
        await Promise.all(all.map((r) => r.closed));
        return all.map(report);
      })();
    case 'refused':
      return [await one(scene)];
    case 'reload': { // the page goes while the socket is open
      const r = await open('talk?reload');
      await echo(r, hello);
      globalThis.kept = r;
      return [report(r)];
    }
    default: // the server ends it
      return [await one(scene, (r) => send(r, 'text', btoa('please')))];
  }
}

(async () => {
  const browser = await chromium.launch({
    executablePath: process.env.WSPROXY_E2E_BROWSER,
    proxy: { server: process.env.WSPROXY_E2E_PROXY }, // for loopback too: playwright sees to that
    chromiumSandbox: false,
    args: ['--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'], // nothing goes past the proxy
  });
  try {
    const tab = await browser.newPage();
    for (const url of page.split(',')) {
      const answer = await tab.goto(url);
      console.log(JSON.stringify({ scene: 'page', code: answer.status(), reason: await tab.textContent('p') }));
      for (const scene of scenes) {
        for (const r of await tab.evaluate(play, { scene, conversation })) console.log(JSON.stringify(r));
        if (scene === 'reload') await tab.reload();
      }
    }
  } finally {
    await browser.close();
  }
})().catch((e) => { console.error(e); process.exit(1); });

// broker.js URL COUNT: subscribes at a broker, publishes COUNT messages and hears them; prints
// how many, and the digest of all of them. mqtt://, mqtts, ws+mqtt://… by MQTT.js, nats+ws… by nats.ws.
'use strict';
const crypto = require('crypto');
const WebSocket = require('ws');
const { HttpsProxyAgent } = require('https-proxy-agent');

const [kind, url, count] = process.argv.slice(2);
const proxy = process.env.WSPROXY_E2E_PROXY;
const agent = proxy && new HttpsProxyAgent(proxy);
const messages = [];
for (let i = 0; i < Number(count); i++) messages.push(Buffer.from(`{"n":${i},"text":"${'grüße ✓ '.repeat(i * i)}"}`));
messages.push(crypto.randomBytes(70000), Buffer.from([0]));
const digest = (all) => all.reduce((h, m) => h.update(m), crypto.createHash('sha256')).digest('hex');
const done = (heard) => {
  const [sent, got] = [digest(messages), digest(heard)];
  console.log(`${heard.length} messages ${sent === got ? 'as sent' : 'that differ'}`);
};

async function mqtt() {
  const client = await require('mqtt').connectAsync(url, { wsOptions: { agent } });
  const heard = [];
  const all = new Promise((over) => client.on('message', (topic, m) => { if (heard.push(m) === messages.length) over(); }));
  await client.subscribeAsync('test/#', { qos: 1 });
  for (const [i, m] of messages.entries()) await client.publishAsync(`test/${i}`, m, { qos: i % 2 });
  await all;
  await client.endAsync();
  done(heard);
}

async function nats() {
  globalThis.WebSocket = class extends WebSocket { // Node 20 has none
    constructor(u, protocols) { super(u, protocols, { agent }); }
  };
  const client = await require('nats.ws').connect({ servers: url });
  const sub = client.subscribe('test.>');
  for (const [i, m] of messages.entries()) client.publish(`test.${i}`, m);
  const heard = [];
  for await (const m of sub) if (heard.push(Buffer.from(m.data)) === messages.length) break;
  await client.close();
  done(heard);
}

({ mqtt, nats })[kind]().then(() => process.exit(), (e) => { console.error(e); process.exit(1); });

package main

// nodePreload is what `wsproxy run` has Node load before a program: most of what
// speaks HTTP in Node looks at no variable for its proxy. Connections to servers
// begin with a CONNECT to wsproxy; who brings an agent of another kind, or a
// socket of its own, is left alone.
const nodePreload = `'use strict';
const proxy = process.env.WSPROXY_PROXY && new URL(process.env.WSPROXY_PROXY);
if (proxy) {
  const http = require('http');
  const https = require('https');
  const net = require('net');
  const tls = require('tls');
  const connect = net.connect; // before anybody changes it
  const secure = tls.connect;

  // tunnel connects to host:port through the proxy.
  const tunnel = (host, port, done) => {
    const to = net.isIPv6(host) ? '[' + host + ']:' + port : host + ':' + port;
    const socket = connect({ host: proxy.hostname.replace(/[[\]]/g, ''), port: proxy.port });
    let head = Buffer.alloc(0);
    const fail = (err) => {
      socket.removeListener('readable', read);
      socket.removeListener('error', fail);
      socket.removeListener('end', ended);
      socket.destroy();
      done(err);
    };
    const ended = () => fail(new Error('wsproxy ended the connection before ' + to + ' was reached'));
    const read = () => {
      for (let chunk; (chunk = socket.read()) !== null; ) {
        head = Buffer.concat([head, chunk]);
        const end = head.indexOf('\r\n\r\n');
        if (end < 0) continue;
        const status = head.toString('latin1', 0, 12);
        if (!/^HTTP\/1\.[01] 2/.test(status)) {
          const rest = () => fail(Object.assign(new Error(head.toString('latin1', end + 4).trim() || status), { code: 'ECONNREFUSED' }));
          socket.removeListener('readable', read);
          socket.on('data', (more) => { head = Buffer.concat([head, more]); });
          socket.removeListener('end', ended);
          socket.once('end', rest);
          return;
        }
        socket.removeListener('readable', read);
        socket.removeListener('error', fail);
        socket.removeListener('end', ended);
        if (head.length > end + 4) socket.unshift(head.subarray(end + 4));
        done(null, socket);
        return;
      }
    };
    socket.on('readable', read);
    socket.on('error', fail);
    socket.on('end', ended);
    socket.once('connect', () => {
      const auth = proxy.username
        ? 'Proxy-Authorization: Basic ' + Buffer.from(decodeURIComponent(proxy.username) + ':' + decodeURIComponent(proxy.password)).toString('base64') + '\r\n'
        : '';
      socket.write('CONNECT ' + to + ' HTTP/1.1\r\nHost: ' + to + '\r\n' + auth + '\r\n');
    });
  };

  const encrypt = (options, socket) => {
    const o = Object.assign({}, options, { socket });
    delete o.path; // a request's, which tls would take for a socket's
    if (!o.servername && !net.isIP(options.host || '')) o.servername = options.host;
    return secure(o);
  };

  const through = (original, isSecure) => function createConnection(options, done) {
    if (options.socketPath || options.socket || typeof done !== 'function') return original.apply(this, arguments);
    tunnel(options.host || 'localhost', options.port || (isSecure ? 443 : 80), (err, socket) => {
      if (err) return done(err);
      done(null, isSecure ? encrypt(options, socket) : socket);
    });
  };

  // Newer ones do it themselves, told by NODE_USE_ENV_PROXY.
  const native = Number(process.versions.node.split('.')[0]) >= 24;
  const Agent = class extends http.Agent {};
  const SecureAgent = class extends https.Agent {};
  for (const [kind, isSecure] of native ? [[Agent, false], [SecureAgent, true]] : [[http.Agent, false], [https.Agent, true]]) {
    kind.prototype.createConnection = through(kind.prototype.createConnection, isSecure);
  }

  // ws brings its own createConnection, which an agent goes before.
  const modules = [[http, Agent], [https, SecureAgent]];
  for (const [module, kind] of modules) {
    for (const name of ['request', 'get']) {
      const original = module[name];
      module[name] = function (...args) {
        const o = args.find((a) => a && typeof a === 'object' && !(a instanceof URL));
        if (o && !o.agent && typeof o.createConnection === 'function' && !o.socketPath) {
          args[args.indexOf(o)] = Object.assign({}, o, { agent: new kind(), createConnection: undefined });
        }
        return original.apply(this, args);
      };
    }
  }
  require('module').syncBuiltinESMExports();

  // fetch and WebSocket are undici's: its dispatcher is asked for a connector.
  const global = Symbol.for('undici.globalDispatcher.1');
  if (!native && typeof fetch === 'function' && Response && globalThis[global]) {
    globalThis[global] = new globalThis[global].constructor({
      connect(o, done) {
        const isSecure = o.protocol === 'https:';
        tunnel(o.hostname, o.port || (isSecure ? 443 : 80), (err, socket) => {
          if (err) return done(err);
          if (!isSecure) return done(null, socket);
          const wrapped = encrypt({ host: o.hostname, servername: o.servername, ALPNProtocols: ['http/1.1'] }, socket);
          wrapped.once('secureConnect', () => done(null, wrapped));
          wrapped.once('error', done);
        });
      },
    });
  }
}
`

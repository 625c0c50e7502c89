// The applications: a server, and a client that uses what its protocol has.
import { createRequire } from 'node:module'
import { once } from 'node:events'
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { connect, createServer as createTCP } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const require = createRequire(import.meta.url)
const { WebSocketServer, WebSocket } = require('ws')

const schema = () => {
  const { GraphQLSchema, GraphQLObjectType, GraphQLString, GraphQLInt } = require('graphql')
  return new GraphQLSchema({
    query: new GraphQLObjectType({ name: 'Query', fields: { hello: { type: GraphQLString, resolve: () => 'world' }, boom: { type: GraphQLString, resolve: () => { throw new Error('boom') } } } }),
    subscription: new GraphQLObjectType({
      name: 'Subscription', fields: {
        ticks: { type: GraphQLInt, args: { n: { type: GraphQLInt } }, subscribe: async function* (_, { n }) { for (let i = 0; i < n; i++) yield { ticks: i } } },
      },
    }),
  })
}

const socketIO = (server, client, options = {}) => ({
  async serve({ http, listening, stop }) {
    const io = require(server)(http, { serveClient: false, ...options.server })
    stop.push(() => new Promise(ok => io.close(ok)))
    const talk = s => {
      s.on('sum', (a, b, answer) => answer(a + b))
      s.on('file', (b, answer) => answer(Buffer.concat([b, b])))
      s.on('hello', name => s.emit('news', { hello: name }))
    }
    io.on('connection', talk)
    io.of('/admin').use((_, next) => next(new Error('not authorized')))
    io.of('/chat').on('connection', talk)
    return listening(http)
  },
  async use({ http }) {
    const s = require(client)(http, { ...options.client, transports: options.transports })
    const call = (s, ...args) => new Promise(ok => s.emit(...args, ok))
    await new Promise((ok, no) => { s.on('connect', ok); s.on('connect_error', no) })
    await call(s, 'sum', 2, 3)
    await call(s, 'file', Buffer.from([1, 2, 3]))
    const news = new Promise(ok => s.on('news', ok))
    s.emit('hello', 'wörld')
    await news
    const admin = require(client)(http + '/admin', { ...options.client, transports: options.transports })
    await new Promise(ok => { admin.on('connect_error', ok); admin.on('error', ok) })
    const chat = require(client)(http + '/chat', { ...options.client, transports: options.transports })
    await new Promise(ok => chat.on('connect', ok))
    await call(chat, 'sum', 40, 2)
    await sleep(250) // a heartbeat
    s.close(); chat.close(); admin.close()
  },
})

// unpack reads SignalR's messages in MessagePack: each behind its length.
function* unpack(data) {
  const { decode } = require('@msgpack/msgpack')
  for (let i = 0; i < data.length;) {
    let n = 0
    for (let shift = 0; ; shift += 7) {
      const c = data[i++]
      n |= (c & 127) << shift
      if (c < 128) break
    }
    const [type, , invocationId, target, args] = decode(data.subarray(i, i += n))
    yield { type, invocationId, target, arguments: args }
  }
}

// hub is as much of a SignalR server as a client needs: negotiation and one hub.
const hub = packed => {
  const { MessagePackHubProtocol } = require('@microsoft/signalr-protocol-msgpack')
  const { JsonHubProtocol } = require('@microsoft/signalr')
  const form = () => packed ? new MessagePackHubProtocol() : new JsonHubProtocol()
  return {
    about: `SignalR in ${packed ? 'MessagePack' : 'JSON'}: Microsoft's client against a hub written with its own protocol library.`,
    protocol: 'signalr',
    async serve({ http, listening, stop }) {
      http.removeAllListeners('request')
      http.on('request', (_, res) => res.setHeader('content-type', 'application/json').end(JSON.stringify({ connectionId: 'c', connectionToken: 't', negotiateVersion: 1, availableTransports: [{ transport: 'WebSockets', transferFormats: ['Text', 'Binary'] }] })))
      const wss = new WebSocketServer({ server: http })
      stop.push(() => wss.close())
      wss.on('connection', ws => {
        const p = form()
        const send = m => ws.send(p.writeMessage(m))
        ws.once('message', () => {
          ws.send('{}\x1e')
          ws.on('message', (data, binary) => {
            for (const m of binary ? unpack(data) : data.toString().split('\x1e').filter(Boolean).map(m => JSON.parse(m))) answer(m)
          })
          send({ type: 1, target: 'welcome', arguments: ['hi', { at: 1 }], headers: {} })
          send({ type: 6 })
        })
        const answer = m => {
          if (m.type === 1 && m.target === 'Add') send({ type: 3, invocationId: m.invocationId, result: m.arguments[0] + m.arguments[1], headers: {} })
          else if (m.type === 1 && m.invocationId) send({ type: 3, invocationId: m.invocationId, error: 'no such method', headers: {} })
          else if (m.type === 4) {
            for (let i = 0; i < m.arguments[0]; i++) send({ type: 2, invocationId: m.invocationId, item: i, headers: {} })
            send({ type: 3, invocationId: m.invocationId, headers: {} })
          }
        }
      })
      return listening(http)
    },
    async use({ http }) {
      const { HubConnectionBuilder, LogLevel } = require('@microsoft/signalr')
      let b = new HubConnectionBuilder().withUrl(http + '/hub', { accessTokenFactory: () => 'secret-token' }).configureLogging(LogLevel.None)
      if (packed) b = b.withHubProtocol(form())
      const c = b.build()
      await c.start()
      await c.invoke('Add', 2, 3)
      await c.invoke('Nothing').catch(() => {})
      await new Promise((ok, no) => c.stream('Count', 2).subscribe({ next() {}, complete: ok, error: no }))
      await c.send('Notify', { a: 1 })
      await c.stop()
    },
  }
}

const mqtt = version => ({
  about: `MQTT ${version === 5 ? '5' : '3.1.1'}: MQTT.js against ${version === 5 ? 'mosquitto' : 'aedes'}.`,
  protocol: 'mqtt', offers: 'mqtt',
  async serve({ http, listening, stop, work }) {
    if (version === 5) {
      const port = await freePort()
      writeFileSync(join(work, 'm.conf'), `listener ${port} 127.0.0.1\nallow_anonymous true\n`)
      const p = spawn('/usr/sbin/mosquitto', ['-c', join(work, 'm.conf')], { stdio: 'ignore' })
      stop.push(() => p.kill('SIGKILL'))
      await reachable(port)
      const wss = new WebSocketServer({ server: http }) // Debian's mosquitto may lack its own
      wss.on('connection', ws => {
        const stream = require('ws').createWebSocketStream(ws)
        stream.pipe(connect(port, '127.0.0.1')).pipe(stream).on('error', () => {})
      })
      stop.push(() => wss.close())
      return listening(http)
    }
    const { Aedes } = await import('aedes')
    const broker = await Aedes.createBroker()
    const wss = new WebSocketServer({ server: http })
    wss.on('connection', ws => broker.handle(require('ws').createWebSocketStream(ws)))
    stop.push(() => new Promise(ok => broker.close(ok)), () => wss.close())
    return listening(http)
  },
  async use({ url }) {
    const c = await require('mqtt').connectAsync(url, { clientId: 'c1', username: 'joe', password: 'hunter2', protocolVersion: version, keepalive: 60, will: { topic: 'gone', payload: 'bye' } })
    await c.subscribeAsync({ 'sensors/#': { qos: 1 }, other: { qos: 2 } })
    const got = once(c, 'message')
    await c.publishAsync('sensors/1', JSON.stringify({ t: 21.5 }), { qos: 1 })
    await got
    await c.publishAsync('other', Buffer.from([0, 255]), { qos: 2 })
    await c.publishAsync('sensors/2', 'x', { retain: true })
    await sleep(100)
    await c.unsubscribeAsync('other')
    c.sendPing?.()
    await sleep(100)
    await c.endAsync()
  },
})

// rpc is what connects JSON-RPC to a WebSocket.
async function rpc() {
  const { WebSocketMessageReader, WebSocketMessageWriter } = await import('vscode-ws-jsonrpc')
  const { createMessageConnection, CancellationTokenSource } = require('vscode-jsonrpc/node')
  const socket = ws => ({ send: m => ws.send(m), onMessage: f => ws.on('message', m => f(m.toString())), onError: f => ws.on('error', f), onClose: f => ws.on('close', f), dispose: () => ws.close() })
  const connection = ws => createMessageConnection(new WebSocketMessageReader(socket(ws)), new WebSocketMessageWriter(socket(ws)))
  return { connection, CancellationTokenSource }
}

async function freePort() {
  const s = createTCP().listen(0, '127.0.0.1')
  await once(s, 'listening')
  const { port } = s.address()
  s.close()
  await once(s, 'close')
  return port
}

async function reachable(port) {
  for (let i = 0; i < 100; i++) {
    const s = connect(port, '127.0.0.1')
    const ok = await Promise.race([once(s, 'connect').then(() => true, () => false)])
    s.destroy()
    if (ok) return
    await sleep(50)
  }
  throw new Error(`nothing listens on port ${port}`)
}

export const apps = {
  'socket.io-4': {
    about: 'Socket.IO 4: moved up from polling, acknowledgements, attachments, a namespace that refuses, a heartbeat.', protocol: 'socket.io',
    ...socketIO('socket.io', 'socket.io-client', { server: { pingInterval: 100, connectionStateRecovery: {} }, client: { auth: { token: 't0' } } }),
  },
  'socket.io-4-msgpack': {
    about: 'Socket.IO 4 with the parser that writes MessagePack.', protocol: 'socket.io',
    ...socketIO('socket.io', 'socket.io-client', { server: { parser: require('socket.io-msgpack-parser') }, client: { parser: require('socket.io-msgpack-parser') }, transports: ['websocket'] }),
  },
  'socket.io-2': {
    about: 'Socket.IO 2: Engine.IO 3, where the client pings.', protocol: 'socket.io',
    ...socketIO('socket.io-2', 'socket.io-client-2', { server: { pingInterval: 100 }, transports: ['websocket'] }),
  },
  'graphql-ws': {
    about: 'The library graphql-ws: a query, a subscription, errors.', protocol: 'graphql-transport-ws', offers: 'graphql-transport-ws',
    async serve({ http, listening, stop }) {
      const { useServer } = await import('graphql-ws/use/ws')
      const wss = new WebSocketServer({ server: http, path: '/graphql' })
      stop.push(() => wss.close())
      useServer({ schema: schema() }, wss)
      return listening(http)
    },
    async use({ url }) {
      const { createClient } = await import('graphql-ws')
      const c = createClient({ url: url + '/graphql', webSocketImpl: WebSocket, lazy: false, keepAlive: 100, connectionParams: { authToken: 'secret' } })
      const run = (query, variables) => new Promise(ok => c.subscribe({ query, variables }, { next() {}, error: ok, complete: ok }))
      await run('{ hello }')
      await run('subscription Ticks($n: Int) { ticks(n: $n) }', { n: 3 })
      await run('query Boom { boom }')
      await run('{ nothing }')
      await sleep(150)
      await c.dispose()
    },
  },
  'subscriptions-transport-ws': {
    about: 'The legacy library subscriptions-transport-ws.', protocol: 'graphql-ws', offers: 'graphql-ws',
    async serve({ http, listening, stop }) {
      const { SubscriptionServer } = require('subscriptions-transport-ws')
      const { execute, subscribe } = require('graphql')
      const s = SubscriptionServer.create({ schema: schema(), execute, subscribe, keepAlive: 100 }, { server: http, path: '/subscriptions' })
      stop.push(() => s.close())
      return listening(http)
    },
    async use({ url }) {
      const { SubscriptionClient } = require('subscriptions-transport-ws')
      const c = new SubscriptionClient(url + '/subscriptions', { connectionParams: { authToken: 'secret' } }, WebSocket)
      const run = (query, variables) => new Promise(ok => c.request({ query, variables }).subscribe({ next() {}, error: ok, complete: ok }))
      await run('subscription Ticks($n: Int) { ticks(n: $n) }', { n: 2 })
      await run('query Boom { boom }')
      await run('{ nothing }')
      await sleep(150)
      c.close()
    },
  },
  'vscode-ws-jsonrpc': {
    about: 'JSON-RPC as language servers speak it: vscode-ws-jsonrpc on both sides, each asks the other.', protocol: 'json-rpc',
    async serve({ http, listening, stop }) {
      const { connection } = await rpc()
      const wss = new WebSocketServer({ server: http })
      stop.push(() => wss.close())
      wss.on('connection', ws => {
        const c = connection(ws)
        c.onRequest('initialize', async () => ({ capabilities: { folders: await c.sendRequest('workspace/workspaceFolders') } }))
        c.onRequest('slow', async () => { await sleep(100); return null })
        c.onNotification('textDocument/didOpen', d => c.sendNotification('textDocument/publishDiagnostics', { uri: d.textDocument.uri, diagnostics: [] }))
        c.listen()
      })
      return listening(http)
    },
    async use({ url }) {
      const { connection, CancellationTokenSource } = await rpc()
      const ws = new WebSocket(url)
      await once(ws, 'open')
      const c = connection(ws)
      c.onRequest('workspace/workspaceFolders', () => [{ uri: 'file:///a', name: 'a' }])
      c.listen()
      await c.sendRequest('initialize', { processId: 1 })
      const told = new Promise(ok => c.onNotification('textDocument/publishDiagnostics', ok))
      c.sendNotification('textDocument/didOpen', { textDocument: { uri: 'file:///a', text: 'x' } })
      await told
      await c.sendRequest('nothing').catch(() => {})
      const stop = new CancellationTokenSource()
      const slow = c.sendRequest('slow', stop.token)
      await sleep(20)
      stop.cancel()
      await slow.catch(() => {})
      ws.close()
      await once(ws, 'close')
    },
  },
  'node-inspector': {
    about: "Node's inspector: an evaluation, an error, events.", protocol: 'cdp',
    async serve({ stop }) {
      const port = await freePort()
      const p = spawn(process.execPath, [`--inspect=127.0.0.1:${port}`, '-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
      stop.push(() => p.kill('SIGKILL'))
      await reachable(port)
      return port
    },
    async use({ http, url }) {
      const [{ webSocketDebuggerUrl }] = await (await fetch(http + '/json')).json()
      const ws = new WebSocket(url + new URL(webSocketDebuggerUrl).pathname)
      await once(ws, 'open')
      let id = 0
      const call = (method, params) => new Promise(ok => {
        const n = ++id
        ws.on('message', function f(m) { if (JSON.parse(m).id === n) { ws.off('message', f); ok() } })
        ws.send(JSON.stringify({ id: n, method, params }))
      })
      await call('Runtime.evaluate', { expression: '1+1' })
      await call('Console.enable', {})
      await call('Runtime.nothing', {})
      ws.close()
      await once(ws, 'close')
    },
  },
  'mqtt-5': mqtt(5),
  'mqtt-4': mqtt(4),
  'signalr-json': hub(false),
  'signalr-msgpack': hub(true),
  phoenix: {
    about: "Phoenix: its JavaScript client against a server written for it.", protocol: 'phoenix',
    async serve({ http, listening, stop }) {
      const wss = new WebSocketServer({ server: http })
      stop.push(() => wss.close())
      wss.on('connection', ws => ws.on('message', (m, binary) => {
        if (binary) {
          const [, j, r, t] = m
          ws.send(Buffer.concat([Buffer.from([1, j, r, t, 2]), m.subarray(5, 5 + j + r + t), Buffer.from('ok'), Buffer.from([7])]))
          return
        }
        const [join, ref, topic, event, payload] = JSON.parse(m)
        const status = event === 'boom' ? 'error' : 'ok'
        if (event === 'shout') ws.send(JSON.stringify([null, null, topic, event, payload]))
        ws.send(JSON.stringify([join, ref, topic, 'phx_reply', { status, response: {} }]))
      }))
      return listening(http)
    },
    async use({ url }) {
      const { Socket } = require('phoenix')
      const s = new Socket(url + '/socket', { transport: WebSocket, heartbeatIntervalMs: 100, params: { token: 'secret' } })
      s.connect()
      const c = s.channel('room:lobby', { token: 'secret' })
      const done = p => new Promise(ok => p.receive('ok', ok).receive('error', ok))
      await done(c.join())
      await done(c.push('shout', { body: 'hi' }))
      await done(c.push('boom', {}))
      await done(c.push('bin', new Uint8Array([7, 8, 9]).buffer))
      await sleep(150)
      await done(c.leave())
      s.disconnect()
      await sleep(50)
    },
  },
  stompjs: {
    about: 'STOMP: @stomp/stompjs against a broker written for it.', protocol: 'stomp', offers: 'v12.stomp, v11.stomp, v10.stomp',
    async serve({ http, listening, stop }) {
      const wss = new WebSocketServer({ server: http })
      stop.push(() => wss.close())
      wss.on('connection', ws => {
        const subs = {}
        ws.on('message', m => {
          const [head, body = ''] = m.toString().split('\n\n')
          const [command, ...lines] = head.split('\n')
          const h = Object.fromEntries(lines.map(l => l.split(/:(.*)/s)))
          if (command === 'CONNECT') ws.send('CONNECTED\nversion:1.2\nheart-beat:0,0\n\n\0')
          if (command === 'SUBSCRIBE') subs[h.destination] = h.id
          if (command === 'SEND' && subs[h.destination]) ws.send(`MESSAGE\nsubscription:${subs[h.destination]}\nmessage-id:1\ndestination:${h.destination}\ncontent-type:${h['content-type']}\n\n${body}`)
          if (h.receipt) ws.send(`RECEIPT\nreceipt-id:${h.receipt}\n\n\0`)
        })
      })
      return listening(http)
    },
    async use({ url }) {
      const { Client } = await import('@stomp/stompjs')
      const c = new Client({ brokerURL: url + '/ws', webSocketFactory: () => new WebSocket(url + '/ws', ['v12.stomp', 'v11.stomp', 'v10.stomp']), connectHeaders: { login: 'joe', passcode: 'hunter2' }, reconnectDelay: 0, heartbeatIncoming: 0, heartbeatOutgoing: 0 })
      await new Promise(ok => { c.onConnect = ok; c.activate() })
      const got = new Promise(ok => c.subscribe('/queue/a', ok))
      await sleep(50)
      c.publish({ destination: '/queue/a', body: '{"x":1}', headers: { 'content-type': 'application/json' } })
      await got
      c.publish({ destination: '/queue/b', body: 'hello', headers: { receipt: 'r1' } })
      await sleep(100)
      await c.deactivate()
    },
  },
  sockjs: {
    about: 'SockJS: an echo of JSON.', protocol: 'sockjs',
    async serve({ http, listening }) {
      const s = require('sockjs').createServer({ log() {}, heartbeat_delay: 100 })
      s.on('connection', c => c.on('data', d => c.write(d)))
      s.installHandlers(http, { prefix: '/echo' })
      return listening(http)
    },
    async use({ http }) {
      const s = new (require('sockjs-client'))(http + '/echo', null, { transports: ['websocket'] })
      await new Promise(ok => { s.onopen = ok })
      const got = new Promise(ok => { s.onmessage = ok })
      s.send(JSON.stringify({ type: 'hello', id: 1, text: 'wörld' }))
      await got
      await sleep(150)
      s.close()
      await sleep(50)
    },
  },
  nats: {
    about: "NATS: nats.ws against Debian's nats-server.", protocol: 'nats',
    async serve({ stop, work }) {
      const port = await freePort()
      writeFileSync(join(work, 'n.conf'), `listen: "127.0.0.1:-1"\nwebsocket { listen: "127.0.0.1:${port}", no_tls: true }\nauthorization { user: joe, password: hunter2, permissions { publish { deny: "secret.>" } } }\n`)
      const p = spawn('nats-server', ['-c', join(work, 'n.conf')], { stdio: 'ignore' })
      stop.push(() => p.kill('SIGKILL'))
      await reachable(port)
      return port
    },
    async use({ url }) {
      globalThis.WebSocket = WebSocket
      const { connect, StringCodec, headers } = require('nats.ws')
      const sc = StringCodec()
      const c = await connect({ servers: url, user: 'joe', pass: 'hunter2', noEcho: false })
      c.closed().catch(() => {})
      c.subscribe('greet.*', { callback: (_, m) => m.respond(sc.encode(JSON.stringify({ hello: m.subject }))) })
      await c.request('greet.joe', sc.encode('hi'), { timeout: 2000 })
      const h = headers()
      h.append('X-A', 'b')
      c.publish('greet.sue', sc.encode('there'), { headers: h })
      await c.request('nobody.there', sc.encode(''), { timeout: 1000 }).catch(() => {})
      c.publish('secret.x', sc.encode('no'))
      await c.flush().catch(() => {})
      await sleep(100)
      await c.close()
    },
  },
  'ocpp-rpc': {
    about: 'OCPP 1.6: ocpp-rpc on both sides.', protocol: 'ocpp', offers: 'ocpp1.6',
    async serve({ listening, stop }) {
      const { RPCServer } = require('ocpp-rpc')
      const s = new RPCServer({ protocols: ['ocpp1.6'], strictMode: false })
      s.auth(accept => accept())
      s.on('client', c => {
        c.handle('BootNotification', () => ({ status: 'Accepted', interval: 300, currentTime: '2026-01-01T00:00:00Z' }))
        c.handle('Heartbeat', () => ({ currentTime: '2026-01-01T00:00:00Z' }))
        c.handle('StartTransaction', async () => { await c.call('Reset', { type: 'Soft' }); return { transactionId: 1, idTagInfo: { status: 'Accepted' } } })
      })
      const http = await s.listen(0, '127.0.0.1')
      stop.push(() => s.close())
      return http.address().port
    },
    async use({ url }) {
      const { RPCClient } = require('ocpp-rpc')
      const c = new RPCClient({ endpoint: url, identity: 'CP001', protocols: ['ocpp1.6'], reconnect: false })
      c.handle('Reset', () => ({ status: 'Accepted' }))
      await c.connect()
      await c.call('BootNotification', { chargePointVendor: 'V', chargePointModel: 'M' })
      await c.call('Heartbeat', {})
      await c.call('StartTransaction', { connectorId: 1, idTag: 'x', meterStart: 0, timestamp: '2026-01-01T00:00:00Z' })
      await c.call('Nothing', {}).catch(() => {})
      await c.close()
    },
  },
  'y-websocket': {
    about: 'Yjs: y-websocket, a text that is written, awareness.', protocol: 'yjs',
    async serve({ http, listening, stop }) {
      const { setupWSConnection } = require('y-websocket/bin/utils')
      const wss = new WebSocketServer({ server: http })
      stop.push(() => wss.close())
      wss.on('connection', (ws, req) => setupWSConnection(ws, req))
      return listening(http)
    },
    async use({ url }) {
      const Y = require('yjs')
      const { WebsocketProvider } = require('y-websocket')
      const doc = new Y.Doc()
      const p = new WebsocketProvider(url, 'room', doc, { WebSocketPolyfill: WebSocket, disableBc: true })
      await new Promise(ok => p.once('sync', ok))
      doc.getText('t').insert(0, 'hello')
      p.awareness.setLocalStateField('user', { name: 'joe' })
      await sleep(100)
      p.destroy()
    },
  },
  trpc: {
    about: 'tRPC: a query, a mutation that fails, a subscription that is stopped.', protocol: 'trpc',
    async serve({ http, listening, stop }) {
      const { initTRPC } = await import('@trpc/server')
      const { applyWSSHandler } = await import('@trpc/server/adapters/ws')
      const t = initTRPC.create({ isDev: false })
      const router = t.router({
        hello: t.procedure.query(() => ({ hello: 'world' })),
        boom: t.procedure.mutation(() => { throw new Error('boom') }),
        ticks: t.procedure.subscription(async function* ({ signal }) { for (let i = 0; !signal.aborted && i < 100; i++) { yield i; await sleep(30) } }),
      })
      const wss = new WebSocketServer({ server: http })
      stop.push(() => wss.close())
      applyWSSHandler({ wss, router, keepAlive: { enabled: true, pingMs: 100, pongWaitMs: 5000 } })
      return listening(http)
    },
    async use({ url }) {
      const { createTRPCClient, createWSClient, wsLink } = await import('@trpc/client')
      const ws = createWSClient({ url: url + '/trpc', WebSocket, connectionParams: async () => ({ token: 'secret' }) })
      const c = createTRPCClient({ links: [wsLink({ client: ws })] })
      await c.hello.query()
      await c.boom.mutate().catch(() => {})
      let n = 0
      await new Promise(ok => { const s = c.ticks.subscribe(undefined, { onData() { if (++n === 3) { s.unsubscribe(); ok() } } }) })
      await sleep(150)
      await ws.close()
    },
  },
  hocuspocus: {
    about: 'Hocuspocus: a token, a document.', protocol: 'hocuspocus',
    async serve({ http, listening, stop }) {
      const { Hocuspocus } = await import('@hocuspocus/server')
      const h = new Hocuspocus({ quiet: true, async onAuthenticate({ token }) { if (token !== 'secret') throw new Error('no') } })
      const wss = new WebSocketServer({ server: http })
      stop.push(() => wss.close())
      wss.on('connection', (ws, req) => h.handleConnection(ws, req))
      return listening(http)
    },
    async use({ url }) {
      const { HocuspocusProvider, HocuspocusProviderWebsocket } = await import('@hocuspocus/provider')
      const socket = new HocuspocusProviderWebsocket({ url, WebSocketPolyfill: WebSocket })
      const p = new HocuspocusProvider({ websocketProvider: socket, name: 'doc-1', token: 'secret' })
      p.attach?.()
      await new Promise(ok => p.on('synced', ok))
      p.document.getText('t').insert(0, 'hello')
      await sleep(150)
      p.destroy(); socket.destroy()
    },
  },
}

// Records real applications through wsproxy and writes what they said as fixtures of
// inspect/decode:  node make.mjs WSPROXY FOLDER [NAME…]
// With - as FOLDER it prints what wsproxy says the messages mean instead.
// mqtt-5 and nats need Debian's mosquitto and nats-server.
// What is written has new ids and tokens each time; the items behind it are written by
// `go test ./inspect/decode -run Fixtures -update` and are to be read.
import { spawn, execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { apps } from './apps.mjs'

const [wsproxy, folder, ...only] = process.argv.slice(2)
if (!folder) throw new Error('usage: node make.mjs WSPROXY FOLDER [NAME…]')

// listening is an HTTP server on a free port of the loopback.
export async function listening(server) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server.address().port
}

// within gives up on what takes too long, so that the script always ends.
const within = (ms, what, p) => Promise.race([p, sleep(ms, null, { ref: false }).then(() => { throw new Error(`${what} took more than ${ms} ms`) })])

async function record(app) {
  const work = mkdtempSync(join(tmpdir(), 'wsproxy-apps-'))
  const pcapng = join(work, 'a.pcapng')
  const http = createServer((_, res) => res.writeHead(404).end())
  const stop = []
  let proxy
  try {
    const port = await within(8000, 'the server', app.serve({ http, listening, stop, work }))
    proxy = spawn(wsproxy, ['--record', pcapng, '--listen', '127.0.0.1:0', '--plain', `http://127.0.0.1:${port}`], { stdio: ['ignore', 'ignore', 'pipe'] })
    const exited = once(proxy, 'exit')
    let text = ''
    const through = await within(8000, 'wsproxy', new Promise((ok, no) => {
      proxy.stderr.on('data', d => {
        text += d
        const m = text.match(/listening on \S*?127\.0\.0\.1:(\d+)/)
        if (m && text.includes('ready')) ok(Number(m[1]))
      })
      exited.then(() => no(new Error(text)))
    }))
    await within(10000, 'the client', app.use({ port: through, url: `ws://127.0.0.1:${through}`, http: `http://127.0.0.1:${through}` }))
    await sleep(100) // the last answers
    proxy.kill('SIGINT')
    await within(8000, "wsproxy's end", exited)
    if (folder === '-') return execFileSync(wsproxy, ['show', '--decoded', pcapng]).toString()
    return execFileSync(wsproxy, ['show', '--json', pcapng], { maxBuffer: 64 << 20 }).toString().trim().split('\n').map(l => JSON.parse(l))
  } finally {
    proxy?.kill('SIGKILL')
    for (const f of stop.reverse()) await Promise.resolve(f()).catch(() => {})
    http.closeAllConnections()
    http.close()
    rmSync(work, { recursive: true, force: true })
  }
}

// fixture writes the session with the most frames as text.
function fixture(app, events) {
  const frames = new Map()
  for (const e of events.filter(e => e.event === 'frame')) frames.set(e.session, [...frames.get(e.session) ?? [], e])
  const session = [...frames.keys()].sort((a, b) => frames.get(b).length - frames.get(a).length)[0]
  const open = events.find(e => e.event === 'open' && e.session === session)
  const path = open.path.replace(/^\w+:\/\/[^/]*/, '') || '/'
  const lines = [app.about, '-- session --', `path ${path}`]
  if (app.offers) lines.push(`offered ${app.offers}`)
  if (open.subprotocol) lines.push(`subprotocol ${open.subprotocol}`)
  lines.push('-- messages --')
  const kinds = {} // a continuation is of its message's kind
  for (const f of frames.get(session)) {
    if (f.op === 'text' || f.op === 'binary') kinds[f.dir] = f.op
    if (!f.flags?.includes('fin') || f.op === 'ping' || f.op === 'pong') continue
    if (f.op === 'close') {
      if (f.code) lines.push(`close ${f.dir} ${f.code} ${f.text ?? ''}`.trimEnd())
      continue
    }
    if (kinds[f.dir] === 'binary') lines.push(`${f.dir}x ${Buffer.from(f.binary ?? '', 'base64').toString('hex')}`)
    else if (/^[\x20-\x7e\u00a0-\uffff]*$/.test(f.text ?? '')) lines.push(`${f.dir} ${f.text ?? ''}`)
    else lines.push(`${f.dir}= ${quote(f.text)}`)
  }
  return lines.join('\n') + '\n-- items --\n'
}

// quote writes a text as Go reads it.
const quote = s => JSON.stringify(s).replace(/[\x7f-\x9f]/g, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)

let failed = 0
for (const [name, app] of Object.entries(apps)) {
  if (only.length && !only.includes(name)) continue
  try {
    const events = await record(app)
    if (folder === '-') {
      console.log(events)
      continue
    }
    mkdirSync(join(folder, app.protocol), { recursive: true })
    writeFileSync(join(folder, app.protocol, `app-${name}.txtar`), fixture(app, events))
    console.log(`${name}: ${events.length} events`)
  } catch (e) {
    failed++
    console.log(`${name}: ${e.stack}`)
  }
}
process.exit(failed ? 1 : 0)

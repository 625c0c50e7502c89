// One application alone:  node use.mjs serve NAME  prints its server's port, and
// node use.mjs use NAME  uses the server at WSPROXY_URL.
import { createServer } from 'node:http'
import { mkdtempSync } from 'node:fs'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { apps } from './apps.mjs'

const [what, name] = process.argv.slice(2)
const listening = async (server) => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server.address().port
}

if (what === 'serve') {
  const http = createServer((_, res) => res.writeHead(404).end())
  console.log(`port ${await apps[name].serve({ http, listening, stop: [], work: mkdtempSync(join(tmpdir(), 'wsproxy-apps-')) })}`)
} else {
  const { host, port } = new URL(process.env.WSPROXY_URL)
  setTimeout(() => { console.error(`${name} took more than 20 s`); process.exit(1) }, 20000)
  await apps[name].use({ port, url: `ws://${host}`, http: `http://${host}` })
  process.exit(0)
}

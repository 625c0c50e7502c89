package export

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/wsproxy/wsproxy/cassette"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// scriptLine is a line as the scripts have it. Pings, endings and odd frames are
// not theirs to send.
type scriptLine struct {
	From     string `json:"from"`
	After    int64  `json:"after,omitempty"` // milliseconds
	Text     string `json:"text,omitempty"`
	JSON     bool   `json:"json,omitempty"`     // the text is compared as JSON
	Template bool   `json:"template,omitempty"` // it has variables
	Binary   string `json:"binary,omitempty"`   // base64
	Close    int    `json:"close,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

type scriptSession struct {
	Path         string                     `json:"path"`
	Subprotocols []string                   `json:"subprotocols"`
	Values       map[string]json.RawMessage `json:"values"`
	Lines        []scriptLine               `json:"lines"`
}

// scripted is a recording as the scripts have it: variables found, credentials
// left out.
func scripted(ctx context.Context, from string, side inspect.Dir) ([]byte, error) {
	c, err := cassette.From(func(s inspect.Sink) error { return record.Follow(ctx, from, nil, record.Redact(s)) }, inspect.Limits{Message: 64 << 20, Inflated: 64 << 20})
	if c == nil {
		return nil, err
	}
	c.Tidy()
	c.Make(cassette.Making{Variables: true, Secret: record.Secret})
	if side == inspect.ToServer { // the client is played, and what the server says only compared
		c = c.LooseServer()
	}
	all := []scriptSession{}
	for _, s := range c.Sessions() {
		if !s.Upgrade.Accepted() {
			continue
		}
		x := scriptSession{Path: s.Upgrade.Path, Subprotocols: append([]string{}, s.Upgrade.Subprotocols...), Values: map[string]json.RawMessage{}, Lines: []scriptLine{}}
		for name, v := range c.Values {
			x.Values[name] = v
		}
		scope := cassette.NewScope(c.Values)
		for i := range s.Lines {
			line := s.Lines[i]
			if line.Kind == cassette.Binary {
				line = scope.Fill(line) // the scripts know no variables among bytes
			}
			if l, ok := scriptOf(&line); ok {
				x.Lines = append(x.Lines, l)
			}
		}
		all = append(all, x)
	}
	var b bytes.Buffer
	js := json.NewEncoder(&b) // which escapes what HTML and old JavaScript stumble over
	js.SetIndent("", " ")
	err = errors.Join(err, js.Encode(all))
	return b.Bytes(), err
}

func scriptOf(l *cassette.Line) (scriptLine, bool) {
	x := scriptLine{From: l.From.Sender(), After: l.After.Milliseconds(), Template: l.Template}
	switch l.Kind {
	case cassette.JSON, cassette.Text:
		x.Text, x.JSON = string(l.Data), l.Kind == cassette.JSON || l.Match == cassette.AsJSON
	case cassette.Binary:
		x.Binary = base64.StdEncoding.EncodeToString(l.Data)
	case cassette.Close:
		x.Close, x.Reason = int(l.Code), l.Reason
	default:
		return x, false
	}
	return x, true
}

// scriptText is what stands before and behind the sessions and what plays them.
type scriptText struct{ head, foot string }

// writeScript writes a script that plays a side.
func writeScript(ctx context.Context, from string, w io.Writer, side inspect.Dir, text scriptText) (record.Saved, error) {
	js, err := scripted(ctx, from, side)
	if js == nil {
		return record.Saved{}, err
	}
	_, werr := fmt.Fprintf(w, "%s\nconst sessions = %s\n%s%s", text.head, js, scriptRuntime, text.foot)
	return record.Saved{}, errors.Join(err, werr)
}

// scriptRuntime matches and fills messages, as wsproxy replay does, but for
// numbers, which are JavaScript's.
const scriptRuntime = `
const kinds = {
  uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i,
  now: /^([0-9]{4}-[0-9]{2}-[0-9]{2}.*|[1-9][0-9]{9,18}([.][0-9]+)?)$/,
  'now.s': /^[1-9][0-9]{9,18}([.][0-9]+)?$/,
  'now.ms': /^[1-9][0-9]{9,18}([.][0-9]+)?$/,
  int: /^-?[0-9]+$/,
  string: /^[^]*$/,
}

const plain = (v) => (typeof v === 'string' ? v : JSON.stringify(v))

const only = (s) => {
  const m = /^[$][{]([A-Za-z_][A-Za-z0-9_.-]*)[}]$/.exec(s)
  return m && m[1]
}

// take keeps what a variable stands for the first time; then it must be that.
function take(name, got, vars) {
  if (kinds[name]) return kinds[name].test(plain(got))
  if (!(name in vars)) vars[name] = got
  return plain(vars[name]) === plain(got)
}

function matchText(want, got, vars) {
  const names = []
  let pattern = '^'
  let last = 0
  for (const m of want.matchAll(/[$]([$])?[{]([A-Za-z_][A-Za-z0-9_.-]*)?[}]?/g)) {
    pattern += quote(want.slice(last, m.index))
    last = m.index + m[0].length
    if (m[1]) {
      pattern += quote(m[0].slice(1))
    } else {
      names.push(m[2])
      pattern += '([^]*?)'
    }
  }
  const found = new RegExp(pattern + quote(want.slice(last)) + '$').exec(got)
  return found !== null && names.every((n, i) => take(n, found[i + 1], vars))
}

const quote = (s) => s.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')

// match compares two values; want may have variables.
function match(want, got, vars) {
  if (typeof want === 'string' && want.includes('${')) {
    const name = only(want)
    return name ? take(name, got, vars) : typeof got === 'string' && matchText(want, got, vars)
  }
  if (want === null || typeof want !== 'object') return want === got
  if (got === null || typeof got !== 'object' || Array.isArray(want) !== Array.isArray(got)) return false
  const keys = Object.keys(want)
  return keys.length === Object.keys(got).length && keys.every((k) => k in got && match(want[k], got[k], vars))
}

function same(line, got, vars) {
  if (line.binary !== undefined) return typeof got !== 'string' && base64(got) === line.binary
  if (typeof got !== 'string') return false
  const want = line.text || ''
  const from = line.json ? 0 : line.template ? behind(want) : -1
  if (from < 0) return line.template ? matchText(want, got, vars) : want === got
  if (want.slice(0, from) !== got.slice(0, from)) return false
  try {
    return match(JSON.parse(want.slice(from)), JSON.parse(got.slice(from)), line.template ? vars : Object.freeze({}))
  } catch {
    return false
  }
}

// behind is where JSON begins in a text that is JSON behind a few characters; -1:
// it is no such text.
function behind(s) {
  const i = s.search(/[[{]/)
  if (i < 0 || i > 200) return -1
  try {
    JSON.parse(s.slice(i))
    return i
  } catch {
    return -1
  }
}

function say(name, vars, values) {
  switch (name) {
    case 'now': return new Date().toISOString()
    case 'now.ms': return Date.now()
    case 'now.s': return Math.floor(Date.now() / 1000)
    case 'int': return Math.floor(Math.random() * 2 ** 31)
    case 'string': return Math.random().toString(36).slice(2)
    case 'uuid': return 'xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx'.replace(/x/g, () => Math.floor(Math.random() * 16).toString(16))
  }
  if (!(name in vars)) vars[name] = name in values ? values[name] : Math.random().toString(36).slice(2)
  return vars[name]
}

// fill puts values in place of variables.
function fill(line, vars, values) {
  if (!line.template) return line.text || ''
  let s = line.text
  const json = line.json || behind(s) >= 0
  if (json) s = s.replace(/"[$][{]([A-Za-z_][A-Za-z0-9_.-]*)[}]"/g, (_, n) => JSON.stringify(say(n, vars, values)))
  return s.replace(/[$]([$])?[{]([A-Za-z_][A-Za-z0-9_.-]*)?[}]?/g, (m, literal, n) => {
    if (literal || !n) return m.slice(1)
    const v = plain(say(n, vars, values))
    return json ? JSON.stringify(v).slice(1, -1) : v
  })
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

function base64(data) {
  const b = new Uint8Array(data.buffer || data, data.byteOffset || 0, data.byteLength)
  let s = ''
  for (let i = 0; i < b.length; i += 3) {
    const n = (b[i] << 16) | ((b[i + 1] || 0) << 8) | (b[i + 2] || 0)
    s += alphabet[n >> 18] + alphabet[(n >> 12) & 63] + (i + 1 < b.length ? alphabet[(n >> 6) & 63] : '=') + (i + 2 < b.length ? alphabet[n & 63] : '=')
  }
  return s
}

function bytes(s) {
  const out = []
  for (let i = 0; i < s.length; i += 4) {
    const n = [0, 1, 2, 3].reduce((sum, j) => sum * 64 + Math.max(0, alphabet.indexOf(s[i + j])), 0)
    out.push((n >> 16) & 255, (n >> 8) & 255, n & 255)
  }
  return new Uint8Array(out.slice(0, out.length - (s.endsWith('==') ? 2 : s.endsWith('=') ? 1 : 0)))
}

// player plays one side of a session: next() says what is due and hear(data)
// takes what the other side says; it answers what was expected instead, if it was.
function player(session, side, act) {
  const vars = {}
  let at = 0
  const self = {
    next() {
      for (; at < session.lines.length && session.lines[at].from === side; at++) {
        const l = session.lines[at]
        if (l.close !== undefined) act.close(l.close, l.reason || '')
        else act.send(l.binary !== undefined ? bytes(l.binary) : fill(l, vars, session.values), l.after || 0)
      }
    },
    hear(data) {
      const l = session.lines[at]
      if (!l || l.close !== undefined) return 'nothing more'
      if (!same(l, data, vars)) return l.text || l.binary || ''
      at++
      self.next()
      return undefined
    },
    left: () => session.lines.slice(at).filter((l) => l.from !== side && l.close === undefined).length,
  }
  return self
}
`

// writePlaywright writes a module for Playwright.
func writePlaywright(ctx context.Context, from string, w io.Writer, _ record.SaveOptions) (record.Saved, error) {
	return writeScript(ctx, from, w, inspect.ToClient, scriptText{`// Made by wsproxy export --format playwright. In a test:
//
//   import { routeRecorded } from './NAME.playwright.mjs'
//   const recorded = await routeRecorded(page)
//   …
//   recorded.check() // throws if the page did not say what was recorded
`, `
const fits = (session, url) => matchText(session.path, url.pathname + url.search, {})

// routeRecorded answers the page's WebSockets with what was recorded.
export async function routeRecorded(page) {
  const misses = []
  const playing = []
  const used = new Set()
  await page.routeWebSocket((url) => sessions.some((s) => fits(s, new URL(url))), (ws) => {
    const all = sessions.filter((s) => fits(s, new URL(ws.url())))
    if (all.every((s) => used.has(s))) all.forEach((s) => used.delete(s))
    const session = all.find((s) => !used.has(s))
    used.add(session)
    const p = player(session, 'server', {
      send: (data) => ws.send(typeof data === 'string' ? data : Buffer.from(data)),
      close: (code, reason) => ws.close(code === 1005 ? {} : { code, reason }),
    })
    playing.push({ session, p })
    ws.onMessage((data) => {
      const expected = p.hear(data)
      if (expected === undefined) return
      misses.push(session.path + ': expected ' + expected + ', came ' + data)
      ws.close({ code: 3011, reason: 'replay: not what was recorded' })
    })
    p.next()
  })
  return {
    misses,
    check() {
      for (const { session, p } of playing) if (p.left() > 0) misses.push(session.path + ': ' + p.left() + ' messages did not come')
      if (misses.length > 0) throw new Error('not as recorded:\n' + misses.join('\n'))
    },
  }
}
`})
}

// writeK6 writes a script for k6.
func writeK6(ctx context.Context, from string, w io.Writer, _ record.SaveOptions) (record.Saved, error) {
	return writeScript(ctx, from, w, inspect.ToServer, scriptText{`// Made by wsproxy export --format k6. Run it with
//
//   k6 run -e WSPROXY_URL=ws://localhost:3000 --vus 100 --duration 1m NAME.k6.js
//
// Each virtual user plays the client of each session, one after the other, and
// checks what the server answers. PACE=0 leaves out the pauses.
import { WebSocket } from 'k6/websockets'
import { check } from 'k6'
import { Counter } from 'k6/metrics'
`, `
const missed = new Counter('replay_misses')
const base = __ENV.WSPROXY_URL || 'ws://localhost:3000'
const pace = __ENV.PACE === undefined ? 1 : Number(__ENV.PACE)
const limit = Number(__ENV.LIMIT || 30000) // milliseconds that a session may take

export default function () {
  run(0)
}

function run(i) {
  if (i >= sessions.length) return
  const session = sessions[i]
  const path = fill({ template: true, text: session.path }, {}, session.values)
  const ws = new WebSocket(base.replace(/[/]$/, '') + path, session.subprotocols.length > 0 ? session.subprotocols : undefined)
  ws.binaryType = 'arraybuffer'
  let said = Promise.resolve()
  const p = player(session, 'client', {
    send: (data, after) => {
      said = said.then(() => wait(after * pace)).then(() => ws.send(typeof data === 'string' ? data : data.buffer))
    },
    close: (code, reason) => {
      said = said.then(() => (code === 1005 ? ws.close() : ws.close(code, reason)))
    },
  })
  const late = setTimeout(() => ws.close(), limit)
  ws.onopen = () => p.next()
  ws.onmessage = (e) => {
    const expected = p.hear(e.data)
    if (expected === undefined) return
    missed.add(1)
    console.error(session.path + ': expected ' + expected + ', came ' + e.data)
    ws.close()
  }
  ws.onerror = (e) => {
    missed.add(1)
    console.error(session.path + ': ' + e.error)
  }
  ws.onclose = () => {
    clearTimeout(late)
    check(p, { 'all that was recorded came': (p) => p.left() === 0 })
    run(i + 1)
  }
}

const wait = (ms) => (ms > 0 ? new Promise((done) => setTimeout(done, ms)) : undefined)
`})
}

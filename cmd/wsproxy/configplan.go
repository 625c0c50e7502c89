package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/wsproxy/wsproxy/proxy"
)

// plan makes doors of a file. What it finds wrong stands in the file.
type plan struct {
	file *configFile
	over *pflag.FlagSet // of the command line, which wins

	topBad    bool // what stands at the top is wrong, which may be what is wrong further down
	listening []spot
}

// spot is an address that is listened on, and where the file says so.
type spot struct {
	host, port string
	at         place
}

// settings are flags of one part of a file, in a set of their own.
type settings struct {
	run     rootFlags
	forward forwardFlags
	flags   *pflag.FlagSet
}

// settings are those of tables, each inside the one before.
func (p *plan) settings(tables ...*table) *settings {
	s, cmd := &settings{}, &cobra.Command{}
	s.run.register(cmd)
	s.forward.register(cmd)
	s.run.registerSOCKS(cmd)
	s.flags = cmd.Flags()
	for _, t := range tables {
		p.set(s.flags, t)
	}
	p.over.Visit(func(f *pflag.Flag) {
		if to := s.flags.Lookup(f.Name); to != nil && f.Name != "config" {
			put(to, texts(f))
		}
	})
	return s
}

// texts are a flag's values.
func texts(f *pflag.Flag) []string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	return []string{f.Value.String()}
}

// put sets a flag in place of what it was. The values were checked.
func put(f *pflag.Flag, values []string) {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		_ = list.Replace(values)
		return
	}
	_ = f.Value.Set(values[0])
}

// set sets the flags that a table has keys for.
func (p *plan) set(flags *pflag.FlagSet, t *table) {
	for i := range t.keys {
		e := &t.keys[i]
		k, f := keyNamed(e.name), flags.Lookup(e.name)
		if k == nil || k.own != "" || f == nil || p.overruled(f) {
			continue
		}
		values, ok := p.values(e, f)
		if !ok {
			continue
		}
		for i := range values {
			if k.file {
				values[i] = p.located(values[i])
			}
		}
		put(f, values)
	}
}

// located is a file's path, which the file gives from its own folder on. There may be
// two with a comma.
func (p *plan) located(paths string) string {
	all := strings.Split(paths, ",")
	for i, path := range all {
		if path != "" && !filepath.IsAbs(path) {
			all[i] = filepath.Join(filepath.Dir(p.file.path), path)
		}
	}
	return strings.Join(all, ",")
}

// exclusive is where cobra keeps which flags do not go together.
const exclusive = "cobra_annotation_mutually_exclusive"

// overruled says that the command line has this flag, or another in its place.
func (p *plan) overruled(f *pflag.Flag) (yes bool) {
	p.over.Visit(func(o *pflag.Flag) { yes = yes || o.Name == f.Name || apartFrom(o, f) })
	return yes
}

// apartFrom says that two flags do not go together.
func apartFrom(a, b *pflag.Flag) bool {
	return a.Name != b.Name && slices.ContainsFunc(a.Annotations[exclusive], func(group string) bool {
		return slices.Contains(b.Annotations[exclusive], group)
	})
}

// values are what an entry sets a flag to, if they fit.
func (p *plan) values(e *entry, f *pflag.Flag) ([]string, bool) {
	v := e.value
	switch {
	case f.Value.Type() == "bool":
		return []string{v.text}, v.kind == unstable.Bool
	case v.kind == unstable.String, v.kind == unstable.Integer && e.name == "keep":
		return []string{v.text}, true
	case v.kind == unstable.Array && f.Value.Type() == "stringArray":
		var all []string
		for _, one := range v.list {
			if one.kind != unstable.String {
				return nil, false
			}
			all = append(all, one.text)
		}
		return all, true
	}
	return nil, false
}

// check says what is wrong with a table's keys, each taken by itself.
func (p *plan) check(t *table, scope keyScope, flags *pflag.FlagSet) {
	for i := range t.keys {
		e := &t.keys[i]
		k := keyNamed(e.name)
		switch {
		case e.name == "rules":
			p.file.say(e.at, "rules: there are no rules yet; the key is kept for them")
		case k == nil || k.scope&scope == 0:
			p.unknown(e, k, scope)
		case k.own == "tables":
		case k.own != "":
			p.checkOwn(e, k)
		default:
			p.checkFlag(e, flags)
			for j := range i {
				if other := flags.Lookup(t.keys[j].name); other != nil && on(e) && on(&t.keys[j]) && apartFrom(other, flags.Lookup(e.name)) {
					p.file.say(e.at, "%s and %s do not go together", other.Name, e.name)
				}
			}
		}
	}
}

// on says that an entry is more than the word that it is not so.
func on(e *entry) bool { return e.value.kind != unstable.Bool || e.value.text == "true" }

// unknown says what was meant by a key that is none here.
func (p *plan) unknown(e *entry, k *configKey, scope keyScope) {
	if k != nil {
		where := map[bool]string{true: "in [[listeners.targets]]", false: "at the top of the file"}[k.scope&inTarget != 0]
		if k.scope&inListener != 0 {
			where = "in [[listeners]]"
		}
		if k.scope == inCommand {
			where = "in the table of its command"
		}
		p.file.say(e.at, "%s stands %s", e.name, where)
		return
	}
	var names []string
	for _, k := range configKeys {
		if k.scope&scope != 0 {
			names = append(names, k.name)
		}
	}
	if name := meant(e.name, names); name != "" {
		p.file.say(e.at, "there is no key %q; %s is meant?", e.name, name)
		return
	}
	p.file.say(e.at, "there is no key %q here (docs/config.md, or wsproxy config example)", e.name)
}

// checkOwn checks a key without a flag.
func (p *plan) checkOwn(e *entry, k *configKey) {
	want := unstable.String
	if k.own != "string" {
		want = unstable.Bool
	}
	if e.value.kind != want {
		p.file.say(e.value.at, "%s is %s", e.name, map[bool]string{true: "a string", false: k.own}[want == unstable.String])
		return
	}
	switch {
	case e.name == "mode" && !slices.Contains([]string{"reverse", "forward", "bridge"}, e.value.text):
		p.file.say(e.value.at, "mode is reverse, forward or bridge, not %q", e.value.text)
	case e.name == "path" && !strings.HasPrefix(e.value.text, "/"):
		p.file.say(e.value.at, "a path begins with a slash")
	case e.name == "target":
		if _, err := parseTarget(e.value.text); err != nil {
			p.file.say(e.value.at, "%v", err)
		}
	}
}

// checkFlag checks a flag's key.
func (p *plan) checkFlag(e *entry, flags *pflag.FlagSet) {
	f := flags.Lookup(e.name)
	if f == nil {
		p.file.say(e.at, "%s is for another command", e.name)
		return
	}
	all, ok := p.values(e, f)
	if !ok {
		kind := map[string]string{"bool": "true or false", "stringArray": "a string, or several in brackets"}[f.Value.Type()]
		if kind == "" {
			kind = "a string"
		}
		p.file.say(e.value.at, "%s is %s", e.name, kind)
		return
	}
	for i, text := range all {
		at := e.value.at
		if len(e.value.list) > 0 {
			at = e.value.list[i].at
		}
		if err := p.checkValue(e.name, text); err != nil {
			p.file.say(at, "%s", strings.TrimPrefix(err.Error(), "--"))
		}
	}
}

// checkValue checks the text of a flag that has a grammar.
func (p *plan) checkValue(name, text string) (err error) {
	switch name {
	case "listen", "socks":
		_, _, err = parseListen(text)
	case "header":
		_, err = (&rootFlags{header: []string{text}}).headers()
	case "allow":
		_, err = (&accessFlags{allow: []string{text}}).access()
	case "auth":
		_, err = (&accessFlags{auth: text}).access()
	case "keep":
		_, err = (&rootFlags{keep: text, legs: "client"}).check()
	case "legs":
		_, err = (&rootFlags{keep: "256MiB", legs: text}).check()
	case "upstream-proxy":
		_, err = upstreamOf(text, func(string) string { return "" })
	case "filter":
		_, err = (&outputFlags{filter: text}).compiled()
	case "connect-to":
		_, _, err = net.SplitHostPort(text)
	case "to":
		_, err = parseTarget(text)
	case "cert", "key", "client-cert":
		for path := range strings.SplitSeq(p.located(text), ",") {
			if _, err := os.Stat(path); err != nil {
				return fmt.Errorf("cannot read %s: %w", path, cause(err))
			}
		}
	}
	return err
}

// run are the flags of the run as a whole.
func (p *plan) run() rootFlags {
	s := p.settings(p.file.top)
	p.check(p.file.top, atTop, s.flags)
	if _, err := s.run.check(); err != nil && len(p.file.bad) == 0 {
		p.file.say(p.file.top.at, "%s", strings.TrimPrefix(err.Error(), "--"))
	}
	p.topBad = len(p.file.bad) > 0
	return s.run
}

// doors are the listeners of the file, with what stands behind each.
func (p *plan) doors() []*door {
	top := p.file.top
	e := top.get("listeners")
	if e == nil {
		return []*door{p.door(top, top)}
	}
	if p.over.Changed("listen") {
		p.file.say(e.at, "listeners does not go together with --listen")
		return nil
	}
	var all []*door
	for _, t := range p.file.tables(e, "listeners") {
		all = append(all, p.door(t, top, t))
	}
	return all
}

// own is the string that a key of the file's own has in the innermost of some tables.
func own(name string, tables []*table) (string, *entry) {
	for _, t := range slices.Backward(tables) {
		if e := t.get(name); e != nil && e.value.kind == unstable.String {
			return e.value.text, e
		}
	}
	return "", nil
}

// door is the listener of a table, which is the last of tables.
func (p *plan) door(t *table, tables ...*table) *door {
	before := len(p.file.bad)
	s := p.settings(tables...)
	if len(tables) > 1 {
		p.check(t, inListener, s.flags)
	}
	d := &door{flags: s.run}
	mode, modeAt := own("mode", tables)
	target, targetAt := own("target", tables)
	if targetAt != nil {
		d.target, _ = parseTarget(target) // said before
	}
	for _, outer := range slices.Backward(tables) {
		if e := outer.get("targets"); e != nil {
			d.targets = p.branches(e, tables)
			break
		}
	}
	p.kinds(t, mode == "forward")
	switch {
	case mode == "forward" && (targetAt != nil || d.targets != nil):
		p.file.say(modeAt.at, "a forward proxy's clients name their servers: it has no target")
	case mode == "forward":
		d.flags.forward, _ = s.forward.forward() // it fails for nothing
		f := &d.flags.secure
		f.tls, f.cert, f.key = false, "", "" // of the top, for others
	case targetAt == nil && d.targets == nil && t.get("target") == nil:
		p.file.say(t.at, "neither target = \"ws://…\" nor mode = \"forward\" says what is behind the listener")
	case mode == "bridge" && !p.bridges(d):
		p.file.say(modeAt.at, "a bridge has tcp:// or unix: at one end, target or listen")
	}
	if d.targets != nil && d.target != nil {
		d.targets = append(d.targets, branch{flags: s.run, target: d.target})
		d.target = nil
	}
	p.listens(d, tables)
	if len(p.file.bad) == before && !p.topBad {
		p.checkDoor(d, t)
	}
	return d
}

// bridges says that a door is a bridge.
func (p *plan) bridges(d *door) bool {
	raw, _ := fromTCP(d.flags.listen, d.target) // said elsewhere
	stream := func(u *url.URL) bool { return u != nil && (u.Scheme == "tcp" || u.Scheme == "unix") }
	return raw || stream(d.target) || slices.ContainsFunc(d.targets, func(b branch) bool { return stream(b.target) })
}

// kinds says which keys of a listener are for the other kind.
func (p *plan) kinds(t *table, forward bool) {
	for i := range t.keys {
		e := &t.keys[i]
		switch k := keyNamed(e.name); {
		case k == nil || k.own != "":
		case k.kind == forForward && !forward:
			p.file.say(e.at, "%s is for mode = \"forward\"", e.name)
		case k.kind == forReverse && forward:
			p.file.say(e.at, "%s is for listeners in front of a server, not for mode = \"forward\"", e.name)
		}
	}
}

// branches are a listener's targets.
func (p *plan) branches(e *entry, tables []*table) []branch {
	all := []branch{}
	for _, t := range p.file.tables(e, "listeners.targets") {
		s := p.settings(append(slices.Clone(tables), t)...)
		p.check(t, inTarget, s.flags)
		b := branch{flags: s.run}
		inner := []*table{t}
		b.path, _ = own("path", inner)
		b.host, _ = own("host", inner)
		b.sni, _ = own("sni", inner)
		if strip := t.get("strip"); strip != nil {
			b.strip = on(strip)
		}
		target, at := own("target", inner)
		if at == nil {
			p.file.say(t.at, "a target's table has target = \"ws://…\"")
		} else {
			b.target, _ = parseTarget(target) // said before
		}
		if b.path == "" && b.host == "" && b.sni == "" {
			p.file.say(t.at, "one of path, host and sni says which requests are for the target; the listener's own target is for the others")
		}
		all = append(all, b)
	}
	return all
}

// listens notes where a door listens, and says who has it already and who must not.
func (p *plan) listens(d *door, tables []*table) {
	for _, name := range []string{"listen", "socks"} {
		for _, t := range slices.Backward(tables) {
			e := t.get(name)
			if e == nil {
				continue
			}
			for _, v := range append([]value{e.value}, e.value.list...) {
				if v.kind == unstable.String {
					p.listensAt(d, v)
				}
			}
			break
		}
	}
}

func (p *plan) listensAt(d *door, v value) {
	network, addr, err := parseListen(v.text)
	if err != nil || network != "tcp" {
		return
	}
	host, port, _ := net.SplitHostPort(addr)
	if ip, err := netip.ParseAddr(host); err == nil {
		if err := d.flags.exposure(&net.TCPAddr{IP: ip.AsSlice()}); err != nil {
			p.file.say(v.at, "other machines could use the proxy at %s: allow = [\"192.168.1.0/24\"] lets a network in, auth = \"user:password\" whoever knows it", v.text)
		}
	}
	for _, l := range p.listening {
		if l.host == host && l.port == port && port != "0" {
			p.file.say(v.at, "line %d listens on %s already", l.at.line, v.text)
		}
	}
	p.listening = append(p.listening, spot{host, port, v.at})
}

// checkDoor says what is wrong with a door whose keys are right each by itself.
func (p *plan) checkDoor(d *door, t *table) {
	c, err := d.config()
	if err == nil && !d.tls {
		if i := slices.IndexFunc(d.targets, func(b branch) bool { return b.sni != "" }); i >= 0 {
			p.file.say(t.at, "a target by sni is behind a listener with TLS: tls = true, or cert")
		}
	}
	if err == nil {
		_, err = d.pairs()
	}
	if err == nil && c.Forward == nil { // which starts nothing
		_, err = proxy.New(c)
	}
	if err != nil {
		p.file.say(t.at, "%s", strings.TrimPrefix(err.Error(), "--"))
	}
}

// loops says which targets are listeners of the file itself.
func (p *plan) loops(doors []*door) {
	for _, d := range doors {
		for _, u := range d.servers() {
			for _, l := range p.listening {
				if u.Port() == l.port && (u.Hostname() == l.host || ours(u.Hostname()) && ours(l.host)) {
					p.file.say(l.at, "wsproxy would connect to itself: %s is the target %s too", net.JoinHostPort(l.host, l.port), u)
				}
			}
		}
	}
}

// servers are the URLs of all targets of a door.
func (d *door) servers() (all []*url.URL) {
	for _, b := range d.targets {
		if b.target != nil {
			all = append(all, b.target)
		}
	}
	if d.target != nil {
		all = append(all, d.target)
	}
	return all
}

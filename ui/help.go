package ui

// keyColumn is where a help page has what a key does.
const keyColumn = 21

// meaning adds what a key or a mark does.
func (p *page) meaning(what, doc string) {
	p.lines = append(p.lines, line{spans: []span{{"  " + pad(what, keyColumn-2), name}, {doc, plain}}, indent: keyColumn})
}

// helpPage has the keys that work where one is, and what the screen means.
func (v *view) helpPage(w int) *page {
	p := &page{width: w}
	p.title("Keys that work here")
	for i := range v.commands {
		if c := &v.commands[i]; c.works(v) && len(c.keys) > 0 {
			p.meaning(c.shown(true), c.doc)
		}
	}
	p.title("The mouse")
	p.meaning("click", "select a session, a frame or a tab; do what the bottom line says")
	p.meaning("wheel", "go up and down")
	p.title("What the marks mean")
	p.meaning("● ○ ✕", "a session that is open; ended with a Close frame; refused or ended without one")
	p.meaning("→ ←", "sent by the client; sent by the server")
	p.meaning("!", "something breaks the protocol: tab 5 says what")
	p.meaning("◆", "marked by you: m; with a note: ;")
	p.meaning("␛ \\xff", "in payloads: a control character, a byte that is no UTF-8; nothing a peer sends reaches your terminal as it is")
	return p
}

// keysPage has every command: where it works, its keys and its name.
func (v *view) keysPage(w int) *page {
	p := &page{width: w}
	for _, group := range []struct {
		title string
		is    func(places) bool
	}{
		{"Everywhere", func(p places) bool { return p&inPanes == inPanes }},
		{"In the sessions", func(p places) bool { return p&inPanes != inPanes && p&inSessions != 0 }},
		{"In the frames", func(p places) bool { return p&inPanes != inPanes && p&inFrames != 0 }},
		{"In the tabs", func(p places) bool { return p&inPanes != inPanes && p&inDetail != 0 }},
	} {
		p.title(group.title)
		for i := range v.commands {
			c := &v.commands[i]
			if !group.is(c.where) || c.where&inPanes == 0 {
				continue
			}
			l := line{spans: []span{{"  " + pad(c.shown(true), keyColumn-2), name}, {pad(":"+c.name, 18), strong}, {c.doc, plain}}, indent: keyColumn + 18}
			if c.when != nil && !c.when(v) {
				l.spans[2].role = dim
			}
			p.lines = append(p.lines, l)
		}
	}
	return p
}

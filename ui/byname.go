package ui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// askCommand asks for a command's name, and what goes with it.
func (v *view) askCommand() {
	v.ask(question{kind: "command", label: ":", options: v.commandsNamed, done: v.runNamed})
}

// commandsNamed are the commands that work here and begin so.
func (v *view) commandsNamed(text string) []option {
	var all []option
	if name, words, ok := strings.Cut(text, " "); ok { // the name is written
		for _, o := range wordsBehind(name) {
			if strings.HasPrefix(o.text, words) && o.text != words {
				all = append(all, option{text: name + " " + o.text, doc: o.doc})
			}
		}
		return all
	}
	for i := range v.commands {
		if c := &v.commands[i]; strings.HasPrefix(c.name, text) && c.name != text && c.works(v) {
			all = append(all, option{c.name, c.shown(false), c.doc})
		}
	}
	slices.SortStableFunc(all, func(a, b option) int { return cmp.Compare(a.text, b.text) })
	return all
}

// wordsBehind are what may stand behind the names of commands that choose one of a few.
func wordsBehind(name string) []option {
	var all []option
	switch name {
	case "theme":
		for _, t := range Themes() {
			all = append(all, option{text: t})
		}
	case "view":
		for m := range modes {
			all = append(all, option{text: strings.ToLower(m.String())})
		}
	case "copy":
		for _, c := range copyings() {
			all = append(all, option{text: c.name, doc: c.doc})
		}
	}
	return all
}

// runNamed does what was written behind ":".
func (v *view) runNamed(text string) {
	name, words, _ := strings.Cut(strings.TrimSpace(text), " ")
	words = strings.TrimSpace(words)
	if name == "" {
		return
	}
	c := v.named(name)
	all := v.commandsNamed(name)
	if c == nil && len(all) == 1 {
		c = v.named(all[0].text) // it can mean nothing else
	}
	switch {
	case c == nil && len(all) > 1:
		v.said = fmt.Sprintf("%s could be %s, %s, …", name, all[0].text, all[1].text)
	case c == nil && slices.ContainsFunc(v.commands, func(c command) bool { return c.name == name }):
		v.said = fmt.Sprintf("%s does nothing here", name)
	case c == nil:
		v.said = fmt.Sprintf("there is no command %q; K shows all of them", name)
	case words == "":
		c.do(v)
	case c.with == nil:
		v.said = fmt.Sprintf("%s takes no words behind its name", c.name)
	default:
		c.with(v, words)
	}
}

// askPalette asks for a command by some letters of its name or of what it does.
func (v *view) askPalette() {
	v.ask(question{label: "command: ", options: v.commandsLike, pick: true, done: v.runNamed})
}

// commandsLike are the commands that work here in which the letters stand in this
// order, the closest first.
func (v *view) commandsLike(text string) []option {
	type scored struct {
		option
		score int
	}
	var all []scored
	for i := range v.commands {
		c := &v.commands[i]
		if c.name == "palette" || c.name == "command" || !c.works(v) {
			continue
		}
		byName, ok := likeness(c.name, text)
		byDoc, okDoc := likeness(c.doc, text)
		if !okDoc && !ok {
			continue
		}
		score := byDoc + 100
		if ok {
			score = min(score, byName)
		}
		all = append(all, scored{option{c.name, c.shown(false), c.doc}, score})
	}
	slices.SortStableFunc(all, func(a, b scored) int { return cmp.Compare(a.score, b.score) })
	out := make([]option, len(all))
	for i := range all {
		out[i] = all[i].option
	}
	return out
}

// likeness says how far the letters of what is written lie apart in a text, in
// any letter case: the less the better.
func likeness(text, letters string) (score int, ok bool) {
	text = strings.ToLower(text)
	before := 0
	for i, r := range strings.ToLower(letters) {
		if r == ' ' {
			continue
		}
		at := strings.IndexRune(text[before:], r)
		if at < 0 {
			return 0, false
		}
		if at > 0 && i == 0 {
			score++ // not at the beginning
		}
		if i > 0 {
			score += at
		}
		before += at + len(string(r))
	}
	return score, true
}

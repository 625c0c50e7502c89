package ui

import "strings"

// mark sets apart where a text stands in the lines, letter case aside, and
// answers the lines that have it. A text that is cut by the end of a line is
// not found.
func mark(lines []line, text string) (hits []int) {
	text = strings.ToLower(text)
	for i := range lines {
		l := &lines[i]
		s := l.String()
		low := strings.ToLower(s)
		if len(low) != len(s) || !strings.Contains(low, text) {
			continue // a letter whose other case is longer: offsets would not fit
		}
		hits = append(hits, i)
		for at := 0; ; {
			n := strings.Index(low[at:], text)
			if n < 0 {
				break
			}
			l.paint(at+n, at+n+len(text), found)
			at += n + len(text)
		}
	}
	return hits
}

// paint gives the bytes from..to of a line a role.
func (l *line) paint(from, to int, r role) {
	var out []span
	at := 0
	for _, s := range l.spans {
		a, b := max(from-at, 0), min(to-at, len(s.text))
		if a >= b {
			out = append(out, s)
		} else {
			for _, part := range []span{{s.text[:a], s.role}, {s.text[a:b], r}, {s.text[b:], s.role}} {
				if part.text != "" {
					out = append(out, part)
				}
			}
		}
		at += len(s.text)
	}
	l.spans = out
}

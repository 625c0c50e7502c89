package cassette

import (
	"regexp"
	"strings"
)

// piece is a part of a template: text as it stands, or a variable.
type piece struct {
	text string
	name string // empty: text
}

// variableName is what may stand between ${ and }.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// Literal is a text as a template that stands for nothing but itself.
func Literal(s string) string {
	if !strings.Contains(s, "${") {
		return s
	}
	return strings.ReplaceAll(s, "${", "$${")
}

// plainText is a template without variables as the text that it stands for.
func plainText(s string) string {
	if !strings.Contains(s, "${") {
		return s
	}
	return strings.ReplaceAll(s, "$${", "${")
}

// pieces takes a template apart. at is the offset of a ${ that begins no
// variable; -1: there is none.
func pieces(s string) (all []piece, at int) {
	var text strings.Builder
	for i := 0; i < len(s); {
		j := strings.IndexByte(s[i:], '$')
		if j < 0 {
			text.WriteString(s[i:])
			break
		}
		text.WriteString(s[i : i+j])
		i += j
		switch {
		case strings.HasPrefix(s[i:], "$${"):
			text.WriteString("${")
			i += 3
		case strings.HasPrefix(s[i:], "${"):
			n := strings.IndexByte(s[i:], '}')
			if n < 0 || !variableName.MatchString(s[i+2:i+n]) {
				return nil, i
			}
			if text.Len() > 0 {
				all = append(all, piece{text: text.String()})
				text.Reset()
			}
			all = append(all, piece{name: s[i+2 : i+n]})
			i += n + 1
		default:
			text.WriteByte('$')
			i++
		}
	}
	if text.Len() > 0 {
		all = append(all, piece{text: text.String()})
	}
	return all, -1
}

// only is the variable that a template consists of; empty: it is more than one.
func only(s string) string {
	if !strings.HasPrefix(s, "${") || !strings.HasSuffix(s, "}") {
		return ""
	}
	if name := s[2 : len(s)-1]; variableName.MatchString(name) {
		return name
	}
	return ""
}

// variablesOf are the names in a template, in their order.
func variablesOf(s string) (names []string) {
	all, _ := pieces(s)
	for _, p := range all {
		if p.name != "" {
			names = append(names, p.name)
		}
	}
	return names
}

// variables are the names in a line, in their order.
func (l *Line) variables() (names []string) {
	if l.Template && l.Kind == Binary {
		all, _ := bytesPieces(string(l.Data))
		for _, p := range all {
			if p.name != "" {
				names = append(names, p.name)
			}
		}
	} else if l.Template {
		names = append(variablesOf(string(l.Data)), variablesOf(l.Reason)...)
	}
	if l.Kind == Open && l.Upgrade != nil {
		names = append(names, variablesOf(l.Upgrade.Path)...)
		for _, p := range l.Upgrade.Subprotocols {
			names = append(names, variablesOf(p)...)
		}
	}
	if l.Kind == HTTP && l.Exchange != nil {
		names = append(names, variablesOf(l.Exchange.Path)...)
	}
	return names
}

package inspect

import (
	"fmt"
	"strings"
)

// Param is a parameter of an extension. HasValue tells "a=" and "a" apart.
type Param struct {
	Name, Value string
	HasValue    bool
}

// Extension is one extension with its parameters, as offered or agreed
// (RFC 6455 section 9.1).
type Extension struct {
	Name   string
	Params []Param
}

// String is the extension in the header's own form, quoted where it must be.
func (e Extension) String() string {
	var b strings.Builder
	b.WriteString(e.Name)
	for _, p := range e.Params {
		b.WriteString("; " + p.Name)
		if !p.HasValue {
			continue
		}
		if isToken(p.Value) {
			b.WriteString("=" + p.Value)
			continue
		}
		b.WriteString(`="`)
		for i := 0; i < len(p.Value); i++ {
			if p.Value[i] == '"' || p.Value[i] == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(p.Value[i])
		}
		b.WriteByte('"')
	}
	return b.String()
}

// ParseExtensions reads the values of Sec-WebSocket-Extensions headers, which
// count as one list. On an error it answers what stands before the fault.
func ParseExtensions(values []string) ([]Extension, error) {
	var all []Extension
	for _, v := range values {
		p := extParser{s: v}
		for {
			e, err := p.extension()
			if err != nil {
				return all, err
			}
			if e.Name != "" {
				all = append(all, e)
			}
			if p.space(); p.s == "" {
				break
			}
			if !p.eat(',') {
				return all, fmt.Errorf("%q is no extension list", clip(v))
			}
		}
	}
	return all, nil
}

type extParser struct{ s string }

func (p *extParser) space() { p.s = strings.TrimLeft(p.s, " \t") }

func (p *extParser) eat(c byte) bool {
	if p.space(); p.s != "" && p.s[0] == c {
		p.s = p.s[1:]
		return true
	}
	return false
}

func (p *extParser) token() string {
	p.space()
	n := 0
	for n < len(p.s) && isTokenByte(p.s[n]) {
		n++
	}
	t := p.s[:n]
	p.s = p.s[n:]
	return t
}

// extension reads one; an empty element of the list has no name (RFC 9110 section 5.6.1.2).
func (p *extParser) extension() (Extension, error) {
	e := Extension{Name: p.token()}
	for e.Name != "" && p.eat(';') {
		param := Param{Name: p.token()}
		if param.Name == "" {
			return e, fmt.Errorf("a parameter of %s has no name", e.Name)
		}
		if param.HasValue = p.eat('='); param.HasValue {
			var ok bool
			if param.Value, ok = p.value(); !ok {
				return e, fmt.Errorf("the parameter %s of %s has no value", param.Name, e.Name)
			}
		}
		e.Params = append(e.Params, param)
	}
	return e, nil
}

// value reads a token or a quoted string (RFC 9110 section 5.6.4).
func (p *extParser) value() (string, bool) {
	if !p.eat('"') {
		t := p.token()
		return t, t != ""
	}
	var b strings.Builder
	for i := 0; i < len(p.s); i++ {
		switch c := p.s[i]; c {
		case '"':
			p.s = p.s[i+1:]
			return b.String(), true
		case '\\':
			i++
			if i == len(p.s) {
				return "", false
			}
			b.WriteByte(p.s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// ParseTokens reads comma-separated lists of tokens, such as the values of
// Sec-WebSocket-Protocol (RFC 6455 section 11.3.4).
func ParseTokens(values []string) []string {
	var all []string
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if t = strings.Trim(t, " \t"); t != "" {
				all = append(all, t)
			}
		}
	}
	return all
}

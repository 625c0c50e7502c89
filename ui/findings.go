package ui

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/lint"
)

// findings makes the Findings tab.
func (m *maker) findings() (whole bool) {
	all := m.source.Findings(m.want.session)
	known := uint64(len(all))
	all = append(all, m.want.talk.faults()...)
	here := slices.DeleteFunc(slices.Clone(all), func(f inspect.Finding) bool { return !m.isHere(&f) })
	for i := range here {
		m.finding(&here[i])
	}
	rest := len(all) - len(here)
	if rest == 0 && len(here) == 0 {
		m.say(good, "Nothing in this session breaks RFC 6455 or RFC 7692, so far as wsproxy checks.")
		return false
	}
	if rest == 0 {
		return false
	}
	m.title("Elsewhere in this session")
	for i := range all {
		if f := &all[i]; !m.isHere(f) {
			m.lines = append(m.lines, line{spans: []span{{pad(where(f), 14), dim}, {f.ID, severityRole(f.Severity)}, {"  " + f.Clause, dim}}, indent: 14})
		}
	}
	if more := m.session.Findings - known; more > 0 && m.session.Findings > known {
		m.say(dim, "and %d more", more)
	}
	return false
}

// isHere says that a finding is about the selected row.
func (m *maker) isHere(f *inspect.Finding) bool {
	switch m.want.entry {
	case entryFrame:
		return f.Frame == m.want.row.N()
	case entryOpen:
		return f.Frame == 0
	}
	return false
}

func where(f *inspect.Finding) string {
	if f.Frame == 0 {
		return "handshake"
	}
	return fmt.Sprintf("frame #%d", f.Frame)
}

func severityRole(s inspect.Severity) role {
	switch s {
	case inspect.Error:
		return bad
	case inspect.Warning:
		return odd
	}
	return strong
}

// finding explains one finding: what was seen, what the RFC says, how to mend it.
func (m *maker) finding(f *inspect.Finding) {
	if len(m.lines) > 0 {
		m.add()
	}
	m.add(span{f.ID, severityRole(f.Severity)}, span{fmt.Sprintf("  %s  %s", f.Clause, f.Severity), dim})
	m.under(plain, "%s", visible(f.Detail))
	if rule, ok := lint.Lookup(f.ID); ok {
		m.under(plain, "%s", rule.Doc)
		m.under(good, "To mend it: %s", strings.TrimSpace(rule.Mend))
	}
}

// faults are the findings of a session's decoder.
func (k *talk) faults() []inspect.Finding {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.findings)
}

// countFindings is how many the selected session has, also of its decoder.
func (v *view) countFindings() uint64 {
	n := v.source.Session(v.frames.session).Findings
	if k := v.talk; k != nil {
		k.mu.Lock()
		n += uint64(k.found)
		k.mu.Unlock()
	}
	return n
}

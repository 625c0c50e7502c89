package ui

import (
	"fmt"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// column is one column of the frame list. Those of a high rank go first where
// there is no room.
type column struct {
	title string
	width int
	right bool
	rank  int
	cell  func(*frameRow) span
}

func columns() []column {
	return []column{
		{"#", 5, true, 0, numberCell},
		{"", 1, false, 0, markCell},
		{"time", 8, true, 2, timeCell},
		{"delta", 8, true, 6, deltaCell},
		{"dir", 3, false, 1, dirCell},
		{"op", 6, false, 0, opCell},
		{"len", 7, true, 3, lengthCell},
		{"fin", 3, false, 4, finCell},
		{"rsv", 3, false, 5, rsvCell},
		{"mask", 4, false, 5, maskCell},
	}
}

// summaryWidth is what a summary should have before columns are left out.
const summaryWidth = 36

// fit leaves columns out until the rest and a summary fit.
func fit(all []column, w int) []column {
	for {
		used, worst := 0, 0
		for _, c := range all {
			used += c.width + 1
			worst = max(worst, c.rank)
		}
		if used+summaryWidth <= w || worst == 0 {
			return all
		}
		var kept []column
		for _, c := range all {
			if c.rank < worst {
				kept = append(kept, c)
			}
		}
		all = kept
	}
}

func numberCell(r *frameRow) span {
	if r.entry != entryFrame {
		return span{"", dim}
	}
	return span{fmt.Sprint(r.row.N()), dim}
}

func markCell(r *frameRow) span {
	if r.note != nil {
		return span{"◆", odd}
	}
	if r.mark == nil {
		return span{" ", plain}
	}
	return span{"!", severityRole(r.mark.Severity)}
}

func timeCell(r *frameRow) span {
	if r.time.IsZero() {
		return span{"", dim}
	}
	return span{since(r.time.Sub(r.session.Opened)), dim}
}

func deltaCell(r *frameRow) span {
	if r.before.IsZero() || r.time.IsZero() {
		return span{"", dim}
	}
	return span{between(r.time.Sub(r.before)), dim}
}

func dirCell(r *frameRow) span {
	switch {
	case r.entry == entryOpen && r.session.Kind == record.Exchange:
		return span{" →", upward}
	case r.entry == entryOpen:
		return span{" ⇄", plain}
	case r.entry == entryEnd && r.session.Kind != record.WebSocket:
		return span{" ←", downward}
	case r.entry == entryEnd:
		return span{" ■", dim}
	case r.folded > 0:
		return span{" ⇄", plain}
	case r.row.Dir() == inspect.ToServer:
		return span{" →", upward}
	}
	return span{" ←", downward}
}

func opCell(r *frameRow) span {
	switch {
	case r.entry != entryFrame && r.session.Kind == record.Exchange:
		return span{"HTTP", strong}
	case r.entry == entryOpen:
		return span{"OPEN", strong}
	case r.entry == entryEnd:
		return span{"END", strong}
	}
	op := r.row.Opcode()
	text := strings.ToUpper(op.String())
	switch {
	case op.Reserved():
		return span{op.String(), bad}
	case op.Control():
		return span{text, strong}
	}
	return span{text, plain}
}

func lengthCell(r *frameRow) span {
	if r.entry != entryFrame || r.folded > 0 {
		return span{"", plain}
	}
	if n := r.row.Length(); n > 9_999_999 {
		return span{bytesOf(int64(n)), plain}
	}
	return span{fmt.Sprint(r.row.Length()), plain}
}

func dot(on bool) span {
	if on {
		return span{" ●", plain}
	}
	return span{"", plain}
}

func finCell(r *frameRow) span { return dot(r.entry == entryFrame && r.folded == 0 && r.row.Fin()) }

func maskCell(r *frameRow) span { return dot(r.entry == entryFrame && r.folded == 0 && r.row.Masked()) }

func rsvCell(r *frameRow) span {
	if r.entry != entryFrame {
		return span{"", plain}
	}
	text := ""
	for i, on := range r.row.Rsv() {
		if on {
			text += fmt.Sprint(i + 1)
		}
	}
	return span{text, number}
}

// framesBar is the head of the list: the columns' titles.
func framesBar(cols []column) string {
	var b strings.Builder
	for _, c := range cols {
		b.WriteByte(' ')
		if c.right {
			fmt.Fprintf(&b, "%*s", c.width, c.title)
		} else {
			fmt.Fprintf(&b, "%-*s", c.width, c.title)
		}
	}
	return b.String() + "  summary"
}

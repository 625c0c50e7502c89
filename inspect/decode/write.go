package decode

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/wsproxy/wsproxy/inspect"
)

// written is an item as JSON: docs/protocols.md has its keys.
type written struct {
	N        uint64           `json:"n"`
	Dir      string           `json:"dir"`
	Kind     Kind             `json:"kind"`
	Name     string           `json:"name"`
	ID       string           `json:"id,omitempty"`
	Topic    string           `json:"topic,omitempty"`
	Answers  uint64           `json:"answers,omitempty"`
	Of       string           `json:"of,omitempty"`
	Latency  *float64         `json:"latency,omitempty"` // seconds
	Start    time.Time        `json:"start,omitzero"`
	Parts    []writtenPart    `json:"parts"`
	Tree     json.RawMessage  `json:"tree,omitempty"`
	Findings []writtenFinding `json:"findings,omitempty"`
}

type writtenPart struct {
	First  uint64 `json:"first"` // frame numbers
	Last   uint64 `json:"last"`
	Offset int    `json:"offset"` // in the message
	Length int    `json:"length"`
}

type writtenFinding struct {
	ID       string           `json:"id"`
	Severity inspect.Severity `json:"severity"`
	Detail   string           `json:"detail"`
}

// MarshalJSON is the item for scripts, with the whole tree. Secrets are masked.
func (it *Item) MarshalJSON() ([]byte, error) {
	w := written{N: it.N, Dir: ">", Kind: it.Kind, Name: it.Name, ID: it.ID, Topic: it.Topic, Answers: it.Answers, Of: it.Of, Parts: []writtenPart{}}
	if it.Dir == inspect.ToClient {
		w.Dir = "<"
	}
	if it.Answers > 0 {
		seconds := it.Latency.Seconds()
		w.Latency = &seconds
	}
	if !it.Start.Equal(it.Time) {
		w.Start = it.Start
	}
	for _, p := range it.Parts {
		w.Parts = append(w.Parts, writtenPart{p.First, p.Last, p.Off, p.Len})
	}
	if !it.Tree.empty() {
		w.Tree = it.Tree.JSON()
	}
	for _, f := range it.Findings {
		w.Findings = append(w.Findings, writtenFinding{f.ID, f.Severity, f.Detail})
	}
	b, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	return harmless(make([]byte, 0, len(b)), b), nil
}

// linesMost bounds the lines of a tree that is written out.
const linesMost = 10_000

// Indented is the tree on lines of its own, one a value; what fits into width columns
// stays on one. It is safe to show on a terminal.
func (n *Node) Indented(width int) string {
	w := indenter{width: width}
	w.node(n, "", "")
	return w.String()
}

type indenter struct {
	bytes.Buffer
	width int
	lines int
}

// node writes a value behind what stands on its line, and its children below it.
func (w *indenter) node(n *Node, indent, head string) {
	if w.lines++; w.lines > linesMost {
		if w.lines == linesMost+1 {
			w.WriteString(indent + "…\n")
		}
		return
	}
	room := max(w.width-len(indent)-len(head), 20)
	line := n.appendText(nil, room)
	kids := n.Children()
	leaf := n.Secret || len(kids) == 0 || n.level >= textDepth
	if leaf || len(line) <= room && !strings.HasSuffix(string(line), "…") {
		if leaf && n.Type == Text {
			line = n.appendText(nil, 1<<20)
		}
		w.WriteString(indent + head + string(line) + "\n")
		return
	}
	label := map[Type]string{List: "list", Object: "object", Text: "text", Binary: "binary"}[n.Type]
	if n.Note != "" {
		label += " (" + inspect.Visible([]byte(n.Note), 200) + ")"
	}
	if head == "" && n.Note == "" {
		for i := range kids {
			w.kid(n, &kids[i], indent)
		}
		return
	}
	w.WriteString(indent + strings.TrimRight(head+label, " ") + "\n")
	for i := range kids {
		w.kid(n, &kids[i], indent+"  ")
	}
}

func (w *indenter) kid(parent, k *Node, indent string) {
	head := ""
	switch {
	case parent.Type == Object && k.Name != "":
		head = inspect.Visible([]byte(k.Name), 200) + ": "
	case parent.Type == List:
		head = "- "
	}
	w.node(k, indent, head)
}

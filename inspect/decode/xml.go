package decode

import (
	"bytes"
	"encoding/xml"
)

// xmlMost is how many tokens of an XML document are looked at.
const xmlMost = 20_000

// isXML says that a text is one XML element, well-formed as far as its first tag.
func isXML(b []byte) bool {
	b = bytes.TrimSpace(b)
	if len(b) < 4 || b[0] != '<' || b[len(b)-1] != '>' {
		return false
	}
	_, ok := firstElement(xml.NewDecoder(bytes.NewReader(b[:min(len(b), 4096)])))
	return ok
}

func firstElement(d *xml.Decoder) (xml.StartElement, bool) {
	for {
		t, err := d.RawToken()
		if err != nil {
			return xml.StartElement{}, false
		}
		if e, ok := t.(xml.StartElement); ok {
			return e.Copy(), true
		}
	}
}

// xmlNode is the tree of a document, which is read when it is opened.
func xmlNode(b []byte) Node { return Node{Type: Object, Note: "xml", raw: b, open: openXML} }

func openXML(n *Node) []Node {
	d := xml.NewDecoder(bytes.NewReader(n.raw))
	d.Strict = false
	left := xmlMost
	var all []Node
	for {
		e, ok := firstElement(d)
		if !ok {
			return all
		}
		all = append(all, xmlElement(d, e, &left, 0))
	}
}

// xmlElement reads an element to its end: its attributes, its elements, its text.
func xmlElement(d *xml.Decoder, e xml.StartElement, left *int, level int) Node {
	n := Node{Name: qualified(e.Name), Type: Object}
	for _, a := range e.Attr[:min(len(e.Attr), maxKids)] {
		n.add(textNode("@"+qualified(a.Name), a.Value))
	}
	var text []byte
	for {
		t, err := d.RawToken()
		if *left--; err != nil || *left <= 0 {
			n.Note = "not read to its end"
			return n
		}
		switch t := t.(type) {
		case xml.StartElement:
			if level >= textDepth { // deeper than anybody looks
				return n
			}
			n.add(xmlElement(d, t.Copy(), left, level+1))
		case xml.CharData:
			text = append(text, t...)
		case xml.EndElement:
			text = bytes.TrimSpace(text)
			if len(n.kids) == 0 {
				return textNode(n.Name, string(text))
			}
			if len(text) > 0 {
				n.add(textNode("#text", string(text)))
			}
			return n
		}
	}
}

func qualified(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}

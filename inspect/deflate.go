package inspect

import (
	"fmt"
	"strconv"
)

// Deflate is what permessage-deflate was agreed with (RFC 7692 section 7.1).
type Deflate struct {
	ServerNoContextTakeover, ClientNoContextTakeover bool
	ServerMaxWindowBits, ClientMaxWindowBits         int // 8 to 15; 15 where nothing was agreed
}

// DeflateName is the extension's name in the handshake.
const DeflateName = "permessage-deflate"

// Takeover says that the sender of a direction uses its window from one message
// to the next (RFC 7692 section 7.1.1).
func (d *Deflate) Takeover(dir Dir) bool {
	if dir == ToServer {
		return !d.ClientNoContextTakeover
	}
	return !d.ServerNoContextTakeover
}

// WindowBits is the base-2 logarithm of the window's size in a direction, 8 to 15.
func (d *Deflate) WindowBits(dir Dir) int {
	if dir == ToServer {
		return d.ClientMaxWindowBits
	}
	return d.ServerMaxWindowBits
}

// String is "deflate 15/12": the window bits of client and server, each with a
// star where its sender starts every message with an empty window.
func (d *Deflate) String() string {
	star := func(dir Dir) string {
		if d.Takeover(dir) {
			return ""
		}
		return "*"
	}
	return fmt.Sprintf("deflate %d%s/%d%s", d.ClientMaxWindowBits, star(ToServer), d.ServerMaxWindowBits, star(ToClient))
}

// DeflateOf reads what an answer's extensions agree on. Nil without an error
// says that permessage-deflate is not among them.
func DeflateOf(exts []Extension) (*Deflate, error) {
	for _, e := range exts {
		if e.Name == DeflateName {
			return readDeflate(e)
		}
	}
	return nil, nil
}

func readDeflate(e Extension) (*Deflate, error) {
	d := &Deflate{ServerMaxWindowBits: 15, ClientMaxWindowBits: 15}
	seen := map[string]bool{}
	for _, p := range e.Params {
		if seen[p.Name] {
			return nil, fmt.Errorf("%s is agreed on twice", p.Name)
		}
		seen[p.Name] = true
		if err := d.set(p); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *Deflate) set(p Param) error {
	switch p.Name {
	case "server_no_context_takeover", "client_no_context_takeover":
		if p.HasValue {
			return fmt.Errorf("%s takes no value", p.Name)
		}
		if p.Name[0] == 's' {
			d.ServerNoContextTakeover = true
		} else {
			d.ClientNoContextTakeover = true
		}
	case "server_max_window_bits", "client_max_window_bits":
		n, err := strconv.Atoi(p.Value)
		if err != nil || n < 8 || n > 15 || len(p.Value) != len(strconv.Itoa(n)) {
			return fmt.Errorf("%s is %q, not 8 to 15", p.Name, clip(p.Value))
		}
		if p.Name[0] == 's' {
			d.ServerMaxWindowBits = n
		} else {
			d.ClientMaxWindowBits = n
		}
	default:
		return fmt.Errorf("%s has no parameter %q", DeflateName, clip(p.Name))
	}
	return nil
}

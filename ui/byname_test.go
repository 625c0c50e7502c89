package ui

import "testing"

// Every command can be had by its name, written whole, begun, or looked for.
func TestByName(t *testing.T) {
	p := everyday(t)
	p.close()
	d := drive(t, p.store(false), Options{}, 80, 24)
	d.keys(":").has("clear", "down").keys("ta").has("tab-frame", "the tab Frame").hasNot("clear")
	d.keys("b-f<Enter>").has("tab-f could be tab-findings, tab-frame").keys(":tab-fr<Enter>").has("[2 Frame]") // it can mean nothing else
	d.keys(":tab-bytes<Enter>").has("[3 Bytes]")
	d.keys(":theme ").has("theme dark", "theme none").keys("l<Tab><Enter>").has("theme: light").keys(":copy w").has("copy wscat", "copy websocat").hasNot("copy curl").keys("<Esc>")
	d.keys(":sea<Tab>").has(":search").keys(" ack<Enter>").has(`"connection_ack"`).hasNot(":search")
}

func TestByNameSays(t *testing.T) {
	p := everyday(t)
	p.close()
	d := drive(t, p.store(false), Options{}, 80, 24)
	for keys, says := range map[string]string{
		":nothing<Enter>": `there is no command "nothing"; K shows all of them`,
		":leave<Enter>":   "leave does nothing here",
		":down 3<Enter>":  "down takes no words behind its name",
	} {
		d.keys(keys).has(says)
	}
	d.keys(":<Enter>").hasNot("there is").keys(":quit<Esc>").hasNot(":quit")
	if d.over() {
		t.Error("Esc ran the command")
	}
	d.keys(":quit<Enter>")
	if err := d.ends(); err != nil {
		t.Error(err)
	}
}

// The palette finds a command by letters of its name, or of what it does.
func TestPalette(t *testing.T) {
	p := everyday(t)
	p.close()
	d := drive(t, p.store(false), Options{}, 80, 24)
	d.keys("<Ctrl-P>").has("command:", "go to the session's frames").keys("tbhs").has("tab-handshake").keys("<Enter>").has("[4 Handshake]")
	d.keys("<Ctrl-P>shiftplain").hasNot("tab-frame").keys("<Esc><Ctrl-P>plain http").has("exchanges").keys("<Enter>").has("GET /app.js")
	d.keys("<Ctrl-P>tab<Down><Down><Up><Enter>").has("[2 Frame]")
	d.keys("<Ctrl-P>xyzzy<Enter>").has(`there is no command "xyzzy"`)
}

// The names in the palette can be clicked.
func TestPaletteMouse(t *testing.T) {
	p := everyday(t)
	p.close()
	d := drive(t, p.store(false), Options{}, 80, 24).keys("<Ctrl-P>tab-frame")
	d.click(3, 22, 1).hasNot("command: ").has("[2 Frame]")
}

package ui

import (
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
)

var testTour = []Scene{
	{Title: "a query", Path: "/graphql", Frame: 3, Sentence: "The client subscribes.", Key: "2", Shows: "its bits.", Clause: "RFC 6455 5.2", Question: "Is it masked?", Answer: "It is."},
	{Title: "a refusal", Path: "/admin", Frame: 0, Sentence: "The server refuses.", Key: "4", Shows: "both heads.", Clause: "RFC 6455 4.2.2", Question: "Why?", Answer: "Nobody is logged in."},
	{Title: "the end", Path: "/late", Frame: 1, Sentence: "It comes late.", Key: "G", Shows: "the end.", Clause: "RFC 6455 7", Question: "How?", Answer: "So."},
}

// A user is led through a tour: each scene selects its session, waits for its key,
// asks, answers, and leads on.
func TestTour(t *testing.T) {
	p := everyday(t)
	d := drive(t, p.store(true), Options{Live: true, Tour: testTour}, 80, 30)
	d.has("Tour 1 of 3: a query  [RFC 6455 5.2]", "The client subscribes.", "Press 2: its bits.", `"variables"`).hasNot("Question")
	d.keys(" ").has("Press 2").keys("3").has("[3 Bytes]", "Press 2") // other keys do what they do
	d.keys("2").has("[2 Frame]", "Question: Is it masked?", "space answers").hasNot("Press 2")
	d.keys("1").has("[1 Message]", "Question").keys(" ").has("Answer: It is.", "space leads on")
	d.keys(" ").has("Tour 2 of 3: a refusal", "Press 4: both heads.", "GET /admin").keys("4").has("[4 Handshake]", "Question: Why?").keys("  ")
	d.has("Tour 3 of 3", "waiting for /late")
	c := p.connect().open("/late", "", "")
	c.up("hello")
	c.end(inspect.ToServer, inspect.Fin)
	d.has("Press G: the end.", "hello").keys("G").has("Question: How?").keys("T").hasNot("Question").keys("T").has("Question")
	d.keys("?").has("Keys that work here").keys(" ").keys("?").has("Question") // a space is the help's there
	d.keys("/hello world<Esc>").has("Question").keys(" ").has("Answer: So.").keys(" ").has("The tour is over").keys(" ").has("The tour is over")
	d.resize(80, 12).hasNot("The tour").resize(80, 24).has("The tour")
	drive(t, p.store(true), Options{}, 80, 24).keys("T").has("there is no tour here")
}

package ui

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/record"
)

// The steps of docs/trials.md lead where it says.
func TestTrials(t *testing.T) {
	text, err := os.ReadFile("../docs/trials.md")
	if err != nil {
		t.Fatal(err)
	}
	messages, odd := 1_000_000, 765_432
	if racing {
		messages, odd = 100_000, 76_543
		text = []byte(strings.NewReplacer("1,000,000", "100,000", "765432", "76543", "765431", "76542", "765433", "76544").Replace(string(text)))
	}
	recordings := map[string]func(t *testing.T) source{
		"Why did the socket close with 1006?": func(t *testing.T) source {
			p := everyday(t)
			p.close()
			return p.store(false)
		},
		"Which message has `\"price\": null`?": func(t *testing.T) source {
			return opened(t, manyMessages(t, messages, func(n int) string {
				if n == odd {
					return fmt.Sprintf(`{"n":%d,"price": null}`, n)
				}
				return fmt.Sprintf(`{"n":%d,"price": %d.5}`, n, n%90)
			}))
		},
		"What did permessage-deflate save?": func(t *testing.T) source {
			p := newPlay(t)
			const deflate = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
			c := p.connect().open("/ticks", deflate, deflate)
			for i := range 50 {
				c.zipped(inspect.ToServer, fmt.Sprintf(`{"type":"ask","n":%d}`, i))
				c.zipped(inspect.ToClient, fmt.Sprintf(`{"type":"tick","n":%d,"price":%d.5,"name":"the same in every message"}`, i, i*7%13))
			}
			c.end(inspect.ToServer, inspect.Fin)
			p.close()
			return p.store(false)
		},
	}
	sections := strings.Split(string(text), "\n## ")[1:]
	if len(sections) != len(recordings) {
		t.Errorf("there are %d trials and %d recordings", len(sections), len(recordings))
	}
	for _, section := range sections {
		title, steps, _ := strings.Cut(section, "\n")
		t.Run(title, func(t *testing.T) {
			make := recordings[title]
			if make == nil {
				t.Fatal("there is no recording for it")
			}
			d := drive(t, make(t), Options{Title: "session.pcapng"}, 80, 24)
			n := 0
			for l := range strings.Lines(steps) {
				l = strings.TrimSuffix(l, "\n")
				if keys, ok := strings.CutPrefix(l, "    press  "); ok {
					d.keys(keys)
					n++
				} else if what, ok := strings.CutPrefix(l, "    see    "); ok {
					d.has(what)
					n++
				}
			}
			if n < 5 {
				t.Errorf("it has %d steps", n)
			}
		})
	}
}

// opened is a finished recording, read to its end.
func opened(t *testing.T, path string) *record.Store {
	t.Helper()
	s, err := record.OpenStore(context.Background(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	<-s.Done()
	return s
}

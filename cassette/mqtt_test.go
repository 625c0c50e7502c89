package cassette

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wsproxy/wsproxy/inspect"
)

// The packets are one message each, or one in several, as MQTT.js has them.
func TestMQTT(t *testing.T) {
	secret := func(string, string) bool { return false } // passwords go whatever it says
	for _, tt := range []struct {
		name, protocol string
		make           Making
		from, to       []string
		values         string
	}{
		{"subscribe and its answer", "mqtt", Making{Variables: true},
			[]string{"> 8206 5a9a 0001 61 00", "< 9003 5a9a 00", "> a205 5a9b 0001 61", "< b002 5a9b"},
			[]string{"> 8206${packet:2}00016100", "< 9003${packet:2}00", "> a205${packet2:2}000161", "< b002${packet2:2}"}, `"packet":"5a9a","packet2":"5a9b"`},
		{"each in pieces", "mqttv3.1", Making{Variables: true},
			[]string{"> 82", "> 06", "> 5a9a", "> 0001", "> 61", "> 00", "< 9003", "< 5a9a00"},
			[]string{"> 82", "> 06", "> ${packet:2}", "> 0001", "> 61", "> 00", "< 9003", "< ${packet:2}00"}, `"packet":"5a9a"`},
		{"two in one, both ways with one number", "mqtt", Making{Variables: true},
			[]string{"> 3406 0001 61 0001 78 3203 0000 00", "> 3205 0000 0002 79 3205 0000 0001 7a", "< 3206 0001 61 0001 78 5002 0001 4002 0002", "> 4002 0001 6202 0001", "< 7002 0001"},
			[]string{"> 3406000161${packet:2}783203000000", "> 32050000${packet2:2}7932050000${packet3:2}7a", "< 3206000161${packet4:2}785002${packet3:2}4002${packet2:2}", "> 4002${packet4:2}6202${packet3:2}", "< 7002${packet3:2}"},
			`"packet":"0001","packet2":"0002","packet3":"0001","packet4":"0001"`},
		{"an identifier in two messages", "mqtt", Making{Variables: true}, []string{"> 40025a", "> 9a"}, []string{"> 40025a", "> 9a"}, ""},
		{"sent again", "mqtt", Making{Variables: true},
			[]string{"> 3205 0001 61 0007", "> 3a05 0001 61 0007", "< 4002 0007", "> 3205 0001 61 0007", "< 4002 0007"},
			[]string{"> 3205000161${packet:2}", "> 3a05000161${packet:2}", "< 4002${packet:2}", "> 3205000161${packet2:2}", "< 4002${packet2:2}"}, `"packet":"0007","packet2":"0007"`},
		{"no quality of service", "mqtt", Making{Variables: true}, []string{"> 3005 0001 61 0007", "> c000", "< d000"}, []string{"> 30050001610007", "> c000", "< d000"}, ""},
		{"a password and a made-up name", "mqtt", Making{Variables: true, Secret: secret},
			[]string{"> 1026 0004 4d515454 04 c6 003c 000f 6d71746a735f6162313263643334 35 0000 0000 0001 75 0002 7077"},
			[]string{"> 102600044d51545404c6003c000f${string:15}00000000000175" + "0002${string:2}"}, "none"},
		{"cut short, or no MQTT", "mqtt", Making{Variables: true}, []string{"> 8206 5a", "< 00", "< ffffffffffff"}, []string{"> 82065a", "< 00", "< ffffffffffff"}, ""},
		{"another protocol", "chat", Making{Variables: true}, []string{"> 40025a9a"}, []string{"> 40025a9a"}, ""},
		{"values stay", "mqtt", Making{}, []string{"> 40025a9a"}, []string{"> 40025a9a"}, ""},
	} {
		c := &Cassette{Lines: []Line{{Session: 1, Kind: Open, Upgrade: &Upgrade{Path: "/", Subprotocol: tt.protocol, Accept: Answer{Status: 101}}}}}
		for _, l := range tt.from {
			b, err := hex.DecodeString(strings.ReplaceAll(l[2:], " ", ""))
			if err != nil {
				t.Fatal(tt.name, err)
			}
			c.Lines = append(c.Lines, Line{Session: 1, Kind: Binary, From: map[byte]inspect.Dir{'>': inspect.ToServer, '<': inspect.ToClient}[l[0]], Data: b})
		}
		before := Cassette{Lines: append([]Line{}, c.Lines...)}
		changes := c.Make(tt.make)
		var got []string
		for _, l := range c.Lines[1:] {
			s := hex.EncodeToString(l.Data)
			if l.Template {
				s = string(l.Data)
			}
			got = append(got, map[inspect.Dir]string{inspect.ToServer: "> ", inspect.ToClient: "< "}[l.From]+s)
		}
		if diff := cmp.Diff(tt.to, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
		head := `{"cassette":1,"values":{` + tt.values + "}}\n"
		if tt.values == "" || tt.values == "none" {
			head = `{"cassette":1}` + "\n"
		}
		if !strings.HasPrefix(written(t, c), head) || (len(changes) > 0) != (tt.values != "") {
			t.Errorf("%s: it says %v\n%s", tt.name, changes, written(t, c))
		}
		if all := Diff(parsed(t, written(t, c)), &before, DiffOptions{}); len(all) > 0 {
			t.Errorf("%s: it is not what it was made of: %+v", tt.name, all)
		}
	}
}

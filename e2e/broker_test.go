package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// brokerMissing says what a test with a broker and its clients in Node lacks.
func brokerMissing(program string) string {
	if missing := needs(program); missing != "" {
		return missing
	}
	if missing := nodeMissing(); missing != "" {
		return missing
	}
	for _, name := range []string{"mqtt", "nats.ws"} {
		if _, err := os.Stat(nodeModules + "/" + name); err != nil {
			return "the npm package " + name
		}
	}
	return ""
}

// loopbackInterface is the name of that, by which mosquitto's WebSockets are kept on it.
func loopbackInterface(t *testing.T) string {
	t.Helper()
	all, err := net.Interfaces()
	must(t, err)
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 {
			return i.Name
		}
	}
	t.Fatal("there is no loopback")
	return ""
}

// mosquitto starts a broker of MQTT over WebSocket and answers its port. It takes
// neither a listener nor port 0, so somebody else may be quicker; and Debian's starts
// only if there is a listener of another kind.
func mosquitto(t *testing.T, secure string) string {
	t.Helper()
	user := ""
	if os.Geteuid() == 0 {
		user = "user root\n" // else it becomes one who cannot read the key
	}
	free := listenTCP(t)
	_, port, err := net.SplitHostPort(free.Addr().String())
	must(t, err)
	must(t, free.Close())
	dir := t.TempDir()
	config := filepath.Join(dir, "mosquitto.conf")
	must(t, os.WriteFile(config, fmt.Appendf(nil, "%sallow_anonymous true\nlistener 0 %s\nlistener %s %s\nprotocol websockets\n%s",
		user, filepath.Join(dir, "s"), port, loopbackInterface(t), secure), 0o600))
	p := start(t, nil, "mosquitto", "-c", config, "-v")
	p.stderr.wait(t, " running\n", 1)
	return port
}

// nats starts a NATS server with WebSockets and answers its port.
func nats(t *testing.T, secure string) string {
	t.Helper()
	config := filepath.Join(t.TempDir(), "nats.conf")
	must(t, os.WriteFile(config, fmt.Appendf(nil, "listen: \"127.0.0.1:-1\"\nwebsocket { listen: \"127.0.0.1:-1\", compression: true, %s }\n", secure), 0o600))
	p := start(t, nil, "nats-server", "-c", config)
	said := p.stderr.wait(t, "Server is ready", 1)
	_, rest, _ := strings.Cut(said, "Listening for websocket clients on ws")
	_, rest, _ = strings.Cut(rest, "://127.0.0.1:")
	port, _, _ := strings.Cut(rest, "\n")
	return port
}

// Clients publish and subscribe at a broker through wsproxy: every message comes back,
// and the recording has the session, whole and lawful.
func TestBrokers(t *testing.T) {
	const count = 20
	cert, key := certificate(t)
	brokers := map[string]struct {
		start         func(*testing.T, string) string
		plain, secure string // lines of the configuration
		protocol      string
	}{
		"mqtt": {mosquitto, "", "certfile " + cert + "\nkeyfile " + key + "\n", "mqtt"},
		"nats": {nats, "no_tls: true", fmt.Sprintf("tls { cert_file: %q, key_file: %q }", cert, key), ""},
	}
	for _, w := range []struct {
		broker, program string
		secure          bool     // the broker is
		args            []string // wsproxy's; PORT is the broker's
		url             string   // the client's; PROXY is wsproxy's address
		forward         bool
	}{
		{"mqtt", "mosquitto", true, []string{"forward"}, "wss://localhost:PORT", true},
		{"mqtt", "mosquitto", false, []string{"--tls", "ws://127.0.0.1:PORT"}, "wss://PROXY", false},
		{"mqtt", "mosquitto", true, []string{"--header", "Sec-WebSocket-Protocol: mqtt", "wss://localhost:PORT/mqtt"}, "mqtt://PROXY", false},
		{"nats", "nats-server", true, []string{"forward"}, "wss://localhost:PORT", true},
		{"nats", "nats-server", false, []string{"--tls", "ws://127.0.0.1:PORT"}, "wss://PROXY", false},
	} {
		name := strings.Join(append([]string{w.broker, w.url}, w.args...), " ")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if leftOut(t, brokerMissing(w.program)) {
				return
			}
			b := brokers[w.broker]
			settings := b.plain
			if w.secure {
				settings = b.secure
			}
			port := b.start(t, settings)
			dir := t.TempDir()
			recording := filepath.Join(dir, "broker.pcapng")
			at := "127.0.0.1:0"
			if strings.HasPrefix(w.url, "mqtt:") {
				at = "tcp://" + at
			}
			args := []string{"--listen", at, "--plain", "--record", recording}
			for _, a := range w.args {
				args = append(args, strings.ReplaceAll(a, "PORT", port))
			}
			if w.forward { // a command stands first
				args = append(args[len(args)-1:], args[:len(args)-1]...)
			}
			p := &proxied{process: start(t, append(home(t), "SSL_CERT_FILE="+cert, "WSPROXY_CA_DIR="+dir), program, args...)}
			p.listens(t)
			env := append(peers[3].env(""), "NODE_EXTRA_CA_CERTS="+filepath.Join(dir, "ca.pem"))
			if w.forward {
				env = append(env, proxyEnv+"=http://"+p.addr)
			}
			url := strings.ReplaceAll(strings.ReplaceAll(w.url, "PORT", port), "PROXY", p.addr)
			client := start(t, env, "node", "node/broker.js", w.broker, url, fmt.Sprint(count))
			if code := client.wait(t); code != 0 || client.stdout.String() != fmt.Sprintf("%d messages as sent\n", count+2) {
				t.Fatalf("exit code %d: %s%s%s", code, client.stdout, client.stderr, p.stderr)
			}
			p.stdout.wait(t, "  end ", 1)
			p.stop(t)
			lines := show(t, recording)
			if len(lines) == 0 || lines[0].Event != "open" || lines[0].Protocol != b.protocol {
				t.Fatalf("the recording begins with %+v", lines[:min(1, len(lines))])
			}
			var size [2]int64
			for _, l := range lines {
				if l.Event == "frame" {
					size[map[string]int{">": 0, "<": 1}[l.Dir]] += l.Size
				}
				if len(l.Findings) > 0 {
					t.Errorf("findings: %+v", l)
				}
			}
			if size[0] < 70000 || size[1] < 70000 {
				t.Errorf("%v bytes are recorded", size)
			}
		})
	}
}

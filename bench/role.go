package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
)

// roleArg is the first argument of the processes that a run starts of itself.
const roleArg = "role"

// play is what a process of the run does until it is told to end.
func play(role string, args []string) error {
	raiseOpenFiles()
	switch role {
	case "client":
		return playClient()
	case "spin":
		return spin(args)
	case "server":
		return playListener(func(l net.Listener) error { return (&loadServer{}).serve(l) })
	case "tcpcopy":
		return playListener(func(l net.Listener) error { return copyProxy(l, args[0]) })
	case "gorilla":
		return playListener(func(l net.Listener) error { return gorillaProxy(l, args[0]) })
	case "gorilla-bridge":
		return playListener(func(l net.Listener) error { return gorillaBridge(l, args[0]) })
	case "bytes":
		return playListener(echoBytes)
	case "relay":
		return playRelay(args)
	}
	return fmt.Errorf("there is no role %q", role)
}

// playListener serves on a free port until SIGTERM.
func playListener(serve func(net.Listener) error) error {
	l, err := listenLoopback()
	if err != nil {
		return err
	}
	terminated(func() { _ = l.Close() }) // serve ends with it
	announce(l)
	return serve(l)
}

// terminated calls f at the first SIGTERM or SIGINT. The process ends soon after,
// and with it the goroutine.
func terminated(f func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() {
		<-signals
		f()
	}()
}

// announce says where to connect, in the words that wsproxy uses.
func announce(l net.Listener) { fmt.Fprintf(os.Stderr, "listening on http://%s\n", l.Addr()) }

// playClient takes a job on stdin and writes what happens to stdout, a line each.
func playClient() error {
	var j job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		return fmt.Errorf("the job: %w", err)
	}
	out := json.NewEncoder(os.Stdout)
	res, err := j.run(func(phase string) { _ = out.Encode(event{Phase: phase}) }) // a broken pipe shows below
	if err != nil {
		res.Err = err.Error()
	}
	return out.Encode(event{Result: res})
}

// event is one line from the client.
type event struct {
	Phase  string  `json:",omitempty"`
	Result *result `json:",omitempty"`
}

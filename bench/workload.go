package main

import (
	"slices"
	"strings"
	"time"
)

// workload is one kind of traffic, and what of it counts.
type workload struct {
	name   string
	about  string
	job    job
	spin   bool // cores are kept from halting
	tls    bool // on the client's leg
	bridge bool // the server speaks no WebSocket: it echoes bytes
	rounds int  // at most; 0: all
	main   metric
	also   []metric // that are compared too
}

// metric is one number of a measurement.
type metric struct {
	name  string
	unit  string
	value func(cell) float64
}

var (
	rate      = metric{"rate", "/s", func(c cell) float64 { return float64(c.Messages) / c.Seconds }}
	bandwidth = metric{"bandwidth", "MB/s", func(c cell) float64 { return float64(c.Bytes) / c.Seconds / 1e6 }}
	p50       = metric{"p50", "µs", func(c cell) float64 { return c.Latency.P50 }}
	p90       = metric{"p90", "µs", func(c cell) float64 { return c.Latency.P90 }}
	p99       = metric{"p99", "µs", func(c cell) float64 { return c.Latency.P99 }}
	p999      = metric{"p99.9", "µs", func(c cell) float64 { return c.Latency.P999 }}
	longest   = metric{"max", "µs", func(c cell) float64 { return c.Latency.Max }}
	cpu       = metric{"CPU", "s", func(c cell) float64 { return c.CPU }}
	peak      = metric{"peak", "MiB", func(c cell) float64 { return c.Peak / (1 << 20) }}
	each1     = metric{"a session", "KiB", func(c cell) float64 { return c.Session / 1024 }}
	growth    = metric{"growth", "KiB", func(c cell) float64 { return c.Growth / 1024 }}
)

// metrics are all that is reported, in the order of the columns.
var metrics = []metric{rate, bandwidth, p50, p90, p99, p999, longest, cpu, peak, each1, growth}

const warm = 200 * time.Millisecond

// workloads are what is measured. A crowd's silence is short: memory settles at once.
var workloads = []workload{
	{name: "W1", about: "1 connection, 64 B echo, one in flight", spin: true, main: p50, also: []metric{p99, cpu},
		job: job{Kind: "echo", Conns: 1, Size: 64, Flight: 1, Warm: warm}},
	{name: "W2", about: "32 connections, 128 B echo, 64 in flight on each", main: rate, also: []metric{p99, cpu},
		job: job{Kind: "echo", Conns: 32, Size: 128, Flight: 64, Warm: warm}},
	{name: "W3", about: "4 connections, 1 MiB echo, 2 in flight on each", main: bandwidth, also: []metric{p99, cpu},
		job: job{Kind: "echo", Conns: 4, Size: 1 << 20, Flight: 2, Warm: warm}},
	{name: "W4", about: "8 connections, 16 KiB pushed one way", main: bandwidth, also: []metric{cpu},
		job: job{Kind: "push", Conns: 8, Size: 16 << 10, Warm: warm}},
	{name: "W5-1000", about: "1,000 silent sessions, each has echoed 128 B", main: each1, rounds: 2,
		job: job{Kind: "idle", Conns: 1000, Size: 128}},
	{name: "W5-9000", about: "9,000 silent sessions, each has echoed 128 B", main: each1, rounds: 2,
		job: job{Kind: "idle", Conns: 9000, Size: 128}},
	{name: "W5-deflate", about: "1,000 silent sessions with permessage-deflate, each has echoed 1 KiB of JSON", main: each1, rounds: 2,
		job: job{Kind: "idle", Conns: 1000, Size: 1 << 10, Deflate: true}},
	{name: "W5-tls", about: "1,000 silent sessions with TLS on the client's leg, each has echoed 128 B", main: each1, rounds: 2, tls: true,
		job: job{Kind: "idle", Conns: 1000, Size: 128}},
	{name: "W6", about: "16 at a time: connect, echo 128 B, close", main: rate, also: []metric{p99, cpu},
		job: job{Kind: "churn", Conns: 16, Size: 128, Warm: warm}},
	{name: "W7", about: "32 connections, 1 KiB JSON with permessage-deflate, 64 in flight on each", main: rate, also: []metric{p99, cpu},
		job: job{Kind: "echo", Conns: 32, Size: 1 << 10, Flight: 64, Deflate: true, Warm: warm}},
	{name: "B1", about: "bridge: 32 connections, 128 B to a TCP server and back, 64 in flight on each", main: rate, also: []metric{p99, cpu}, bridge: true,
		job: job{Kind: "echo", Conns: 32, Size: 128, Flight: 64, Flow: true, Warm: warm}},
	{name: "B2", about: "bridge: 4 connections, 1 MiB to a TCP server and back, 2 in flight on each", main: bandwidth, also: []metric{p99, cpu}, bridge: true,
		job: job{Kind: "echo", Conns: 4, Size: 1 << 20, Flight: 2, Flow: true, Warm: warm}},
	{name: "W8", about: "a client that reads nothing for 3 s while 16 KiB messages are pushed", main: growth, rounds: 2,
		job: job{Kind: "stall", Conns: 1, Size: 16 << 10, Warm: 500 * time.Millisecond}},
}

// comparing are the contenders that a workload's ratios are to.
func (w workload) comparing() []string {
	if w.bridge {
		return []string{"gorilla-bridge", "websockify"}
	}
	return []string{"tcpcopy", "direct"}
}

// chosen answers whether a comma-separated list names it, or the part before a dash;
// an empty list names all.
func chosen(list, name string) bool {
	if list == "" {
		return true
	}
	kind, _, _ := strings.Cut(name, "-")
	names := strings.Split(list, ",")
	return slices.Contains(names, name) || strings.HasPrefix(name, "W") && slices.Contains(names, kind)
}

package main

import (
	"strings"
)

// goal is what wsproxy is to reach.
type goal struct {
	contender, workload string
	metric              metric
	to                  string // what it is compared with; empty: the figure itself
	bound               float64
	least               bool // the bound is the least, not the most
}

// goals are medians of one run.
var goals = []goal{
	{"wsproxy-no-record", "W1", p50, "tcpcopy", 1.10, false},
	{"wsproxy-no-record", "W2", rate, "tcpcopy", 0.90, true},
	{"wsproxy-no-record", "W3", bandwidth, "tcpcopy", 0.95, true},
	{"wsproxy-no-record", "W4", bandwidth, "tcpcopy", 0.95, true},
	{"wsproxy-no-record", "W6", rate, "tcpcopy", 0.70, true},
	{"wsproxy-no-record", "W7", rate, "tcpcopy", 0.90, true},
	{"wsproxy", "W1", p50, "tcpcopy", 1.15, false},
	{"wsproxy", "W1", p99, "tcpcopy", 1.50, false},
	{"wsproxy", "W2", rate, "tcpcopy", 0.80, true},
	{"wsproxy", "W3", bandwidth, "tcpcopy", 0.70, true},
	{"wsproxy", "W4", bandwidth, "tcpcopy", 0.70, true},
	{"wsproxy", "W6", rate, "tcpcopy", 0.65, true},
	{"wsproxy", "W7", rate, "tcpcopy", 0.80, true},
	{"wsproxy-record", "W2", rate, "wsproxy", 0.95, true},
	{"wsproxy-record", "W7", rate, "wsproxy", 0.95, true},
	{"wsproxy-screen", "W1", p50, "wsproxy", 1.05, false},
	{"wsproxy-screen", "W2", rate, "wsproxy", 0.95, true},
	{"wsproxy-screen", "W3", bandwidth, "wsproxy", 0.95, true},
	{"wsproxy-screen", "W4", bandwidth, "wsproxy", 0.95, true},
	{"wsproxy-screen", "W6", rate, "wsproxy", 0.95, true},
	{"wsproxy-screen", "W7", rate, "wsproxy", 0.95, true},
	{"wsproxy", "W5-1000", each1, "", 16, false},
	{"wsproxy", "W5-9000", each1, "", 16, false},
	{"wsproxy", "W5-deflate", each1, "", 24, false},
	{"wsproxy", "W5-tls", each1, "", 64, false},
	{"wsproxy-bridge", "B1", rate, "gorilla-bridge", 0.85, true},
	{"wsproxy-bridge", "B2", bandwidth, "gorilla-bridge", 0.85, true},
	{"wsproxy-bridge", "B1", rate, "websockify", 5, true},
	{"wsproxy-bridge", "B2", bandwidth, "websockify", 5, true},
	{"wsproxy", "W8", growth, "", 1024, false},
}

// reach is what was reached; false: it was not measured.
func (g goal) reach(r *report) (got float64, met, known bool) {
	if g.to == "" {
		s, ok := r.of(g.metric, g.workload, g.contender)
		got, known = s.Median, ok
	} else {
		x, ok := r.against(g.metric, g.workload, g.contender, g.to)
		got, known = x.Median, ok
	}
	if g.least {
		return got, got >= g.bound, known
	}
	return got, got <= g.bound, known
}

// goalsTable says which goals are met.
func (r *report) goalsTable() string {
	var b strings.Builder
	for _, g := range goals {
		got, met, ok := g.reach(r)
		if !ok {
			continue
		}
		what, sign, verdict := g.metric.name, "≤", "missed"
		if g.to != "" {
			what += " × " + g.to
		} else {
			what += " " + g.metric.unit
		}
		if g.least {
			sign = "≥"
		}
		if met {
			verdict = "met"
		}
		row(&b, []string{g.contender, g.workload, what, sign + " " + short(g.bound), short(got), verdict})
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n### Goals\n\n| | | | goal | reached | |\n| --- | --- | --- | ---: | ---: | --- |\n" + b.String()
}

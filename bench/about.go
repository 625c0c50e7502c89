package main

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// about is what the numbers were measured on and with.
type about struct {
	Date, CPU, Kernel, Go, WSProxy string
	Cores, Rounds                  int
	Window                         string
	Took                           string
	Versions                       []string // of other people's programs
	Missing                        []string
	Cut                            bool // the time was over before everything was measured
}

func (r *run) about(ctx context.Context) about {
	a := about{Date: r.start.UTC().Format(time.DateOnly), Go: runtime.Version(), Cores: runtime.NumCPU(),
		Rounds: r.options.rounds, Window: r.options.length.String(), Missing: r.missing}
	a.CPU, a.Kernel = machine()
	if out, err := exec.CommandContext(ctx, r.wsproxy, "version").Output(); err == nil {
		a.WSProxy = strings.TrimSpace(string(out))
	}
	if out, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		a.WSProxy += " at " + strings.TrimSpace(string(out))
	}
	for _, c := range r.contenders {
		if v := c.versionText(); v != "" {
			a.Versions = append(a.Versions, v)
		}
	}
	return a
}

func (a about) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "%s, %d cores of %s, %s, %s, %s. Medians of %d rounds of %s each; ratios with the least and the most of a round.",
		a.Date, a.Cores, a.CPU, a.Kernel, a.Go, a.WSProxy, a.Rounds, a.Window)
	if len(a.Versions) > 0 {
		fmt.Fprintf(b, " Peers: %s.", strings.Join(a.Versions, "; "))
	}
	if len(a.Missing) > 0 {
		fmt.Fprintf(b, " Not installed: %s.", strings.Join(a.Missing, ", "))
	}
	if a.Cut {
		b.WriteString(" The time was over before everything was measured.")
	}
	b.WriteString("\n")
}

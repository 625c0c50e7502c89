package wstest

import (
	"fmt"
	"os"
)

// counts are how often tests repeat something: in make test, and in make test-all.
var counts = map[string]struct{ small, full int }{
	"differential rounds":           {2, 25},   // of a dozen random sessions each, through tshark
	"differential against flate":    {20, 400}, // random compressed sessions
	"differential against coder":    {10, 200}, // random compressed sessions
	"kill -9":                       {10, 200}, // of a process that records under load
	"frames of a large index":       {300_000, 10_000_000},
	"sessions of a large index":     {2_000, 50_000},
	"signals under load":            {1, 20},
	"conversations of a pair":       {1, 10}, // of client and server in e2e
	"MiB that a bomb inflates to":   {200, 900},
	"rings of a killed process":     {5, 50},
	"empty pings":                   {20_000, 100_000},
	"MiB of a message that streams": {64, 1024},
	"replayed round trips":          {30, 1000},
	"replays at once":               {100, 1000},
	"replays of changing ids":       {10, 100},
	"messages of a replayed feed":   {50_000, 1_000_000},
	"replays of an application":     {5, 100},

	"sessions beside one that is held": {200, 1000},
}

// Full says that tests run with their full counts, as make test-all does with
// WSPROXY_COUNTS=full.
func Full() bool { return os.Getenv("WSPROXY_COUNTS") == "full" }

// Count is how often a test repeats what the table above names: small mostly, the
// other where Full.
func Count(what string) int {
	c, ok := counts[what]
	if !ok {
		panic(fmt.Sprintf("counts.go has no line for %q", what))
	}
	if Full() {
		return c.full
	}
	return c.small
}

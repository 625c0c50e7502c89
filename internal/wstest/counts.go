package wstest

import "os"

// Full says that tests run with their full counts, as make test-all does with
// WSPROXY_COUNTS=full.
func Full() bool { return os.Getenv("WSPROXY_COUNTS") == "full" }

// Count is how often a test repeats something: small mostly, full where Full.
func Count(small, full int) int {
	if Full() {
		return full
	}
	return small
}

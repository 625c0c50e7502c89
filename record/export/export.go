// Package export writes recordings in other forms. A format is a file here, a line
// in Formats, and a folder in testdata.
package export

import (
	"context"
	"io"
	"strings"

	"github.com/wsproxy/wsproxy/record"
)

// Format is a form in which a recording can be written.
type Format struct {
	Name string
	Ext  string // of its files, with the dot
	Doc  string // what it is, in a few words

	// Recording says that it is a recording still, which wsproxy reads.
	Recording bool

	// Write writes the recording in from, a file or a temporary recording, to w.
	// The errors are those of record.Convert, and of a format made of whole
	// sessions *cassette.SessionError.
	Write func(ctx context.Context, from string, w io.Writer, o record.SaveOptions) (record.Saved, error)
}

// Formats is the table of formats: what a command prints in its help.
func Formats() []Format {
	return []Format{
		{"pcapng", ".pcapng", "a recording as wsproxy writes it, which Wireshark opens", true, record.Convert},
		{"pcapng.zst", ".pcapng.zst", "the same, compressed with zstd; Wireshark opens it as it is", true, writeZstd},
		{"pcapng.gz", ".pcapng.gz", "the same, compressed with gzip, for older programs", true, writeGzip},
		{"har", ".har", "HTTP Archive with _webSocketMessages, for browsers' tools; wsproxy cassette reads it", false, writeHAR},
		{"jsonl", ".jsonl", "JSON lines, one a message, for jq and the like", false, writeJSONL},
		{"playwright", ".playwright.mjs", "a module that answers a page's WebSockets in Playwright (page.routeWebSocket)", false, writePlaywright},
		{"k6", ".k6.js", "a load script for k6 that plays the client's part", false, writeK6},
	}
}

// Named is the format of that name.
func Named(name string) (Format, bool) {
	for _, f := range Formats() {
		if f.Name == name {
			return f, true
		}
	}
	return Format{}, false
}

// ForFile is the format that a file's name asks for.
func ForFile(path string) (Format, bool) {
	for _, f := range Formats() {
		if strings.HasSuffix(strings.ToLower(path), f.Ext) {
			return f, true
		}
	}
	return Format{}, false
}

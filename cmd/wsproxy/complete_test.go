package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// Help texts fit a terminal of 80 columns.
func TestHelpFits(t *testing.T) {
	for _, command := range []string{"", "forward", "run", "browser", "attach", "show", "ca", "ca path", "ca env", "ca install", "ca uninstall", "config", "config check", "config example"} {
		var out bytes.Buffer
		if code := wsproxy(append(strings.Fields(command), "--help"), nil, &out, &out); code != 0 {
			t.Errorf("wsproxy %s --help: exit %d", command, code)
		}
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > helpWidth {
				t.Errorf("wsproxy %s --help: %d columns: %s", command, n, line)
			}
		}
	}
}

func TestCompletion(t *testing.T) {
	const (
		files   = ":0\n"
		noFiles = ":4\n"
		goesOn  = ":6\n" // without a space behind it
		ext     = ":8\n"
	)
	for line, want := range map[string]string{
		"ws":                  "ws://localhost:\nwss://\nws+unix:/\n" + goesOn,
		"unix":                "unix:/\n:2\n",
		"fo":                  "forward\tAn HTTP and SOCKS proxy for clients whose URL cannot be changed\n" + noFiles,
		"--http ":             "auto\n1.1\n2\n" + noFiles,
		"--legs b":            "both\n" + noFiles,
		"--header ":           noFiles,
		"--key ":              "pem\nkey\n" + ext,
		"--config ":           "toml\n" + ext,
		"--record ":           "pcapng\n" + ext,
		"forward --socks ":    "127.0.0.1:1080\n" + noFiles,
		"browser ":            "chromium\nfirefox\n" + noFiles,
		"browser --program ":  files,
		"browser --record ":   "pcapng\n" + ext,
		"ca install --store ": "system\nnss\njava\n" + noFiles,
		"run --to ws:":        "ws://localhost:\n" + goesOn,
		"show ":               files,
	} {
		args := strings.Fields(line)
		if strings.HasSuffix(line, " ") {
			args = append(args, "")
		}
		var out, said bytes.Buffer
		if code := wsproxy(append([]string{"__complete"}, args...), nil, &out, &said); code != 0 || out.String() != want {
			t.Errorf("%q is completed with %q, exit %d, %s", line, out.String(), code, said.String())
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		var out bytes.Buffer
		if code := wsproxy([]string{"completion", shell}, nil, &out, &out); code != 0 || !strings.Contains(out.String(), "__complete") {
			t.Errorf("%s: exit %d, %d bytes", shell, code, out.Len())
		}
	}
}

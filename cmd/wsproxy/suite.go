package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
)

// suite is what was checked, for --report.
type suite struct {
	Name  string     `json:"name"`
	Cases []testCase `json:"cases"`
}

// testCase is one thing that was checked.
type testCase struct {
	Name    string `json:"name"`
	Failed  bool   `json:"failed"`
	Skipped bool   `json:"skipped,omitempty"`
	Problem string `json:"problem,omitempty"` // in a sentence
	Detail  string `json:"detail,omitempty"`  // in lines
	Line    int    `json:"line,omitempty"`    // of the file
}

// reportTo takes a --report apart: its format, and the file; empty: standard output.
func reportTo(s string) (format, file string, err error) {
	format, file, _ = strings.Cut(s, ":")
	switch format {
	case "", "junit", "tap", "json":
		return format, file, nil
	}
	return "", "", usagef("--report junit:report.xml", "--report takes junit, tap or json, with :FILE if it is to be a file, not %q", s)
}

// write writes the report where it is wanted.
func (s *suite) write(where string, out io.Writer) error {
	format, file, err := reportTo(where)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	switch format {
	case "junit":
		err = s.junit(&b)
	case "tap":
		s.tap(&b)
	default:
		js := json.NewEncoder(&b)
		js.SetIndent("", "  ")
		err = js.Encode(s)
	}
	if err != nil {
		return err
	}
	if file == "" {
		_, err = out.Write(b.Bytes())
		return err
	}
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		return failf("", "cannot write the report: %v", cause(err))
	}
	return nil
}

func (s *suite) failures() (n int) {
	for _, c := range s.Cases {
		if c.Failed {
			n++
		}
	}
	return n
}

type junitSuites struct {
	XMLName xml.Name   `xml:"testsuites"`
	Suite   junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	File    string        `xml:"file,attr,omitempty"`
	Line    int           `xml:"line,attr,omitempty"`
	Failure *junitFailure `xml:"failure"`
	Skipped *struct{}     `xml:"skipped"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func (s *suite) junit(w io.Writer) error {
	x := junitSuites{Suite: junitSuite{Name: s.Name, Tests: len(s.Cases), Failures: s.failures()}}
	for _, c := range s.Cases {
		j := junitCase{Name: c.Name, Class: s.Name, Line: c.Line}
		if c.Line > 0 {
			j.File = s.Name
		}
		if c.Failed {
			j.Failure = &junitFailure{Message: c.Problem, Text: c.Detail}
		} else if c.Skipped {
			j.Skipped = &struct{}{}
			x.Suite.Skipped++
		}
		x.Suite.Cases = append(x.Suite.Cases, j)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(x); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// tap writes TAP 14 (testanything.org).
func (s *suite) tap(b *bytes.Buffer) {
	fmt.Fprintf(b, "TAP version 14\n1..%d\n", len(s.Cases))
	for i, c := range s.Cases {
		word, skip := "ok", ""
		if c.Failed {
			word = "not ok"
		} else if c.Skipped {
			skip = " # SKIP it was interrupted"
		}
		name := strings.NewReplacer(`\`, `\\`, "#", `\#`).Replace(inspect.Visible([]byte(c.Name), 0))
		fmt.Fprintf(b, "%s %d - %s%s\n", word, i+1, name, skip)
		if c.Failed {
			fmt.Fprintf(b, "  ---\n  message: %s\n", quoted(c.Problem))
			if c.Line > 0 {
				fmt.Fprintf(b, "  at: %s\n", quoted(fmt.Sprintf("%s:%d", s.Name, c.Line)))
			}
			fmt.Fprintf(b, "  detail: %s\n  ...\n", quoted(c.Detail))
		}
	}
}

// quoted is a text as a JSON string, which YAML has too.
func quoted(s string) string {
	js, err := json.Marshal(s)
	if err != nil {
		return `""` // a string always marshals
	}
	return string(js)
}

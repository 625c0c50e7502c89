package main

import (
	"regexp"
	"strings"
	"testing"
)

// Each of the demo's scenes is a stop of the tour, and each stop says what it has to
// in a sentence, of the section that it names.
func TestTourScenes(t *testing.T) {
	all := tourScenes()
	if len(all) != len(scenes) {
		t.Fatalf("%d stops for %d scenes", len(all), len(scenes))
	}
	clause := regexp.MustCompile(`^RFC (6455|7692) \d+(\.\d+)*$`)
	for i, s := range all {
		if s.Path != scenes[i].path {
			t.Errorf("stop %d is %s, the demo's scene is %s", i+1, s.Path, scenes[i].path)
		}
		if strings.Count(s.Sentence, ". ") > 0 || !strings.HasSuffix(s.Sentence, ".") || len(s.Sentence) > 110 {
			t.Errorf("%s: %q is not one short sentence", s.Path, s.Sentence)
		}
		if !strings.HasSuffix(s.Question, "?") || len(s.Question) > 76 || !strings.HasSuffix(s.Answer, ".") || len(s.Answer) > 150 {
			t.Errorf("%s: %q, %q", s.Path, s.Question, s.Answer)
		}
		if !clause.MatchString(s.Clause) || len(s.Key) != 1 || s.Title == "" || s.Shows == "" {
			t.Errorf("%s says too little: %+v", s.Path, s)
		}
	}
}

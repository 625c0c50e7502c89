package ui

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/filter"
)

// askFilter asks for a filter, with completion and what is wrong with it.
func (v *view) askFilter() {
	text := ""
	if v.sieve != nil {
		text = v.sieve.filter.String()
	}
	v.ask(question{kind: "filter", label: "filter: ", text: text, done: v.setFilter,
		options: func(text string) []option { return completions(text, func(string) bool { return true }) },
		problem: func(text string) (string, int) { return filterProblem(text, filter.Compile) }})
}

// completions are the texts that a filter could go on to, with the fields that are known.
func completions(text string, known func(field string) bool) []option {
	from := strings.LastIndexAny(text, " &|()!=") + 1
	var all []option
	value := strings.HasSuffix(strings.TrimRight(text[:from], " "), "=")
	for _, c := range filter.Complete(text, len(text)) {
		if !known(c) {
			continue
		}
		o := option{text: text[:from] + c}
		if !value {
			o.doc = fieldDoc(c)
		}
		all = append(all, o)
	}
	return all
}

// fieldDoc says what a field is.
func fieldDoc(name string) string {
	for _, f := range inspect.AllFields() {
		if f.Name == name {
			return f.Type + ": " + f.Doc
		}
	}
	return ""
}

// filterProblem says what is wrong with a filter and where.
func filterProblem(text string, read func(string) (*filter.Filter, error)) (string, int) {
	if strings.TrimSpace(text) == "" {
		return "", 0
	}
	_, err := read(text)
	var e *filter.Error
	switch {
	case errors.As(err, &e):
		return e.Message, e.At
	case err != nil:
		return err.Error(), 0
	}
	return "", 0
}

// setFilter shows what a filter lets through; without text, everything.
func (v *view) setFilter(text string) {
	if strings.TrimSpace(text) == "" {
		v.clearFilter()
		return
	}
	f, err := filter.Compile(text)
	if err != nil {
		v.said = "the filter: " + err.Error()
		return
	}
	v.sift(f)
}

// sift sifts on a goroutine that Run waits for.
func (v *view) sift(f *filter.Filter) {
	v.stopSearch()
	v.stopSifting()
	ctx, cancel := context.WithCancel(v.ctx)
	s := newSieve(v, f)
	s.stop = cancel
	v.sieve = s
	v.sessions.keep()
	v.frames.keep()
	v.start(func(context.Context) { s.run(ctx) })
}

func (v *view) stopSifting() {
	if v.sieve != nil {
		v.sieve.stop()
	}
}

// clearFilter shows everything again.
func (v *view) clearFilter() {
	if v.sieve == nil {
		return
	}
	v.stopSifting()
	v.sieve = nil
	v.sessions.keep()
	v.frames.keep()
	v.said = "the filter is off"
}

func hasFilter(v *view) bool { return v.sieve != nil }

// filterLine says which filter is set and what it has let through.
func (v *view) filterLine() []span {
	if v.sieve == nil {
		return nil
	}
	p := v.sieve.progress(v.sessions.all)
	spans := []span{{" filter: ", dim}, {clipped(visible(v.sieve.filter.String()), 40), odd}}
	switch {
	case p.err != nil && !errors.Is(p.err, context.Canceled):
		spans = append(spans, span{" · it ended: " + visible(p.err.Error()), bad})
	case !p.current && p.of > 0 && p.looked < p.of:
		spans = append(spans, span{fmt.Sprintf(" · %d %% (Esc stops)", p.looked*100/p.of), dim})
	case v.sieve.filter.OfSession():
		spans = append(spans, span{" · " + count(len(p.sessions), "session"), dim})
	default:
		spans = append(spans, span{fmt.Sprintf(" · %s of %s", grouped(p.frames), grouped(p.of)), dim})
	}
	return append(spans, span{" ", plain})
}

// grouped is a number with its thousands set apart.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// toggleMessages shows a row a frame, or one a message.
func (v *view) toggleMessages() {
	v.listing.messages = !v.listing.messages
	v.frames.keep()
	v.said = "one row a frame"
	if v.listing.messages {
		v.said = "one row a message: fragments behind the first are left out"
	}
	if v.sieve != nil {
		v.sift(v.sieve.filter)
	}
}

// toggleFolds folds heartbeats, or does not.
func (v *view) toggleFolds() {
	v.listing.folds = !v.listing.folds
	v.frames.keep()
	v.frames.shape = nil // what was opened is folded again
	v.said = "heartbeats are shown one by one"
	if v.listing.folds {
		v.said = fmt.Sprintf("%d heartbeats or more take one row; enter opens it", foldLeast)
	}
}

package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/wsproxy/wsproxy/inspect"
	"github.com/wsproxy/wsproxy/inspect/filter"
)

// chosen is the filter of the flags; nil without one. The error shows where it is
// wrong.
func (o *outputFlags) chosen() (*filter.Filter, error) {
	f, err := o.compiled()
	if f != nil && f.Decoded() {
		return nil, usagef("--decoded --filter …", "--filter asks what messages mean, and nobody decodes them")
	}
	return f, err
}

// compiled is the filter, whatever it asks for.
func (o *outputFlags) compiled() (*filter.Filter, error) {
	if o.filter == "" {
		return nil, nil
	}
	f, err := filter.Compile(o.filter)
	var e *filter.Error
	if errors.As(err, &e) {
		place := []rune(inspect.Visible([]byte(e.Source[:min(e.At, len(e.Source))]), 0))
		return nil, usagef("wsproxy help filter lists the fields", "--filter: %s\n  %s\n  %s^", e.Message, inspect.Visible([]byte(e.Source), 0), strings.Repeat(" ", len(place)))
	}
	return f, err
}

// completeFilter offers the fields and constants that fit.
func completeFilter(_ *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
	from := strings.LastIndexAny(text, " &|()!") + 1
	var all []string
	for _, c := range filter.Complete(text, len(text)) {
		all = append(all, text[:from]+c)
	}
	return all, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}

// filterHelp is the help topic on the language, printed from the table of fields.
func filterHelp() *cobra.Command {
	var b strings.Builder
	b.WriteString(`A filter chooses frames. It is text to look for in payloads, in any letter case:

  --filter price                     this word
  --filter 'price null'              both words
  --filter '"out of stock"'          these words in this order
  --filter '"price": null'           this text, quotes and all

or an expression (in the syntax of expr-lang.org) over the fields below:

  --filter 'op == close && code != 1000'
  --filter 'op == text && size > 100 && json.type == "subscribe"'
  --filter 'session.path matches "^/graphql" && dir == up'
  --filter 'finding == "error" or missing'
  --filter 'json.items[0].price > 9.5'

What is not there is nil, and a comparison that makes no sense is false. Of a message
in fragments the last is chosen by what the message says.

`)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, f := range inspect.AllFields() {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", f.Name, f.Type, f.Doc)
	}
	_ = w.Flush() // into memory
	return &cobra.Command{Use: "filter", Short: "The language that chooses frames", Long: strings.TrimRight(b.String(), "\n")}
}

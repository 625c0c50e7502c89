package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// markdown is the report for people: one table a workload.
func (r *report) markdown() string {
	var b strings.Builder
	r.About.markdown(&b)
	for _, w := range r.workloads {
		fmt.Fprintf(&b, "\n### %s: %s\n\n", w.name, w.about)
		cols := r.columns(w)
		head := []string{"through"}
		for _, c := range cols {
			head = append(head, c.head)
		}
		row(&b, head)
		row(&b, append([]string{"---"}, slices.Repeat([]string{"---:"}, len(cols))...))
		for _, c := range r.contenders {
			line := []string{c.name}
			for _, col := range cols {
				line = append(line, col.text(c.name))
			}
			if r.tried(w.name, c.name) {
				row(&b, line)
			}
		}
	}
	b.WriteString(r.goalsTable())
	if notes := r.notes(); len(notes) > 0 {
		b.WriteString("\nTo know beside:\n\n")
		for _, n := range notes {
			b.WriteString("- " + n + "\n")
		}
	}
	if err := r.verdict(); err != nil {
		fmt.Fprintf(&b, "\nNot as it should be:\n\n    %s\n", strings.ReplaceAll(err.Error(), "\n", "\n    "))
	}
	return b.String()
}

func row(b *strings.Builder, cells []string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// column is one of a workload's table.
type column struct {
	head string
	text func(contender string) string
}

// columns are what is compared, with the ratios, then what else there is to know.
func (r *report) columns(w workload) []column {
	number := func(m metric) column {
		return column{strings.TrimSpace(m.name + " " + m.unit), func(c string) string {
			s, ok := r.of(m, w.name, c)
			if !ok {
				return "–"
			}
			return short(s.Median)
		}}
	}
	times := func(m metric, to string) column {
		return column{m.name + " × " + to, func(c string) string {
			x, ok := r.against(m, w.name, c, to)
			if !ok || c == to {
				return "–"
			}
			return fmt.Sprintf("%.2f (%.2f–%.2f)", x.Median, x.Min, x.Max)
		}}
	}
	to := w.comparing()
	cols := []column{number(w.main), times(w.main, to[0]), times(w.main, to[1])}
	for _, m := range w.also {
		cols = append(cols, times(m, to[0]))
	}
	for _, m := range metrics {
		if m.name != w.main.name && r.known(m, w) {
			cols = append(cols, number(m))
		}
	}
	return append(cols, column{"lost", func(c string) string { return fmt.Sprint(r.sum(w.name, c, func(c cell) int64 { return c.Lost })) }},
		column{"corrupted", func(c string) string { return fmt.Sprint(r.sum(w.name, c, func(c cell) int64 { return c.Corrupted })) }})
}

// known says that a workload measures a metric at all.
func (r *report) known(m metric, w workload) bool {
	memory := w.job.Kind == "idle" || w.job.Kind == "stall"
	switch m.name {
	case rate.name, bandwidth.name:
		return !memory
	case each1.name, growth.name:
		return false // they are the main ones or say nothing
	}
	for _, c := range r.Cells {
		if c.Workload == w.name && m.value(c) > 0 {
			return true
		}
	}
	return false
}

func (r *report) tried(workload, contender string) bool {
	return slices.ContainsFunc(r.Cells, func(c cell) bool { return c.Workload == workload && c.Contender == contender })
}

func (r *report) sum(workload, contender string, f func(cell) int64) (n int64) {
	for _, c := range r.Cells {
		if c.Workload == workload && c.Contender == contender {
			n += f(c)
		}
	}
	return n
}

// short is a number in three digits, or whole where it is long.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a == 0:
		return "0"
	case a < 10:
		return fmt.Sprintf("%.2f", v)
	case a < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// notes are what wsproxy warned of and which programs did not end when told to, once each.
func (r *report) notes() []string {
	var all []string
	note := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	for _, c := range r.Cells {
		if c.Killed {
			note("%s, %s: it had not ended %v after SIGTERM", c.Workload, c.Contender, stopTime)
		}
		for said := range strings.SplitSeq(c.Said, "; ") {
			if strings.HasPrefix(c.Contender, "wsproxy") && strings.Contains(said, "warning") {
				note("%s, %s: %q", c.Workload, c.Contender, said)
			}
		}
	}
	return all
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
)

// report is all that was measured.
type report struct {
	About      about
	Cells      []cell
	Ratios     []ratio
	workloads  []workload
	contenders []contender
}

// spread is a median and what lay around it.
type spread struct{ Min, Median, Max float64 }

// spreadOf is of at least one number.
func spreadOf(all []float64) spread {
	s := slices.Clone(all)
	slices.Sort(s)
	n := len(s)
	return spread{s[0], (s[(n-1)/2] + s[n/2]) / 2, s[n-1]}
}

// ratio compares a contender with another. The median is the ratio of the two medians;
// minimum and maximum are over the rounds, each with the other's number of that round.
type ratio struct {
	Workload, Contender, Metric, To string
	spread
}

// cells are the good ones of a workload and a contender, by round.
func (r *report) cells(workload, contender string) map[int]cell {
	all := map[int]cell{}
	for _, c := range r.Cells {
		if c.Workload == workload && c.Contender == contender && c.Err == "" {
			all[c.Round] = c
		}
	}
	return all
}

// of is a metric's spread over the rounds.
func (r *report) of(m metric, workload, contender string) (spread, bool) {
	var all []float64
	for _, c := range r.cells(workload, contender) {
		all = append(all, m.value(c))
	}
	if len(all) == 0 {
		return spread{}, false
	}
	return spreadOf(all), true
}

// against compares over the rounds that both were measured in; false: there are none,
// or one of the two was nothing.
func (r *report) against(m metric, workload, contender, to string) (ratio, bool) {
	var mine, other, all []float64
	others := r.cells(workload, to)
	for round, c := range r.cells(workload, contender) {
		o, ok := others[round]
		if a, b := m.value(c), m.value(o); ok && b > 0 {
			mine, other, all = append(mine, a), append(other, b), append(all, a/b)
		}
	}
	if len(all) == 0 || spreadOf(mine).Median <= 0 {
		return ratio{}, false
	}
	s := spreadOf(all)
	s.Median = spreadOf(mine).Median / spreadOf(other).Median
	return ratio{workload, contender, m.name, to, s}, true
}

// ratios compares everything with what its workload is compared with.
func (r *report) ratios() []ratio {
	var all []ratio
	for _, w := range r.workloads {
		for _, c := range r.contenders {
			for _, to := range w.comparing() {
				if to != c.name {
					all = append(all, r.compare(w.name, c.name, to)...)
				}
			}
		}
	}
	return all
}

// compare is every metric of a workload that can be compared.
func (r *report) compare(workload, contender, to string) (all []ratio) {
	for _, m := range metrics {
		if x, ok := r.against(m, workload, contender, to); ok {
			all = append(all, x)
		}
	}
	return all
}

// write writes everything as JSON.
func (r *report) write(path string) error {
	r.Ratios = r.ratios()
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// verdict is an error if anything was lost or altered on its way, or not measured.
func (r *report) verdict() error {
	var errs []error
	for _, c := range r.Cells {
		switch {
		case c.Err != "":
			errs = append(errs, fmt.Errorf("%s through %s: %s", c.Workload, c.Contender, c.Err))
		case c.Lost+c.Corrupted > 0:
			errs = append(errs, fmt.Errorf("%s through %s: %d messages lost, %d corrupted", c.Workload, c.Contender, c.Lost, c.Corrupted))
		}
	}
	return errors.Join(errs...)
}

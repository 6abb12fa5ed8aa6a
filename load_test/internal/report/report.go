// Package report turns the results of a comparison into tables and charts.
package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/barid-mqtt/barid/load_test/internal/scenario"
)

// Run is one run of a comparison. Runs of one round were made one after the other, and are compared with each other.
type Run struct {
	Round int `json:"round"`
	scenario.Result
	Error string `json:"error,omitempty"` // why there is no result
}

// Report is a comparison. The first broker is the one that the others are compared with.
type Report struct {
	Facts     [][2]string // what was measured where: name and value
	Brokers   []string
	Scenarios []scenario.Scenario
	Runs      []Run
}

// Spread is what several runs have measured.
type Spread struct{ Min, Median, Max float64 }

// spreadOf returns the spread of values; ok is false if there are none.
func spreadOf(values []float64) (s Spread, ok bool) {
	if len(values) == 0 {
		return Spread{}, false
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return Spread{sorted[0], (sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[n-1]}, true
}

// values returns a metric of one scenario and broker, by round.
func (r *Report) values(name, broker, metric string) (byRound map[int]float64, unit string, better scenario.Better) {
	byRound = map[int]float64{}
	for _, run := range r.Runs {
		if run.Scenario != name || run.Broker != broker || run.Partial {
			continue
		}
		if m, ok := run.Get(metric); ok {
			byRound[run.Round], unit, better = m.Value, m.Unit, m.Better
		}
	}
	return byRound, unit, better
}

// spread returns the spread of a metric.
func (r *Report) spread(name, broker, metric string) (Spread, string, bool) {
	byRound, unit, _ := r.values(name, broker, metric)
	s, ok := spreadOf(valuesOf(byRound))
	return s, unit, ok
}

// ratio returns how many times better the first broker is than another: more of what should be much, less of what
// should be little, round by round.
func (r *Report) ratio(name, other, metric string) (Spread, bool) {
	ours, _, better := r.values(name, r.Brokers[0], metric)
	theirs, _, _ := r.values(name, other, metric)
	var ratios []float64
	for round, a := range ours {
		b, ok := theirs[round]
		switch {
		case !ok || a <= 0 || b <= 0:
		case better == scenario.Lower:
			ratios = append(ratios, b/a)
		default:
			ratios = append(ratios, a/b)
		}
	}
	return spreadOf(ratios)
}

func valuesOf(m map[int]float64) (values []float64) {
	for _, v := range m {
		values = append(values, v)
	}
	return values
}

// Markdown returns the report as text. charts are the files of charts to show.
func (r *Report) Markdown(charts []string) string {
	var b strings.Builder
	for _, f := range r.Facts {
		fmt.Fprintf(&b, "- %s: %s\n", f[0], f[1])
	}
	b.WriteString("\n## Compared\n\nEach cell: the median of the runs, and in brackets the least and the most. “×” is how many times better ")
	fmt.Fprintf(&b, "%s is, run by run: below 1 it is worse. “–” was not measured; the reasons are below.\n\n", r.Brokers[0])
	r.compared(&b)
	for _, c := range charts {
		fmt.Fprintf(&b, "\n![%s](%s)\n", c, c)
	}
	b.WriteString("\n## Everything measured\n\nMedians.\n\n")
	r.everything(&b)
	r.problems(&b)
	return b.String()
}

// compared writes the table of the metrics that say who is better.
func (r *Report) compared(b *strings.Builder) {
	b.WriteString("| scenario | measured | " + r.Brokers[0])
	for _, broker := range r.Brokers[1:] {
		b.WriteString(" | " + broker + " | ×")
	}
	b.WriteString(" | goal |\n|" + strings.Repeat("---|", 2*len(r.Brokers)+2) + "\n")
	for _, s := range r.Scenarios {
		for i, metric := range s.Keys {
			goal := ""
			if i == 0 {
				goal = s.Goal
			}
			fmt.Fprintf(b, "| %s | %s | %s", s.Name, metric, r.cell(s.Name, r.Brokers[0], metric))
			for _, broker := range r.Brokers[1:] {
				ratio := "–"
				if x, ok := r.ratio(s.Name, broker, metric); ok {
					ratio = "**" + Number(x.Median) + "**" + brackets(x)
				}
				fmt.Fprintf(b, " | %s | %s", r.cell(s.Name, broker, metric), ratio)
			}
			fmt.Fprintf(b, " | %s |\n", goal)
		}
	}
}

func (r *Report) cell(name, broker, metric string) string {
	s, unit, ok := r.spread(name, broker, metric)
	if !ok {
		return "–"
	}
	return strings.TrimSpace(Number(s.Median)+" "+unit) + brackets(s)
}

func brackets(s Spread) string {
	if s.Min == s.Max {
		return ""
	}
	return " (" + Number(s.Min) + "–" + Number(s.Max) + ")"
}

// everything writes a table of all metrics for each scenario.
func (r *Report) everything(b *strings.Builder) {
	for _, s := range r.Scenarios {
		names := r.metricNames(s.Name)
		if len(names) == 0 {
			continue
		}
		fmt.Fprintf(b, "**%s**: %s\n\n| | %s |\n|---|%s\n", s.Name, s.About, strings.Join(r.Brokers, " | "), strings.Repeat("--:|", len(r.Brokers)))
		for _, metric := range names {
			fmt.Fprintf(b, "| %s", metric)
			for _, broker := range r.Brokers {
				text := "–"
				if v, unit, ok := r.spread(s.Name, broker, metric); ok {
					text = strings.TrimSpace(Number(v.Median) + " " + unit)
				}
				b.WriteString(" | " + text)
			}
			b.WriteString(" |\n")
		}
		b.WriteString("\n")
	}
}

// metricNames returns the metrics of a scenario, as they were measured.
func (r *Report) metricNames(name string) (names []string) {
	for _, run := range r.Runs {
		if run.Scenario != name {
			continue
		}
		for _, m := range run.Metrics {
			if !slices.Contains(names, m.Name) {
				names = append(names, m.Name)
			}
		}
	}
	return names
}

// problems writes what should not have happened, each once, with how often it did.
func (r *Report) problems(b *strings.Builder) {
	var lines []string
	for _, run := range r.Runs {
		at := fmt.Sprintf("%s, %s, run %d: ", run.Scenario, run.Broker, run.Round+1)
		if run.Error != "" {
			lines = append(lines, at+"no result: "+run.Error)
		}
		if run.Partial {
			lines = append(lines, at+"broken off, and left out above")
		}
		for _, p := range run.Problems {
			lines = append(lines, at+p)
		}
	}
	if len(lines) == 0 {
		b.WriteString("Nothing was lost, doubled or out of order, and no connection broke.\n")
		return
	}
	b.WriteString("## What should not have happened\n\n")
	for _, line := range lines {
		b.WriteString("- " + strings.ReplaceAll(line, "\n", " ") + "\n")
	}
}

// Number writes a value with the three digits that matter, and thousands apart.
func Number(v float64) string {
	switch a := max(v, -v); {
	case a >= 1000:
		return thousands(int64(v + 0.5))
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a == float64(int64(a)):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.4f", v)
}

func thousands(n int64) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// Sort puts runs into the order of the scenarios, brokers and rounds.
func (r *Report) Sort() {
	place := map[string]int{}
	for i, s := range r.Scenarios {
		place[s.Name] = i
	}
	slices.SortStableFunc(r.Runs, func(a, b Run) int {
		return cmp.Or(cmp.Compare(place[a.Scenario], place[b.Scenario]), cmp.Compare(slices.Index(r.Brokers, a.Broker), slices.Index(r.Brokers, b.Broker)), cmp.Compare(a.Round, b.Round))
	})
}

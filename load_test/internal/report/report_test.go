package report

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/load_test/internal/scenario"
)

func result(round int, broker string, cpu, rate float64) Run {
	return Run{Round: round, Result: scenario.Result{Scenario: "s", Broker: broker, Metrics: []scenario.Metric{
		{Name: scenario.MetricCPU, Unit: "s", Value: cpu, Better: scenario.Lower},
		{Name: scenario.MetricRate, Unit: "/s", Value: rate, Better: scenario.Higher},
	}}}
}

func example() *Report {
	partial := result(3, "a", 99, 1)
	partial.Partial = true
	return &Report{
		Facts: [][2]string{{"machine", "two processors"}}, Brokers: []string{"a", "b"},
		Scenarios: []scenario.Scenario{{Name: "s", About: "<about>", Keys: []string{scenario.MetricCPU, scenario.MetricRate}, Goal: "less"}},
		Runs: []Run{
			result(0, "a", 1, 1000), result(0, "b", 4, 500),
			result(1, "a", 2, 1500), result(1, "b", 4, 1500),
			result(2, "a", 3, 2000), result(2, "b", 2, 1000),
			partial,
			{Round: 3, Result: scenario.Result{Scenario: "s", Broker: "b"}, Error: "it has\nended"},
		},
	}
}

func TestRatiosCompareRunsOfOneRound(t *testing.T) {
	r := example()
	for metric, want := range map[string]Spread{
		scenario.MetricCPU:  {2.0 / 3, 2, 4}, // 4/1, 4/2, 2/3
		scenario.MetricRate: {1, 2, 2},       // 1000/500, 1500/1500, 2000/1000
	} {
		if got, ok := r.ratio("s", "b", metric); !ok || got != want {
			t.Errorf("%s: %+v, want %+v", metric, got, want)
		}
	}
	if _, ok := r.ratio("s", "c", scenario.MetricCPU); ok {
		t.Error("there is a ratio to a broker that was not measured")
	}
}

func TestMarkdownHasTheTableAndTheProblems(t *testing.T) {
	text := example().Markdown([]string{"charts/cpu.svg"})
	for _, want := range []string{
		"- machine: two processors", "| s | broker CPU per million | 2 s (1–3) | 4 s (2–4) | **2** (0.67–4) | less |",
		"| s | deliveries | 1,500 /s (1,000–2,000) | 1,000 /s (500–1,500) | **2** (1–2) |  |",
		"![charts/cpu.svg](charts/cpu.svg)", "run 4: no result: it has ended", "run 4: broken off",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestChartIsXMLWithABarForEachBroker(t *testing.T) {
	svg := example().Chart("CPU <s>", scenario.MetricCPU)
	rects := 0
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			rects++
		}
	}
	if want := 1 + 2 + 2; rects != want { // background, legend, bars
		t.Errorf("%d rectangles, want %d", rects, want)
	}
	if example().Chart("none", "no such metric") != "" {
		t.Error("a chart of nothing")
	}
}

func TestMedianOfAnEvenNumberIsBetween(t *testing.T) {
	if s, _ := spreadOf([]float64{4, 1, 2, 3}); s != (Spread{1, 2.5, 4}) {
		t.Errorf("got %+v", s)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 3: "3", 1234567.4: "1,234,567", 999.6: "1000", 123.4: "123", 12.34: "12.3", 1.234: "1.23", 0.01234: "0.0123", 1000: "1,000"} {
		if got := Number(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

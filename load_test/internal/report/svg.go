package report

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// Measures of a chart, in pixels.
const (
	chartWidth = 900
	labelWidth = 210
	valueWidth = 150
	barHeight  = 14
	barGap     = 3
	groupGap   = 16
	headHeight = 64
	footHeight = 16
)

// colours tell brokers apart, also for those who see few colours.
var colours = []string{"#0b6e99", "#e69f00", "#7a7a7a", "#cc79a7", "#009e73", "#56b4e9"}

// Chart draws one metric of all scenarios that have it: a bar for each broker as long as the median, on a logarithmic
// scale, and a line from the least to the most. It returns "" if there is nothing to draw.
func (r *Report) Chart(title, metric string) string {
	rows, least, most := r.rows(metric)
	if len(rows) == 0 {
		return ""
	}
	low := math.Floor(math.Log10(least)) // the scale begins a little below, so that the least has a bar
	if math.Log10(least)-low < 0.1 {
		low -= 0.3
	}
	high := math.Log10(most) + 0.05
	x := func(v float64) float64 {
		share := (math.Log10(v) - low) / (high - low)
		return labelWidth + max(share, 0)*(chartWidth-labelWidth-valueWidth)
	}
	height := headHeight + footHeight
	for _, row := range rows {
		height += len(row.bars)*(barHeight+barGap) + groupGap
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12" role="img">`+"\n",
		chartWidth, height, chartWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", chartWidth, height)
	text(&b, 12, 24, "start", 15, title+" (logarithmic scale)")
	r.legend(&b)
	r.grid(&b, low, high, height, x)
	y := headHeight
	for _, row := range rows {
		text(&b, labelWidth-8, float64(y+len(row.bars)*(barHeight+barGap)/2+4), "end", 12, row.scenario)
		for _, bar := range row.bars {
			drawBar(&b, bar, y, x)
			y += barHeight + barGap
		}
		y += groupGap
	}
	b.WriteString("</svg>\n")
	return b.String()
}

type bar struct {
	broker int
	spread Spread
	unit   string
}

type row struct {
	scenario string
	bars     []bar
}

// rows collects what there is to draw, and its range.
func (r *Report) rows(metric string) (rows []row, least, most float64) {
	least = math.Inf(1)
	for _, s := range r.Scenarios {
		group := row{scenario: s.Name}
		for i, broker := range r.Brokers {
			v, unit, ok := r.spread(s.Name, broker, metric)
			if !ok || v.Min <= 0 {
				continue
			}
			group.bars = append(group.bars, bar{i, v, unit})
			least, most = min(least, v.Min), max(most, v.Max)
		}
		if len(group.bars) > 0 {
			rows = append(rows, group)
		}
	}
	return rows, least, most
}

func drawBar(b *strings.Builder, d bar, y int, x func(float64) float64) {
	end := x(d.spread.Median)
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n",
		labelWidth, y, max(end-labelWidth, 1), barHeight, colours[d.broker%len(colours)])
	last := end
	if d.spread.Max > d.spread.Min {
		from, to := x(d.spread.Min), x(d.spread.Max)
		last = max(last, to)
		fmt.Fprintf(b, `<path d="M%.1f %dH%.1fM%.1f %dv6M%.1f %dv6" stroke="#222" fill="none"/>`+"\n",
			from, y+barHeight/2, to, from, y+barHeight/2-3, to, y+barHeight/2-3)
	}
	text(b, last+6, float64(y+barHeight-3), "start", 11, strings.TrimSpace(Number(d.spread.Median)+" "+d.unit))
}

func (r *Report) legend(b *strings.Builder) {
	at := labelWidth
	for i, broker := range r.Brokers {
		fmt.Fprintf(b, `<rect x="%d" y="36" width="12" height="12" fill="%s"/>`+"\n", at, colours[i%len(colours)])
		text(b, float64(at+17), 46, "start", 12, broker)
		at += 40 + 8*len(broker)
	}
}

// grid draws a line for each power of ten.
func (r *Report) grid(b *strings.Builder, low, high float64, height int, x func(float64) float64) {
	for p := math.Ceil(low); p <= high; p++ {
		at := x(math.Pow(10, p))
		fmt.Fprintf(b, `<path d="M%.1f %dV%d" stroke="#ddd"/>`+"\n", at, headHeight-6, height-footHeight)
		text(b, at, float64(height-4), "middle", 10, Number(math.Pow(10, p)))
	}
}

func text(b *strings.Builder, x, y float64, anchor string, size int, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d" fill="#222">`, x, y, anchor, size)
	_ = xml.EscapeText(b, []byte(s)) // writing to a string does not fail
	b.WriteString("</text>\n")
}

package conn

// balancer decides how many loops are in use, and what moves between them. It is pure: loads go in, moves come out.
type balancer struct {
	loops int // there are
	inUse int // from the first on; 0 is read as 1
	hot   int // looks in a row at which a loop had too much
	calm  int // looks in a row at which one loop less would do
}

const (
	hotLoad   = 0.85 // a loop that is busy for more of the time shares its connections
	hotLooks  = 3
	coolLoad  = 0.5 // two loops that are busy for less, together, become one
	coolLooks = 20
	uneven    = 0.35 // a loop in use that has so much less to do takes more
)

// hottest and coolest return which of the loops in use is busy most, and least.
func (b *balancer) hottest(loads []float64) (i int) {
	for k := range max(b.inUse, 1) {
		if loads[k] > loads[i] {
			i = k
		}
	}
	return i
}

func (b *balancer) coolest(loads []float64) (i int) {
	for k := range max(b.inUse, 1) {
		if loads[k] < loads[i] {
			i = k
		}
	}
	return i
}

// next looks at the share of time that each loop was busy. If from and to differ, about half of what from does is to move
// to to, or all of it.
func (b *balancer) next(loads []float64) (from, to int, all bool) {
	b.inUse = max(b.inUse, 1)
	hottest, coolest := b.hottest(loads), b.coolest(loads)
	if loads[hottest] > hotLoad {
		b.calm = 0
		if b.hot++; b.hot < hotLooks {
			return 0, 0, false
		}
		b.hot = 0
		switch {
		case loads[coolest] < loads[hottest]-uneven:
			return hottest, coolest, false
		case b.inUse < b.loops:
			b.inUse++
			return hottest, b.inUse - 1, false
		}
		return 0, 0, false
	}
	b.hot = 0
	last := b.inUse - 1
	if last == 0 || loads[last]+loads[last-1] > coolLoad {
		b.calm = 0
		return 0, 0, false
	}
	if b.calm++; b.calm < coolLooks {
		return 0, 0, false
	}
	b.calm = 0
	b.inUse--
	return last, last - 1, true
}

package metrics

import "testing"

func TestEachLimitHasANameAndACountOfItsOwn(t *testing.T) {
	var m Metrics
	seen := map[string]bool{"": true, "unknown": true}
	for _, l := range Limits() {
		if seen[l.String()] {
			t.Errorf("limit %d is named %q", l, l)
		}
		seen[l.String()] = true
		for range int(l) + 1 {
			m.Hit(l)
		}
	}
	for _, l := range Limits() {
		if m.Hits(l) != int64(l)+1 {
			t.Errorf("%v was reached %d times", l, m.Hits(l))
		}
	}
	if limits.String() != "unknown" {
		t.Errorf("what is no limit is named %q", limits)
	}
}

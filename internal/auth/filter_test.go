package auth

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/barid-mqtt/barid/mqtt"
)

// topicsUpTo lists all topics of some levels; they tell any two filters apart that are made of the same words and shorter.
func topicsUpTo(levels int) []string {
	words := []string{"a", "b", "$s", "other"}
	all, last := []string{}, []string{""}
	for n := range levels {
		var next []string
		for _, prefix := range last {
			for _, w := range words {
				if n > 0 {
					w = prefix + "/" + w
				}
				next = append(next, w)
			}
		}
		all, last = append(all, next...), next
	}
	return all
}

func filterOf(t *rapid.T, name string) string {
	n := rapid.IntRange(1, 4).Draw(t, name+" levels")
	levels := make([]string, n)
	for i := range levels {
		choice := []string{"a", "b", "$s", "+"}
		if i == n-1 {
			choice = append(choice, "#")
		}
		levels[i] = rapid.SampledFrom(choice).Draw(t, name)
	}
	return strings.Join(levels, "/")
}

func TestAFirstLevelOfAnyNameAndAllBelowItCoverAll(t *testing.T) {
	for b, want := range map[string]bool{"#": true, "+/#": true, "a": true, "/a": true, "$SYS/#": false} {
		if got := covers("+/#", b); got != want {
			t.Errorf("covers(+/#, %s) is %v", b, got)
		}
	}
	if covers("a/+/#", "a/#") {
		t.Error("a/+/# does not match a, which a/# does")
	}
}

func TestCoversAndOverlapsAgreeWithMatching(t *testing.T) {
	topics := topicsUpTo(5)
	rapid.Check(t, func(t *rapid.T) {
		a, b := filterOf(t, "a"), filterOf(t, "b")
		covered, overlap := true, false
		for _, topic := range topics {
			inA, inB := mqtt.MatchTopic(a, topic), mqtt.MatchTopic(b, topic)
			covered = covered && (inA || !inB)
			overlap = overlap || inA && inB
		}
		if got := covers(a, b); got != covered {
			t.Fatalf("covers(%q, %q) is %v", a, b, got)
		}
		if got := overlaps(a, b); got != overlap {
			t.Fatalf("overlaps(%q, %q) is %v", a, b, got)
		}
	})
}

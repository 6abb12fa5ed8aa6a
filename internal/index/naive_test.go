package index

import (
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// pair is what one Add adds.
type pair struct {
	filter string
	value  int
}

// naive is the index as the standard describes it, in as few words as possible.
type naive map[pair]bool

func (m naive) match(topic string) []int {
	found := []int{}
	for p := range m {
		if naiveMatch(strings.Split(p.filter, "/"), strings.Split(topic, "/")) &&
			!(strings.HasPrefix(topic, "$") && strings.ContainsAny(p.filter[:1], "+#")) {
			found = append(found, p.value)
		}
	}
	slices.Sort(found)
	return found
}

func (m naive) filters() int {
	distinct := map[string]bool{}
	for p := range m {
		distinct[p.filter] = true
	}
	return len(distinct)
}

func naiveMatch(filter, topic []string) bool {
	switch {
	case len(filter) == 0:
		return len(topic) == 0
	case filter[0] == "#":
		return true
	case len(topic) == 0:
		return false
	}
	return (filter[0] == "+" || filter[0] == topic[0]) && naiveMatch(filter[1:], topic[1:])
}

// levels are few and look alike, so that filters share, split and join their levels often.
var levels = rapid.SampledFrom([]string{"a", "b", "ab", "", "$a"})

func drawTopic(t *rapid.T) string {
	for {
		topic := strings.Join(rapid.SliceOfN(levels, 1, 6).Draw(t, "topic"), "/")
		if topic != "" {
			return topic
		}
	}
}

func drawFilter(t *rapid.T) string {
	for {
		parts := rapid.SliceOfN(rapid.OneOf(levels, rapid.Just("+")), 0, 6).Draw(t, "filter")
		if len(parts) == 0 || rapid.Bool().Draw(t, "rest") {
			parts = append(parts, "#")
		}
		if filter := strings.Join(parts, "/"); filter != "" {
			return filter
		}
	}
}

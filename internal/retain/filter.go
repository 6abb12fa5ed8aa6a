package retain

import "strings"

// filter is a topic filter with a wildcard, taken apart.
type filter struct {
	levels []string // without a "#" at the end
	// lowest[i] is the least topic that levels[i:] match: "+" matches the empty level, and "#" nothing at all.
	lowest   []string
	plus     []bool // plus[i]: levels[:i] have a "+"
	hash     bool   // it ends with "#"
	wildHead bool   // it begins with a wildcard, which topics beginning with "$" do not match
}

func parse(text string) filter {
	levels := strings.Split(text, "/")
	f := filter{hash: levels[len(levels)-1] == "#", wildHead: levels[0] == "+" || levels[0] == "#"}
	if f.hash {
		levels = levels[:len(levels)-1]
	}
	f.levels = levels
	f.lowest = make([]string, len(levels))
	f.plus = make([]bool, len(levels)+1)
	for i := len(levels) - 1; i >= 0; i-- {
		if levels[i] != "+" {
			f.lowest[i] = levels[i]
		}
		if i+1 < len(levels) {
			f.lowest[i] += "/" + f.lowest[i+1]
		}
	}
	for i, level := range levels {
		f.plus[i+1] = f.plus[i] || level == "+"
	}
	return f
}

// first is the least topic that can match.
func (f *filter) first() string {
	if len(f.lowest) == 0 {
		return ""
	}
	return f.lowest[0]
}

// match reports whether a topic matches. If it does not, next is the least topic after it that can, or one before that;
// "" says that none can.
func (f *filter) match(topic string) (ok bool, next string) {
	if f.wildHead && len(topic) > 0 && topic[0] == '$' {
		return false, "%" // the character after "$"
	}
	start := 0 // of the i-th level
	for i, want := range f.levels {
		end, last := len(topic), true
		if slash := strings.IndexByte(topic[start:], '/'); slash >= 0 {
			end, last = start+slash, false
		}
		level := topic[start:end]
		switch {
		case want == "+" || level == want:
		case level < want:
			return false, topic[:start] + f.lowest[i]
		default:
			return false, f.behind(topic, start, i)
		}
		if i == len(f.levels)-1 {
			if last || f.hash {
				return true, ""
			}
			return false, f.behind(topic, end+1, i+1)
		}
		if last { // what is below this topic comes next
			return false, topic + "/" + f.lowest[i+1]
		}
		start = end + 1
	}
	return true, "" // "#"
}

// behind is the topic right behind everything below the first n levels of a topic, which end before start: the rest of
// that subtree cannot match. Without a "+" in these levels, nothing behind it can either.
func (f *filter) behind(topic string, start, n int) string {
	if !f.plus[n] {
		return ""
	}
	return topic[:start-1] + "\x01"
}

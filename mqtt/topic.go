package mqtt

import (
	"strings"
	"unicode/utf8"
)

// TopicName is a valid topic name. Only ParseTopicName makes one; the zero TopicName is none.
type TopicName struct {
	name string
}

// ParseTopicName returns s as a topic name. It must be UTF-8 of 1 to 65,535 bytes without U+0000, + and #. The error is a
// *TopicError with the code TopicNameInvalid.
func ParseTopicName(s string) (TopicName, error) {
	if statement, reason := checkTopicString(s); reason != "" {
		return TopicName{}, &TopicError{TopicNameInvalid, s, statement, reason}
	}
	if strings.ContainsAny(s, "+#") {
		return TopicName{}, &TopicError{TopicNameInvalid, s, "MQTT-4.7.0-1", "holds a wildcard"}
	}
	return TopicName{s}, nil
}

// String returns the topic name.
func (t TopicName) String() string { return t.name }

// checkTopicString checks what topic names and topic filters have in common.
func checkTopicString(s string) (statement, reason string) {
	switch {
	case s == "":
		return "MQTT-4.7.3-1", "is empty"
	case len(s) > MaxStringBytes:
		return "MQTT-4.7.3-3", "is longer than 65,535 bytes"
	case strings.IndexByte(s, 0) >= 0:
		return "MQTT-4.7.3-2", "holds U+0000"
	case !utf8.ValidString(s):
		return "MQTT-1.5.4-1", "is not well-formed UTF-8"
	}
	return "", ""
}

// TopicFilter is a valid topic filter, of a shared subscription or not. Only ParseTopicFilter makes one; the zero
// TopicFilter is none, and matches nothing.
type TopicFilter struct {
	whole    string
	from     int // where the filter proper begins in whole, after $share/group/
	levels   int
	wildcard bool
}

// sharePrefix begins the topic filter of a shared subscription.
const sharePrefix = "$share/"

func isShared(filter string) bool { return strings.HasPrefix(filter, sharePrefix) }

// ParseTopicFilter returns s as a topic filter. It understands $share/group/filter. The error is a *TopicError with the
// code TopicFilterInvalid.
func ParseTopicFilter(s string) (TopicFilter, error) {
	f := TopicFilter{whole: s}
	statement, reason := checkTopicString(s)
	if reason == "" {
		f.from, statement, reason = cutShare(s)
	}
	if reason == "" {
		f.levels, f.wildcard, statement, reason = checkLevels(f.Filter())
	}
	if reason != "" {
		return TopicFilter{}, &TopicError{TopicFilterInvalid, s, statement, reason}
	}
	return f, nil
}

// cutShare returns where the filter proper begins in s.
func cutShare(s string) (from int, statement, reason string) {
	if !isShared(s) {
		return 0, "", ""
	}
	group, filter, found := strings.Cut(s[len(sharePrefix):], "/")
	switch {
	case group == "":
		return 0, "MQTT-4.8.2-1", "has no share name"
	case strings.ContainsAny(group, "+#"):
		return 0, "MQTT-4.8.2-2", "has a wildcard in its share name"
	case !found || filter == "":
		return 0, "MQTT-4.8.2-1", "has no filter after its share name"
	}
	return len(s) - len(filter), "", ""
}

// checkLevels looks at each level of a filter.
func checkLevels(filter string) (levels int, wildcard bool, statement, reason string) {
	for more := true; more; {
		var level string
		level, filter, more = strings.Cut(filter, "/")
		levels++
		switch {
		case level == "+":
			wildcard = true
		case level == "#" && !more:
			wildcard = true
		case level == "#":
			return 0, false, "MQTT-4.7.1-1", "has a # that is not its last level"
		case strings.Contains(level, "#"):
			return 0, false, "MQTT-4.7.1-1", "has a # that is not a level of its own"
		case strings.Contains(level, "+"):
			return 0, false, "MQTT-4.7.1-2", "has a + that is not a level of its own"
		}
	}
	return levels, wildcard, "", ""
}

// String returns the topic filter as it was parsed, with $share/group/ if it has that.
func (f TopicFilter) String() string { return f.whole }

// Filter returns the topic filter without $share/group/.
func (f TopicFilter) Filter() string { return f.whole[f.from:] }

// Group returns the share name; ok is false if f is not that of a shared subscription.
func (f TopicFilter) Group() (name string, ok bool) {
	if f.from == 0 {
		return "", false
	}
	return f.whole[len(sharePrefix) : f.from-1], true
}

// HasWildcard reports whether a level is + or #.
func (f TopicFilter) HasWildcard() bool { return f.wildcard }

// Levels returns the number of levels, # included and $share/group not.
func (f TopicFilter) Levels() int { return f.levels }

// Matches reports whether topic, a topic name, matches the filter.
func (f TopicFilter) Matches(topic string) bool { return MatchTopic(f.Filter(), topic) }

// MatchTopic reports whether topic, a topic name, matches filter, a topic filter without $share/group/. A filter that
// begins with a wildcard does not match a topic that begins with $.
func MatchTopic(filter, topic string) bool {
	if filter == "" || topic == "" {
		return false
	}
	if topic[0] == '$' && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	for {
		want, filterRest, moreFilter := strings.Cut(filter, "/")
		if want == "#" {
			return true
		}
		have, topicRest, moreTopic := strings.Cut(topic, "/")
		if want != "+" && want != have {
			return false
		}
		switch {
		case !moreTopic:
			return !moreFilter || filterRest == "#" // a/# matches a
		case !moreFilter:
			return false
		}
		filter, topic = filterRest, topicRest
	}
}

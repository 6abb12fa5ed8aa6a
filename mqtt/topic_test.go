package mqtt_test

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/mqtt"
)

// readTable returns the fields of each line of a file in testdata.
func readTable(t *testing.T, name string) [][]string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line != "" && !strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "# |") {
			rows = append(rows, strings.Split(line, " | "))
		}
	}
	return rows
}

func TestParseTopicFilter(t *testing.T) {
	rows := readTable(t, "testdata/topics/filters.txt")
	for _, row := range rows {
		f, err := mqtt.ParseTopicFilter(row[0])
		if row[1] != "ok" {
			checkTopicError(t, row[0], err, mqtt.TopicFilterInvalid, row[1])
			if f != (mqtt.TopicFilter{}) {
				t.Errorf("%q: a filter comes with the error", row[0])
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", row[0], err)
			continue
		}
		group, shared := f.Group()
		filter := row[0]
		if row[2] == "-" {
			row[2] = ""
		} else {
			filter = strings.TrimPrefix(filter, "$share/"+row[2]+"/")
		}
		if group != row[2] || shared != (group != "") || f.String() != row[0] || f.Filter() != filter {
			t.Errorf("%q: group %q (%v), string %q, filter %q", row[0], group, shared, f, f.Filter())
		}
		if strconv.Itoa(f.Levels()) != row[3] || f.HasWildcard() != (row[4] == "wildcard") {
			t.Errorf("%q: %d levels, wildcard %v", row[0], f.Levels(), f.HasWildcard())
		}
	}
}

func TestMatches(t *testing.T) {
	for _, row := range readTable(t, "testdata/topics/matches.txt") {
		f, err := mqtt.ParseTopicFilter(row[0])
		if err != nil {
			t.Errorf("%q: %v", row[0], err)
			continue
		}
		if got := f.Matches(row[1]); got != (row[2] == "yes") {
			t.Errorf("%q matches %q: %v, want %s [%s]", row[0], row[1], got, row[2], row[3])
		}
	}
}

func TestNothingMatchesWithoutFilterOrTopic(t *testing.T) {
	if (mqtt.TopicFilter{}).Matches("a") || mqtt.MatchTopic("#", "") || mqtt.MatchTopic("", "") {
		t.Error("the empty string matches")
	}
}

func TestStringsThatAreNoTopics(t *testing.T) {
	for _, row := range []struct{ topic, statement string }{
		{"", "MQTT-4.7.3-1"},
		{strings.Repeat("a", 65_536), "MQTT-4.7.3-3"},
		{"a/\x00", "MQTT-4.7.3-2"},
		{"\x00a", "MQTT-4.7.3-2"},
		{"a/\xed\xa0\x80", "MQTT-1.5.4-1"},
		{"\xff", "MQTT-1.5.4-1"},
	} {
		_, err := mqtt.ParseTopicName(row.topic)
		checkTopicError(t, row.topic, err, mqtt.TopicNameInvalid, row.statement)
		_, err = mqtt.ParseTopicFilter(row.topic)
		checkTopicError(t, row.topic, err, mqtt.TopicFilterInvalid, row.statement)
		if mqtt.ValidTopicName([]byte(row.topic)) {
			t.Errorf("ValidTopicName(%.20q) is true", row.topic)
		}
	}
	for _, topic := range []string{"+", "#", "a/+", "a#", "+/a/b/c/d/e/f/g"} {
		_, err := mqtt.ParseTopicName(topic)
		checkTopicError(t, topic, err, mqtt.TopicNameInvalid, "MQTT-4.7.0-1")
		if mqtt.ValidTopicName([]byte(topic)) {
			t.Errorf("ValidTopicName(%q) is true", topic)
		}
	}
}

func TestParseTopicName(t *testing.T) {
	for _, topic := range []string{"a", "/", "a/b", "$SYS/x", "$share/g/x", "\ufeffa", "\x01\uffff", strings.Repeat("x", 65_535)} {
		name, err := mqtt.ParseTopicName(topic)
		if err != nil || name.String() != topic || !mqtt.ValidTopicName([]byte(topic)) {
			t.Errorf("%.20q: %v, %.20q", topic, err, name)
		}
	}
}

func checkTopicError(t *testing.T, topic string, err error, code mqtt.ReasonCode, statement string) {
	t.Helper()
	var e *mqtt.TopicError
	if !errors.As(err, &e) || !errors.Is(err, code) || e.Statement != statement || e.Topic != topic {
		t.Errorf("%.20q: got %v, want %s [%s]", topic, err, code, statement)
	}
}

// matchNaively says what the standard says, without a thought of speed.
func matchNaively(filter, topic string) bool {
	f, n := strings.Split(filter, "/"), strings.Split(topic, "/")
	if strings.HasPrefix(topic, "$") && (f[0] == "+" || f[0] == "#") {
		return false
	}
	for i, level := range f {
		switch {
		case level == "#":
			return true // for the parent too, which has no level i
		case i >= len(n), level != "+" && level != n[i]:
			return false
		}
	}
	return len(f) == len(n)
}

func FuzzMatchTopic(f *testing.F) {
	f.Add("a/+/#", "a/b")
	f.Add("+/b", "$SYS/b")
	f.Add("$share/g/a/#", "a")
	f.Add("a/b//#", "a/b")
	f.Fuzz(func(t *testing.T, filter, topic string) {
		tf, err := mqtt.ParseTopicFilter(filter)
		if (err == nil) != validNaively(filter) {
			t.Fatalf("ParseTopicFilter(%q): %v", filter, err)
		}
		name, nameErr := mqtt.ParseTopicName(topic)
		if (nameErr == nil) != mqtt.ValidTopicName([]byte(topic)) {
			t.Fatalf("ParseTopicName(%q): %v, but ValidTopicName says otherwise", topic, nameErr)
		}
		if err != nil || nameErr != nil {
			return
		}
		got := tf.Matches(name.String())
		if want := matchNaively(tf.Filter(), topic); got != want {
			t.Errorf("%q matches %q: %v", filter, topic, got)
		}
	})
}

// validNaively says whether s is a topic filter, level by level.
func validNaively(s string) bool {
	if s == "" || len(s) > 65_535 || strings.Contains(s, "\x00") || strings.ToValidUTF8(s, "") != s {
		return false
	}
	levels := strings.Split(s, "/")
	if levels[0] == "$share" && len(levels) > 1 {
		if len(levels) < 3 || levels[1] == "" || strings.ContainsAny(levels[1], "+#") || strings.Join(levels[2:], "/") == "" {
			return false
		}
		levels = levels[2:]
	}
	for i, level := range levels {
		if level == "#" && i == len(levels)-1 || level == "+" {
			continue
		}
		if strings.ContainsAny(level, "+#") {
			return false
		}
	}
	return true
}

func BenchmarkMatchTopic(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if !mqtt.MatchTopic("devices/+/floor-2/#", "devices/house-17/floor-2/temperature") {
			b.Fatal("no match")
		}
	}
}

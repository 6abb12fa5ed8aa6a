package summary

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/barid-mqtt/barid/mqtt"
)

// A summary never denies what is there, whatever topics and filters look like.
func TestNothingThatMatchesIsDenied(t *testing.T) {
	level := rapid.SampledFrom([]string{"", "a", "b", "dev", "7", "$SYS", "äö", "a long level with spaces", "+x"})
	topic := rapid.Custom(func(t *rapid.T) string {
		levels := rapid.SliceOfN(level, 1, 12).Draw(t, "levels")
		return strings.ReplaceAll(strings.Join(levels, "/"), "+", "p")
	})
	filter := rapid.Custom(func(t *rapid.T) string {
		levels := strings.Split(topic.Draw(t, "of"), "/")
		for i := range levels {
			if rapid.IntRange(0, 2).Draw(t, "wild") == 0 {
				levels[i] = "+"
			}
		}
		if cut := rapid.IntRange(0, len(levels)).Draw(t, "cut"); cut < len(levels) {
			levels = append(levels[:cut], "#")
		}
		return strings.Join(levels, "/")
	})
	matched := 0
	rapid.Check(t, func(t *rapid.T) {
		topics := rapid.SliceOfN(topic, 1, 30).Draw(t, "topics")
		filters := rapid.SliceOfN(filter, 1, 5).Draw(t, "filters")
		var b Builder
		for _, topic := range topics {
			b.Add(topic)
		}
		s, q := b.AppendTo(nil), Ask(filters)
		if !IsSummary(s) {
			t.Fatalf("a summary of %d bytes", len(s))
		}
		for _, topic := range topics {
			for _, f := range filters {
				if mqtt.MatchTopic(f, topic) {
					matched++
					if !q.MayHold(s) || !Ask([]string{f}).MayHold(s) {
						t.Fatalf("%q is denied, and %q is there", f, topic)
					}
				}
			}
		}
	})
	if matched == 0 {
		t.Error("nothing matched in any run")
	}
}

// Summaries of every size deny most of what is not there, and a Builder begins anew after each.
func TestMostOfWhatIsNotThereIsDenied(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	var b Builder
	for _, topics := range []int{1, 10, 100, 1000, 4000} {
		for range topics {
			b.Add(fmt.Sprintf("site/%d/temperature", random.IntN(1<<30)))
		}
		s := b.AppendTo(nil)
		for name, ask := range map[string]func() string{
			"exact":     func() string { return fmt.Sprintf("site/x%d/temperature", random.Uint32()) },
			"prefix":    func() string { return fmt.Sprintf("site/x%d/#", random.Uint32()) },
			"middle":    func() string { return fmt.Sprintf("+/x%d/temperature", random.Uint32()) },
			"last":      func() string { return fmt.Sprintf("site/+/x%d", random.Uint32()) },
			"elsewhere": func() string { return fmt.Sprintf("x%d/#", random.Uint32()) },
		} {
			wrong := 0
			for range 2000 {
				if Ask([]string{ask()}).MayHold(s) {
					wrong++
				}
			}
			if wrong > 2000/20 {
				t.Errorf("%d topics in %d bytes: %s: %d of 2000 are not denied", topics, len(s), name, wrong)
			}
		}
		t.Logf("%d topics: %d bytes", topics, len(s))
	}
}

func TestThereIsNothingToAskForWhatMatchesAnything(t *testing.T) {
	for _, filters := range [][]string{{"#"}, {"+"}, {"+/#"}, {"a/b", "+/+"}, make([]string, FiltersMax+1)} {
		if q := Ask(filters); q != nil || !q.MayHold(make([]byte, minBits/8)) {
			t.Errorf("%q: %+v", filters[0], q)
		}
	}
	if Ask(nil).MayHold(make([]byte, minBits/8)) {
		t.Error("who has no filters is told that there is something")
	}
}

// The hash is on disk: it must not change without the version.
func TestTheFormatStays(t *testing.T) {
	var b Builder
	b.Add("dev/7/temp")
	s := b.AppendTo(nil)
	var set []int
	for i := range len(s) * 8 {
		if s[i/8]&(1<<(i%8)) != 0 {
			set = append(set, i)
		}
	}
	if got, want := fmt.Sprint(len(s), set), "64 [55 63 77 101 164 168 246 300 338 349 353 384 407 423 458 460 462 498 501]"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}

func FuzzMayHold(f *testing.F) {
	f.Add("dev/7/temp", "dev/+/temp")
	f.Add("a//b", "+//#")
	f.Fuzz(func(t *testing.T, topic, filter string) {
		if _, wrong := mqtt.ParseTopicFilter(filter); mqtt.ValidTopicName([]byte(topic)) && wrong == nil && mqtt.MatchTopic(filter, topic) {
			var b Builder
			b.Add(topic)
			if s := b.AppendTo(nil); !Ask([]string{filter}).MayHold(s) {
				t.Errorf("%q is denied, and %q is there", filter, topic)
			}
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	topics := make([]string, 1000)
	for i := range topics {
		topics[i] = fmt.Sprintf("site/%d/temperature", i)
	}
	var builder Builder
	var buf []byte
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		builder.Add(topics[i%len(topics)])
		if i%1000 == 999 {
			buf = builder.AppendTo(buf[:0])
		}
	}
}

func BenchmarkMayHold(b *testing.B) {
	var builder Builder
	for i := range 1000 {
		builder.Add(fmt.Sprintf("site/%d/temperature", i))
	}
	s, q := builder.AppendTo(nil), Ask([]string{"site/none/#", "other/+/7"})
	for b.Loop() {
		if q.MayHold(s) {
			b.Fatal("it may hold")
		}
	}
}

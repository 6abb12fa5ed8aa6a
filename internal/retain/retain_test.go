package retain

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/barid-mqtt/barid/internal/message"
)

var now = time.Unix(1_700_000_000, 0)

func retained(topic string) *message.Message {
	return &message.Message{Topic: topic, Payload: []byte("p"), Retain: true}
}

func fill(t testing.TB, s *Store, topics ...string) {
	t.Helper()
	for i, topic := range topics {
		if err := s.Set(retained(topic), message.Position{Block: uint64(i) + 1}); err != nil {
			t.Fatal(err)
		}
	}
}

func topicsOf(entries []Entry) []string {
	var topics []string
	for _, e := range entries {
		topics = append(topics, e.Message.Topic)
	}
	return topics
}

// scanAll pages through a filter's matches.
func scanAll(t interface{ Fatalf(string, ...any) }, s *Store, filter string, now time.Time, page int) []string {
	var all []string
	for after := ""; ; {
		entries, more := s.Scan(filter, after, now, page, nil)
		all = append(all, topicsOf(entries)...)
		if !more {
			return all
		}
		if len(entries) != page {
			t.Fatalf("Scan(%q, %q): %d entries of %d, and more", filter, after, len(entries), page)
		}
		after = entries[page-1].Message.Topic
	}
}

func TestScan(t *testing.T) {
	s := New(Options{})
	fill(t, s, "a", "a/b", "a/b/c", "a!", "a!/b", "a/", "/", "/b", "b/b", "b/c/d", "$SYS/x", "$SYS", "b", "a//b", "ab/b")
	for filter, want := range map[string][]string{
		"#":          {"/", "/b", "a", "a/", "a//b", "a/b", "a/b/c", "a!", "a!/b", "ab/b", "b", "b/b", "b/c/d"},
		"+":          {"a", "a!", "b"},
		"+/+":        {"/", "/b", "a/", "a/b", "a!/b", "ab/b", "b/b"},
		"+/b":        {"/b", "a/b", "a!/b", "ab/b", "b/b"},
		"+/b/#":      {"/b", "a/b", "a/b/c", "a!/b", "ab/b", "b/b"},
		"+/+/#":      {"/", "/b", "a/", "a//b", "a/b", "a/b/c", "a!/b", "ab/b", "b/b", "b/c/d"},
		"+/+/+":      {"a//b", "a/b/c", "b/c/d"},
		"/+":         {"/", "/b"},
		"/#":         {"/", "/b"},
		"a/#":        {"a", "a/", "a//b", "a/b", "a/b/c"},
		"a/+":        {"a/", "a/b"},
		"a/+/+":      {"a//b", "a/b/c"},
		"a/+/b":      {"a//b"},
		"a/b":        {"a/b"},
		"a/c":        nil,
		"c/#":        nil,
		"+/c":        nil,
		"$SYS/#":     {"$SYS", "$SYS/x"},
		"$SYS/+":     {"$SYS/x"},
		"$SYS":       {"$SYS"},
		"b/c/d/#":    {"b/c/d"},
		"b/c/d/e/#":  nil,
		"+/+/+/+/#":  nil,
		"a/b/c/+":    nil,
		"+/c/d":      {"b/c/d"},
		"zzz/+/zzz":  nil,
		"a/b/c/d/+":  nil,
		"\U0010ffff": nil,
	} {
		for _, page := range []int{1, 2, 100} {
			if got := scanAll(t, s, filter, now, page); !slices.Equal(got, want) {
				t.Errorf("Scan(%q) in pages of %d: %q, not %q", filter, page, got, want)
			}
		}
	}
}

func TestScanAppendsAndReturnsPositions(t *testing.T) {
	s := New(Options{})
	fill(t, s, "a", "b")
	dst := make([]Entry, 1, 8)
	entries, more := s.Scan("#", "", now, 5, dst)
	if len(entries) != 3 || more || &entries[0] != &dst[0] || entries[2].Position != (message.Position{Block: 2}) {
		t.Errorf("%v, %v", entries, more)
	}
	if entries, more := s.Scan("#", "", now, 0, nil); len(entries) != 0 || more {
		t.Errorf("none were asked for: %v, %v", entries, more)
	}
	if entries, _ := s.Scan("b", "b", now, 1, nil); len(entries) != 0 {
		t.Errorf("after itself: %v", entries)
	}
	if entries, _ := s.Scan("b", "a", now, 1, nil); len(entries) != 1 {
		t.Errorf("after what is before it: %v", entries)
	}
}

func TestSetReplacesAndRemoves(t *testing.T) {
	s := New(Options{})
	fill(t, s, "a", "a", "b")
	if e, ok := s.Get("a"); !ok || e.Position != (message.Position{Block: 2}) || s.Len() != 2 {
		t.Errorf("after a second message: %v, %v, %d messages", e, ok, s.Len())
	}
	for _, topic := range []string{"a", "none"} {
		if err := s.Set(&message.Message{Topic: topic}, message.Position{Block: 9}); err != nil {
			t.Error(err)
		}
	}
	if e, ok := s.Get("a"); ok || e != (Entry{}) || s.Len() != 1 {
		t.Errorf("after an empty payload: %v, %v, %d messages", e, ok, s.Len())
	}
	if s.Set(&message.Message{Topic: "b"}, message.Position{}); s.Bytes() != 0 {
		t.Errorf("an empty store has %d bytes", s.Bytes())
	}
}

func TestLimits(t *testing.T) {
	count := New(Options{MaxMessages: 2})
	fill(t, count, "a", "b", "a")
	if err := count.Set(retained("c"), message.Position{}); !errors.Is(err, ErrLimit) || count.Len() != 2 {
		t.Errorf("a third message of two: %v, %d", err, count.Len())
	}
	if err := count.Set(&message.Message{Topic: "a"}, message.Position{}); err != nil {
		t.Errorf("a removal at the limit: %v", err)
	}
	fill(t, count, "c")

	large := func(topic string, n int) *message.Message {
		return &message.Message{Topic: topic, Payload: make([]byte, n)}
	}
	bytes := New(Options{MaxBytes: size(large("a", 1000))})
	for i, c := range []struct {
		m    *message.Message
		want error
	}{{large("a", 1001), ErrLimit}, {large("a", 900), nil}, {large("b", 1), ErrLimit}, {large("a", 1001), ErrLimit}, {large("a", 1000), nil}} {
		if err := bytes.Set(c.m, message.Position{}); !errors.Is(err, c.want) {
			t.Errorf("%d: %v, not %v", i, err, c.want)
		}
	}
	if e, _ := bytes.Get("a"); len(e.Message.Payload) != 1000 || bytes.Bytes() != bytes.options.MaxBytes {
		t.Errorf("%d bytes of payload, %d in all", len(e.Message.Payload), bytes.Bytes())
	}
}

func TestExpiredMessagesAreSkippedAndRemoved(t *testing.T) {
	s := New(Options{})
	for i := range 10 {
		m := retained(fmt.Sprint("t/", i))
		if i%2 == 0 {
			m.ExpiresAt = now.Add(time.Duration(i) * time.Second)
		}
		if err := s.Set(m, message.Position{}); err != nil {
			t.Fatal(err)
		}
	}
	entries, more := s.Scan("t/#", "", now.Add(4*time.Second), 7, nil) // 0, 2 and 4 have expired
	if got := topicsOf(entries); !slices.Equal(got, []string{"t/1", "t/3", "t/5", "t/6", "t/7", "t/8", "t/9"}) || more {
		t.Errorf("%q, %v", got, more)
	}
	if s.Len() != 7 {
		t.Errorf("%d messages are left after a scan has met the expired ones", s.Len())
	}
	if got, _ := s.Scan("t/6", "", now.Add(6*time.Second), 1, nil); len(got) != 0 || s.Len() != 6 {
		t.Errorf("an exact filter found %d, %d are left", len(got), s.Len())
	}
	if entries, more := s.Scan("+/#", "t/7", now.Add(8*time.Second), 1, nil); len(entries) != 1 || more || s.Len() != 5 {
		t.Errorf("%v, %v, %d are left", entries, more, s.Len())
	}
}

func TestAnExpiredMessageThatWasReplacedSinceStays(t *testing.T) {
	s := New(Options{})
	old, replacing := retained("t"), retained("t")
	for _, m := range []*message.Message{old, replacing} {
		if err := s.Set(m, message.Position{}); err != nil {
			t.Fatal(err)
		}
	}
	if s.removeExpired([]*message.Message{old}); s.Len() != 1 {
		t.Error("a scan that met the old message removed the new one")
	}
	if s.removeExpired([]*message.Message{replacing}); s.Len() != 0 {
		t.Error("a message that had expired was not removed")
	}
}

func TestSweepGoesAround(t *testing.T) {
	s := New(Options{})
	const n = 100
	for i := range n {
		m := retained(fmt.Sprint("t/", i))
		if i%3 == 0 {
			m.ExpiresAt = now
		}
		if err := s.Set(m, message.Position{}); err != nil {
			t.Fatal(err)
		}
	}
	if removed := s.Sweep(now.Add(-1), n); removed != 0 {
		t.Errorf("%d removed before they expired", removed)
	}
	removed := 0
	for range (n + 6) / 7 {
		got := s.Sweep(now, 7)
		if got > 7 {
			t.Fatalf("one call removed %d", got)
		}
		removed += got
	}
	if removed != 34 || s.Len() != n-34 {
		t.Errorf("%d removed, %d left", removed, s.Len())
	}
	if allocs := testing.AllocsPerRun(10, func() { s.Sweep(now, n) }); allocs != 0 {
		t.Errorf("a sweep of nothing that expires: %v allocations", allocs)
	}
}

// naiveMatch is the definition of matching, level by level.
func naiveMatch(filter, topic string) bool {
	f, levels := strings.Split(filter, "/"), strings.Split(topic, "/")
	if strings.HasPrefix(topic, "$") && (f[0] == "+" || f[0] == "#") {
		return false
	}
	for i, want := range f {
		if want == "#" {
			return true
		}
		if i >= len(levels) || want != "+" && want != levels[i] {
			return false
		}
	}
	return len(f) == len(levels)
}

func naiveMatchParent(filter, topic string) bool {
	return naiveMatch(filter, topic) || strings.HasSuffix(filter, "/#") && naiveMatch(strings.TrimSuffix(filter, "/#"), topic)
}

// compareLevels is the order of the topic tree by its definition.
func compareLevels(a, b string) int {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}

var (
	levelGen = rapid.SampledFrom([]string{"", "a", "b", "ab", "a!", "a-b", "$x", "\x01", "ü", "0"})
	topicGen = rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(levelGen, 1, 5).Draw(t, "levels"), "/")
	})
	filterGen = rapid.Custom(func(t *rapid.T) string {
		levels := rapid.SliceOfN(rapid.OneOf(levelGen, rapid.Just("+")), 0, 5).Draw(t, "levels")
		if len(levels) == 0 || rapid.Bool().Draw(t, "hash") {
			levels = append(levels, "#")
		}
		return strings.Join(levels, "/")
	})
)

func TestTheOrderIsByLevels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := topicGen.Draw(t, "a"), topicGen.Draw(t, "b")
		if less(a, b) != (compareLevels(a, b) < 0) {
			t.Fatalf("less(%q, %q) is %v", a, b, less(a, b))
		}
	})
}

// TestScanIsLikeANaiveScan compares pages of any size, after any topic, with a walk over all messages.
func TestScanIsLikeANaiveScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(Options{})
		expiry := make(map[string]time.Time)
		for _, topic := range rapid.SliceOfN(topicGen, 0, 80).Draw(t, "topics") {
			if topic == "" {
				continue
			}
			m := retained(topic)
			if rapid.IntRange(0, 4).Draw(t, "expires") == 0 {
				m.ExpiresAt = now.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "in")) * time.Second)
			}
			expiry[topic] = m.ExpiresAt
			if err := s.Set(m, message.Position{}); err != nil {
				t.Fatal(err)
			}
		}
		at := now.Add(time.Second)
		for range 20 {
			filter := filterGen.Draw(t, "filter")
			after := rapid.OneOf(rapid.Just(""), topicGen).Draw(t, "after")
			page := rapid.IntRange(1, 10).Draw(t, "max")
			var want []string
			for topic, expires := range expiry {
				if naiveMatchParent(filter, topic) && (after == "" || compareLevels(topic, after) > 0) && (expires.IsZero() || at.Before(expires)) {
					want = append(want, topic)
				}
			}
			slices.SortFunc(want, compareLevels)
			wantMore := len(want) > page
			want = want[:min(page, len(want))]
			entries, more := s.Scan(filter, after, at, page, nil)
			if got := topicsOf(entries); !slices.Equal(got, want) || more != wantMore {
				t.Fatalf("Scan(%q, %q, %d) = %q, %v, not %q, %v", filter, after, page, got, more, want, wantMore)
			}
		}
		s.check(t)
	})
}

// check compares the sums with what they are the sums of.
func (s *Store) check(t interface{ Fatalf(string, ...any) }) {
	var bytes int64
	expiring := 0
	s.tree.Scan(func(it item) bool {
		bytes += size(it.message)
		if !it.message.ExpiresAt.IsZero() {
			expiring++
		}
		return true
	})
	if bytes != s.bytes || expiring != s.expiring {
		t.Fatalf("%d bytes and %d expiring, counted %d and %d", s.bytes, s.expiring, bytes, expiring)
	}
}

// TestScanSkipsSubtreesBySeeking runs one stretch of scans whose matches are few among many topics. A stretch is a bound
// of topics and seeks, so a scan that went through the topics one by one would not be through.
func TestScanSkipsSubtreesBySeeking(t *testing.T) {
	s := New(Options{})
	for site := range 10 {
		for i := range 2 * stretch {
			fill(t, s, fmt.Sprintf("%d/data/%d", site, i))
		}
		fill(t, s, fmt.Sprintf("%d/status", site), fmt.Sprintf("$SYS/%d", site))
	}
	for filter, want := range map[string]int{"+/status": 10, "+/status/#": 10, "5/data/77": 1, "+/data/77": 10, "5/data/77/#": 1, "+": 0, "9/+": 1} {
		sc := scan{filter: parse(filter), left: 100, now: now}
		if _, more := sc.run(s.tree, sc.filter.first()); more || len(sc.entries) != want {
			t.Errorf("%q: %d matches, not %d, after %d steps; unfinished: %v", filter, len(sc.entries), want, stretch, more)
		}
	}
}

func TestLongScansSeeEverything(t *testing.T) {
	s := New(Options{})
	n := 3*stretch + 5
	for i := range n {
		fill(t, s, fmt.Sprint("a/", i, "/b"), fmt.Sprint("a/", i, "/c/d/e"))
	}
	if got := scanAll(t, s, "+/+/b", now, 1000); len(got) != n {
		t.Errorf("%d of %d", len(got), n)
	}
	if entries, more := s.Scan("#", "", now, 2*n, nil); len(entries) != 2*n || more {
		t.Errorf("%d of %d, more: %v", len(entries), 2*n, more)
	}
}

// TestConcurrentUse has messages that stay, which every scan must see, among others that come and go.
func TestConcurrentUse(t *testing.T) {
	s := New(Options{})
	const n = 3000
	for i := range n {
		fill(t, s, fmt.Sprintf("t/%05d/stays", i))
	}
	ended := make(chan struct{})
	var group sync.WaitGroup
	for w := range 2 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 0))
			for {
				select {
				case <-ended:
					return
				default:
				}
				m := retained(fmt.Sprintf("t/%05d/%d", random.IntN(n), w))
				switch random.IntN(3) {
				case 0:
					m.Payload = nil
				case 1:
					m.ExpiresAt = now
				}
				if err := s.Set(m, message.Position{}); err != nil {
					t.Error(err)
				}
				s.Get(m.Topic)
				s.Sweep(now, 10)
			}
		})
	}
	for range 10 {
		stay := 0
		for _, topic := range scanAll(t, s, "t/+/#", now, 100) {
			if strings.HasSuffix(topic, "/stays") {
				stay++
			}
		}
		if stay != n {
			t.Errorf("%d messages of the %d that were there all along", stay, n)
		}
	}
	close(ended)
	group.Wait()
	s.check(t)
}

// million returns a store of 1,000 sites with 1,000 topics each.
func million(tb testing.TB) *Store {
	s := New(Options{})
	payload := []byte("21.5")
	for site := range 1000 {
		for i := range 999 {
			m := &message.Message{Topic: fmt.Sprintf("site/%d/room/%d/temperature", site, i), Payload: payload, Retain: true}
			if err := s.Set(m, message.Position{Block: 1}); err != nil {
				tb.Fatal(err)
			}
		}
		fill(tb, s, fmt.Sprintf("site/%d/status", site))
	}
	return s
}

func BenchmarkMillion(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := million(b)
	runtime.GC()
	runtime.ReadMemStats(&after)
	for _, c := range []struct {
		filter string
		want   int
	}{
		{"site/42/#", 1000}, {"site/+/status", 1000}, {"+/+/status", 1000}, {"site/+/room/500/+", 1000},
		{"site/42/status", 1}, {"nothing/+/here", 0}, {"site/42/+", 1},
	} {
		b.Run(strings.ReplaceAll(c.filter, "/", "|"), func(b *testing.B) {
			b.ReportAllocs()
			dst := make([]Entry, 0, 1024)
			for b.Loop() {
				if entries, _ := s.Scan(c.filter, "", now, 10_000, dst); len(entries) != c.want {
					b.Fatalf("%d matches", len(entries))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(max(c.want, 1)), "ns/match")
		})
	}
	b.Run("Set", func(b *testing.B) {
		e, _ := s.Get("site/42/room/7/temperature")
		for b.Loop() {
			if err := s.Set(e.Message, e.Position); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(s.Len()), "B/message")
		b.ReportMetric(float64(s.Bytes())/float64(s.Len()), "counted-B/message")
	})
}

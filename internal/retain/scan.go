package retain

import (
	"strings"
	"time"

	"github.com/tidwall/btree"

	"github.com/barid-mqtt/barid/internal/message"
)

const (
	// stretch is how many topics and seeks a scan does before it lets others have the lock.
	stretch = 256
	// nearby is how many topics a scan steps over before it seeks: a step is much cheaper.
	nearby = 4
	// maxExpired bounds what a scan remembers to remove; Sweep finds the others.
	maxExpired = 256
)

// Scan appends to dst the next max retained messages whose topics match filter, in the order of the topic tree, from
// the first topic after the one named; "" starts at the beginning. more reports whether there are others. The filter
// must be a valid topic filter; topics that begin with "$" do not match a wildcard in its first level [MQTT-4.7.2-1].
// Messages that have expired at now are left out, and removed.
//
// Changes between calls, and during a long one, are seen or not by where they are.
func (s *Store) Scan(filter, after string, now time.Time, max int, dst []Entry) (entries []Entry, more bool) {
	sc := scan{now: now, left: max, entries: dst, after: after}
	if max <= 0 {
		return dst, false
	}
	if !strings.ContainsAny(filter, "+#") {
		s.scanExact(filter, &sc)
		return sc.entries, false
	}
	sc.filter = parse(filter)
	from, ok := sc.filter.first(), true
	if less(from, after) {
		from = after
	}
	for ok {
		s.mu.RLock()
		from, ok = sc.run(s.tree, from)
		s.mu.RUnlock()
	}
	s.removeExpired(sc.expired)
	return sc.entries, sc.more
}

func (s *Store) scanExact(topic string, sc *scan) {
	if sc.after != "" && !less(sc.after, topic) {
		return
	}
	s.mu.RLock()
	it, ok := s.tree.Get(item{topic: topic})
	s.mu.RUnlock()
	if ok {
		sc.take(it)
		s.removeExpired(sc.expired)
	}
}

// scan is the state of one call of Scan.
type scan struct {
	filter  filter
	after   string
	now     time.Time
	left    int // how many entries are still wanted
	entries []Entry
	more    bool
	expired []*message.Message
}

// run goes on from a topic and returns where to go on next; ok is false at the end.
func (sc *scan) run(tree *btree.BTreeG[item], from string) (next string, ok bool) {
	it := tree.Iter()
	defer it.Release()
	for found, work := it.Seek(item{topic: from}), 0; found; work++ {
		here := it.Item()
		if work >= stretch {
			return here.topic, true
		}
		if here.topic == sc.after && here.topic != "" {
			found = it.Next()
			continue
		}
		matches, target := sc.filter.match(here.topic)
		switch {
		case matches:
			if !sc.take(here) {
				return "", false
			}
			found = it.Next()
		case target == "":
			return "", false
		default:
			found = seek(&it, target)
		}
	}
	return "", false
}

// seek moves forward to the first topic that is not before target: by steps if it is near.
func seek(it *btree.IterG[item], target string) bool {
	for range nearby {
		if !it.Next() {
			return false
		}
		if !less(it.Item().topic, target) {
			return true
		}
	}
	return it.Seek(item{topic: target})
}

// take adds a message that matches, and reports whether to look for others.
func (sc *scan) take(it item) bool {
	if it.message.Expired(sc.now) {
		if len(sc.expired) < maxExpired {
			sc.expired = append(sc.expired, it.message)
		}
		return true
	}
	if sc.left == 0 {
		sc.more = true
		return false
	}
	sc.left--
	sc.entries = append(sc.entries, it.entry())
	return true
}

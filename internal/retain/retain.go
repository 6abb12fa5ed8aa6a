// Package retain keeps retained messages where a subscription can find them: in memory, one for each topic name, in the
// order of the topic tree.
//
// The order compares topics level by level, so that "/" is less than any other character: a topic is followed directly
// by all that is below it, and the subtree of any level is one range. A Scan walks this order and seeks: at a topic that
// does not match its filter it works out the first topic after it that could, and goes there. With filter "+/status"
// and the topics
//
//	a/status  a/x/1 … a/x/9000  b/status
//
// a/status matches; a/x/1 is past what "a" can have, so the scan seeks the first topic behind the subtree of "a", which
// is b/status. The cost is that of the matches and of one seek for each subtree passed over.
package retain

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tidwall/btree"

	"github.com/barid-mqtt/barid/internal/message"
)

// ErrLimit says that a retained message would pass a limit of the store. Nothing was changed.
var ErrLimit = errors.New("retain: the limit of retained messages is reached")

// ErrMessages and ErrBytes say which limit it was.
var (
	ErrMessages = fmt.Errorf("%w: their number", ErrLimit)
	ErrBytes    = fmt.Errorf("%w: their bytes", ErrLimit)
)

// Options are the store's limits.
type Options struct {
	MaxMessages int   // 0: no limit
	MaxBytes    int64 // as Bytes counts; 0: no limit
}

// Entry is a retained message and where it stands in the log. The message is shared; nobody changes it.
type Entry struct {
	Message  *message.Message
	Position message.Position
	Change   uint64 // which change of the store it was; they are numbered from 1, and in commit order
}

// entryOverhead is what a retained message takes besides the bytes of its fields: the message, its place in the tree,
// and what the allocator rounds up.
const entryOverhead = 256

// Store holds the retained messages. Make it with New. It is safe for concurrent use; scans give way to changes between
// stretches of their work.
type Store struct {
	options Options // guarded by mu

	// Guarded by mu.
	mu       sync.RWMutex
	tree     *btree.BTreeG[item]
	bytes    int64
	expiring int    // messages that have an expiry
	swept    string // the topic at which the last Sweep stopped
	changes  uint64
}

type item struct {
	topic    string
	message  *message.Message
	position message.Position
	change   uint64
}

// New makes an empty store.
func New(o Options) *Store {
	return &Store{
		options: o,
		tree:    btree.NewBTreeGOptions(func(a, b item) bool { return less(a.topic, b.topic) }, btree.Options{NoLocks: true}),
	}
}

// Set retains a message in place of the one that its topic has, or, with an empty payload, only removes that one
// [MQTT-3.3.1-6]. Messages of one topic must come in commit order. With ErrLimit the topic keeps what it has.
func (s *Store) Set(m *message.Message, position message.Position) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(m.Payload) == 0 {
		s.remove(m.Topic)
		return nil
	}
	old, replaces := s.tree.Get(item{topic: m.Topic})
	grows := size(m)
	if replaces {
		grows -= size(old.message)
	}
	switch o := &s.options; {
	case o.MaxMessages > 0 && !replaces && s.tree.Len() >= o.MaxMessages:
		return ErrMessages
	case o.MaxBytes > 0 && grows > 0 && s.bytes+grows > o.MaxBytes:
		return ErrBytes
	}
	if replaces {
		s.count(old.message, -1)
	}
	s.count(m, 1)
	s.changes++
	s.tree.Set(item{topic: m.Topic, message: m, position: position, change: s.changes})
	return nil
}

// Get returns the retained message of a topic, which may have expired.
func (s *Store) Get(topic string) (Entry, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	it, ok := s.tree.Get(item{topic: topic})
	return it.entry(), ok
}

// SetLimits changes the limits. What is beyond them already stays.
func (s *Store) SetLimits(messages int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.MaxMessages, s.options.MaxBytes = messages, bytes
}

// Changes is the number of the last change: what is changed from now on has a higher one.
func (s *Store) Changes() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.changes
}

// Len is the number of retained messages, those included that have expired and were not met since.
func (s *Store) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tree.Len()
}

// Bytes estimates the memory that the retained messages take.
func (s *Store) Bytes() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.bytes
}

// Sweep looks at up to max messages, from where the last Sweep stopped, around the whole store in the course of several
// calls, and removes those that have expired. It returns how many it removed.
func (s *Store) Sweep(now time.Time, max int) (removed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.expiring == 0 {
		return 0
	}
	var expired []string
	looked := 0
	from := s.swept
	s.swept = ""
	s.tree.Ascend(item{topic: from}, func(it item) bool {
		if looked++; looked > max {
			s.swept = it.topic
			return false
		}
		if it.message.Expired(now) {
			expired = append(expired, it.topic)
		}
		return true
	})
	for _, topic := range expired {
		s.remove(topic)
	}
	return len(expired)
}

// removeExpired removes messages that a scan has met, unless they were replaced since.
func (s *Store) removeExpired(expired []*message.Message) {
	if len(expired) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range expired {
		if it, ok := s.tree.Get(item{topic: m.Topic}); ok && it.message == m {
			s.remove(m.Topic)
		}
	}
}

// remove removes what a topic has. The caller holds mu.
func (s *Store) remove(topic string) {
	if old, ok := s.tree.Delete(item{topic: topic}); ok {
		s.count(old.message, -1)
	}
}

// count adds a message to the sums, or, with sign -1, takes it off.
func (s *Store) count(m *message.Message, sign int) {
	s.bytes += int64(sign) * size(m)
	if !m.ExpiresAt.IsZero() {
		s.expiring += sign
	}
}

func (it item) entry() Entry { return Entry{it.message, it.position, it.change} }

func size(m *message.Message) int64 {
	return int64(entryOverhead + len(m.Topic) + len(m.Payload) + len(m.Properties) + len(m.ClientID) + len(m.Username))
}

// less is the order of the topic tree: bytes, with "/" before all others.
func less(a, b string) bool {
	n := min(len(a), len(b))
	for i := range n {
		if x, y := a[i], b[i]; x != y {
			return y != '/' && (x == '/' || x < y)
		}
	}
	return len(a) < len(b)
}

// Package summary says of a run of messages which topics it may hold, in a few hundred bytes: who reads a log for a few
// filters skips the runs that hold nothing for them.
//
// A summary is a Bloom filter. Of every topic it has each run of levels that the topic begins with, and each level after
// the first with its place: of dev/7/temp that is
//
//	dev   dev/7   dev/7/temp   7 at level 1   temp at level 2
//
// A topic filter is answered from the levels that it spells: dev/7/# asks for dev/7, dev/+/temp for dev and for temp at
// level 2, +/7 for 7 at level 1, and # matches anything, so there is nothing to ask. A summary may say yes where the answer
// is no, once in some fifty times; it never says no where the answer is yes. Levels after the eighth are neither noted
// nor asked for.
//
// A Builder has room for the topics of about 256 KiB of messages, and halves what it has gathered, by laying one half over
// the other, for as long as the bits stay thin: that is what makes small runs small.
package summary

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"strings"

	"github.com/barid-mqtt/barid/mqtt"
)

const (
	maxBits    = 1 << 17 // of a summary
	minBits    = 1 << 9
	probes     = 4
	levelsMax  = 8
	fillTenths = 4 // a summary is halved while no more of its bits than so many in ten would be set
)

// Builder gathers the topics of a run. The zero Builder is empty and ready for use.
type Builder struct {
	bits [maxBits / 64]uint64
	any  bool

	// seen are topics of the run that are in: most topics come again and again.
	seen [256]string
	seed maphash.Seed
}

// Add notes a topic. It keeps the string until AppendTo.
func (b *Builder) Add(topic string) {
	if !b.any {
		b.any, b.seed = true, maphash.MakeSeed()
	}
	s := &b.seen[maphash.String(b.seed, topic)%uint64(len(b.seen))]
	if *s == topic {
		return
	}
	*s = topic
	eachPart(topic, b.set)
}

func (b *Builder) set(part uint64) {
	at, step := uint32(part), uint32(part>>32)|1
	for range probes {
		bit := at % maxBits
		b.bits[bit/64] |= 1 << (bit % 64)
		at += step
	}
}

// AppendTo appends the summary of the topics since the last call, and begins anew.
func (b *Builder) AppendTo(dst []byte) []byte {
	words := b.bits[:]
	for len(words) > minBits/64 && ones(words)*10 <= len(words)/2*64*fillTenths {
		half := len(words) / 2
		for i := range half {
			words[i] |= words[half+i]
		}
		words = words[:half]
	}
	for _, w := range words {
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	*b = Builder{}
	return dst
}

func ones(words []uint64) (n int) {
	for _, w := range words {
		n += bits.OnesCount64(w)
	}
	return n
}

// IsSummary reports whether bytes can be a summary: their number is a power of two in the range.
func IsSummary(b []byte) bool {
	return len(b) >= minBits/8 && len(b) <= maxBits/8 && len(b)&(len(b)-1) == 0
}

// Question is what a reader wants to know of summaries. It does not change.
type Question struct {
	filters []string
	parts   [][]uint64 // of each filter, the parts that a run has to have
}

// FiltersMax is how many filters are worth a question.
const FiltersMax = 1024

// Ask makes the question whether a run holds anything for one of the filters. It is nil, which stands for yes, if there
// are too many of them, or one that spells no level. Filters are without a share; the question keeps the slice.
func Ask(filters []string) *Question {
	if len(filters) > FiltersMax {
		return nil
	}
	q := &Question{filters: filters}
	for _, f := range filters {
		parts := partsOf(f)
		if len(parts) == 0 {
			return nil
		}
		q.parts = append(q.parts, parts)
	}
	return q
}

// MayHold reports whether the run of a summary, as AppendTo made it, may hold a message for the question.
func (q *Question) MayHold(summary []byte) bool {
	if q == nil {
		return true
	}
	mask := uint32(len(summary)*8 - 1)
filters:
	for _, parts := range q.parts {
		for _, part := range parts {
			if !has(summary, mask, part) {
				continue filters
			}
		}
		return true
	}
	return false
}

// exactMax is up to how many filters are compared with a topic one by one.
const exactMax = 8

// Exact reports whether Matches says more than MayHold.
func (q *Question) Exact() bool { return q != nil && len(q.filters) <= exactMax }

// Matches reports whether one of the filters matches a topic.
func (q *Question) Matches(topic string) bool {
	for _, f := range q.filters {
		if mqtt.MatchTopic(f, topic) {
			return true
		}
	}
	return false
}

func has(summary []byte, mask uint32, part uint64) bool {
	at, step := uint32(part), uint32(part>>32)|1
	for range probes {
		bit := at & mask
		if summary[bit/8]&(1<<(bit%8)) == 0 {
			return false
		}
		at += step
	}
	return true
}

// The hash is FNV-1a, 64 bits, over the bytes, mixed with what kind of part it is. It is part of the format.
const (
	hashStart = 14695981039346656037
	hashPrime = 1099511628211
)

// mix spreads a hash, and tells kinds apart: 0 is a beginning, a number above it a level with its place.
func mix(h, kind uint64) uint64 {
	h += kind * 0x9E3779B97F4A7C15
	h = (h ^ h>>30) * 0xBF58476D1CE4E5B9
	h = (h ^ h>>27) * 0x94D049BB133111EB
	return h ^ h>>31
}

// eachPart calls fn for all parts of a topic.
func eachPart(topic string, fn func(uint64)) {
	prefix, level, place := uint64(hashStart), uint64(hashStart), uint64(0)
	for i := 0; i <= len(topic); i++ {
		if i == len(topic) || topic[i] == '/' {
			fn(mix(prefix, 0))
			if place > 0 {
				fn(mix(level, place))
			}
			if place++; place == levelsMax {
				return
			}
			level = hashStart
			prefix = (prefix ^ '/') * hashPrime
			continue
		}
		prefix = (prefix ^ uint64(topic[i])) * hashPrime
		level = (level ^ uint64(topic[i])) * hashPrime
	}
}

// partsOf returns the parts that every topic which a filter matches has.
func partsOf(filter string) (parts []uint64) {
	prefix, literal := uint64(hashStart), true
	levels := strings.SplitN(filter, "/", levelsMax+1)
	for place, level := range levels[:min(len(levels), levelsMax)] {
		if level == "#" {
			break
		}
		if level == "+" {
			literal = false
			continue
		}
		h := uint64(hashStart)
		if place > 0 {
			prefix = (prefix ^ '/') * hashPrime
		}
		for i := range len(level) {
			prefix = (prefix ^ uint64(level[i])) * hashPrime
			h = (h ^ uint64(level[i])) * hashPrime
		}
		switch {
		case literal && place == 0:
			parts = append(parts, mix(prefix, 0))
		case literal:
			parts[0] = mix(prefix, 0) // the longest says it all
		case place > 0:
			parts = append(parts, mix(h, uint64(place)))
		}
	}
	return parts
}

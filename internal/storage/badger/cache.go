package badger

import (
	"container/list"
	"slices"
	"sort"
	"sync"
)

// recent has the newest blocks, for tails that keep up and readers that nearly do.
type recent struct {
	blocks []*block // rising sequences, the log's newest last
	bytes  int64
}

// add takes the newest block, and lets go of old ones beyond max bytes.
func (r *recent) add(b *block, max int64) {
	r.blocks = append(r.blocks, b)
	r.bytes += b.cost()
	drop := 0
	for ; r.bytes > max && drop+1 < len(r.blocks); drop++ {
		r.bytes -= r.blocks[drop].cost()
		r.blocks[drop] = nil
	}
	r.blocks = r.blocks[drop:]
}

// from returns the first block at or after a sequence, or nil if that may be an older block than all of these.
func (r *recent) from(sequence uint64) *block {
	i := sort.Search(len(r.blocks), func(i int) bool { return r.blocks[i].header.seq >= sequence })
	if i == len(r.blocks) || i == 0 && r.blocks[0].header.seq != sequence {
		return nil
	}
	return r.blocks[i]
}

// cost is what a decoded block takes in memory, about.
func (b *block) cost() int64 { return b.bytes + int64(len(b.records))*recordOverhead }

// cache has blocks that were read from disk, so that readers who lag share them. The one used longest ago goes first.
type cache struct {
	max int64

	mu      sync.Mutex
	bytes   int64
	order   *list.List // of *block, the one used last in front
	entries map[uint64]*list.Element
	lately  [latelyRead]uint64 // sequences that were read and not kept
	next    int                // place of the oldest of them
}

// latelyRead is how many sequences are remembered.
const latelyRead = 64

// wants reports whether a block is worth keeping: somebody else has read it lately. Otherwise this is remembered.
func (c *cache) wants(sequence uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.Contains(c.lately[:], sequence) {
		return true
	}
	c.lately[c.next] = sequence
	c.next = (c.next + 1) % latelyRead
	return false
}

func newCache(max int64) *cache {
	return &cache{max: max, order: list.New(), entries: make(map[uint64]*list.Element)}
}

func (c *cache) get(sequence uint64) *block {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.entries[sequence]
	if !ok {
		return nil
	}
	c.order.MoveToFront(element)
	return element.Value.(*block)
}

// replace puts a block in the place of what is there of it, if anything is.
func (c *cache) replace(b *block) {
	c.mu.Lock()
	if element, ok := c.entries[b.header.seq]; ok {
		c.bytes -= element.Value.(*block).cost()
		c.order.Remove(element)
		delete(c.entries, b.header.seq)
	}
	c.mu.Unlock()
	c.add(b)
}

func (c *cache) add(b *block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[b.header.seq]; ok || b.cost() > c.max {
		return
	}
	c.entries[b.header.seq] = c.order.PushFront(b)
	for c.bytes += b.cost(); c.bytes > c.max; {
		oldest := c.order.Remove(c.order.Back()).(*block)
		delete(c.entries, oldest.header.seq)
		c.bytes -= oldest.cost()
	}
}

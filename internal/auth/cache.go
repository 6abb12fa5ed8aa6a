package auth

// Bounds of what one connection remembers.
const (
	cacheEntries    = 128
	cacheTopicBytes = 256
)

// Cache is what one connection remembers of its permissions: for a device that publishes to a few topics, one look-up a
// message, however many rules there are. It forgets everything when rules change, and when it is full, which costs a
// client of many topics no more than not remembering. The zero Cache is ready. One goroutine at a time uses it.
type Cache struct {
	version uint64
	known   map[Access]Decision
}

// Check is p.Check, remembered; remembered says that this answer was. It is for one Identity: Reset comes before another.
func (c *Cache) Check(p *Permissions, id *Identity, a Access) (d Decision, remembered bool) {
	if p.Open(id) {
		return Allow, false
	}
	version := p.Version() // before the answer: it may be newer than that, never older
	if version != c.version {
		c.Reset()
		c.version = version
	}
	if d, ok := c.known[a]; ok {
		return d, true
	}
	d, stable := p.Check(id, a)
	if stable && len(a.Topic) <= cacheTopicBytes {
		c.remember(a, d)
	}
	return d, false
}

func (c *Cache) remember(a Access, d Decision) {
	switch {
	case c.known == nil:
		c.known = make(map[Access]Decision)
	case len(c.known) >= cacheEntries:
		clear(c.known)
	}
	c.known[a] = d
}

// Reset forgets everything.
func (c *Cache) Reset() { clear(c.known) }

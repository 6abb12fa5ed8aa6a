package conn

// Answers (acknowledgements, PINGRESP, SUBACK) can neither be dropped nor wait in a session, and the client decides how
// many there are. So a connection counts what it owes, and handles no packet while that is OutMaxBytes or more: whoever
// does not read is not read either. Deliveries do not count here, as they have a bound of their own (Writer.Room), and
// a slow subscriber's acknowledgements must come through.

// pendingAckBytes is what an acknowledgement that is not due yet counts for.
const pendingAckBytes = 16

// owed returns the size of the answers that are not written. The caller holds c.mu.
func (c *Conn) owed() int {
	return c.answers + c.answersTaken + pendingAckBytes*len(c.acks.items)
}

// noteOwed is called when an answer was added. The caller holds c.mu.
func (c *Conn) noteOwed() {
	c.noteOut()
	if c.owed() >= c.opts.OutMaxBytes {
		c.indebted.Store(true)
	}
}

// holdBack suspends the connection if it owes too much; it is resumed when that is written.
func (c *Conn) holdBack() bool {
	if !c.indebted.Load() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.owed() < c.opts.OutMaxBytes {
		c.indebted.Store(false)
		return false
	}
	c.heldBack = true
	c.Suspend()
	return true
}

// releasable reports, once, whether a connection that was held back may go on. The caller holds c.mu.
func (c *Conn) releasable() bool {
	if !c.heldBack || c.owed() >= c.opts.OutMaxBytes {
		return false
	}
	c.heldBack = false
	c.indebted.Store(false)
	return true
}

// refusesToRead reports whether the connection stands still because its client takes no answers. For how long it may do
// so is for keep alive to say.
func (c *Conn) refusesToRead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heldBack && c.writing > 0
}

// tookSome says that a part of what is being written went out: a client that is held back is alive while it reads.
func (c *Conn) tookSome() {
	if c.indebted.Load() {
		c.keepAlive.touch()
	}
}

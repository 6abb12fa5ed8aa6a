package broker

import "github.com/barid-mqtt/barid/internal/message"

// cursor is a reader's place in the log: everything before next was taken, or does not match. A live reader belongs to
// the tail, and next then says only what it has taken last. Its owner's lock guards it.
type cursor struct {
	live  bool
	moved bool // by another than the turn of reading that is under way, which is over then
	next  message.Position
}

// place returns where the reader stands, if dispatch has begun with the blocks before begun: all of those but the last
// are dispatched to the end.
func (c *cursor) place(begun uint64) message.Position {
	if c.live && begun > 0 {
		if last := (message.Position{Block: begun - 1}); c.next.Less(last) {
			return last
		}
	}
	return c.next
}

// leave takes the reader out of the tail.
func (c *cursor) leave(begun uint64) {
	c.next = c.place(begun)
	c.live = false
}

// rewind moves the reader back to pos, if it is further.
func (c *cursor) rewind(pos message.Position) {
	if pos.Less(c.next) {
		c.next, c.moved = pos, true
	}
}

// join makes the reader, which has read all before next, part of the tail, unless a block from next on was dispatched
// already, which it has to read first.
func (c *cursor) join(next message.Position, begun func() uint64) bool {
	if c.moved {
		return false
	}
	if c.next.Less(next) {
		c.next = next
	}
	c.live = true // before begun is looked at: dispatch moves begun before it looks at live
	if begun() > c.next.Block {
		c.live = false
	}
	return c.live
}

// stop takes the reader out of the tail at a record that it has no room for.
func (c *cursor) stop(at message.Position) {
	c.live, c.next = false, at
}

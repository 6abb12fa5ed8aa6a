package index

import (
	"hash/maphash"
	"strings"
)

// cursor finds the nodes of the trie that match a topic, one after the other. It walks depth first with a stack of its own,
// because a topic may have 65,535 levels, and it is a plain value, so that a match needs no allocation.
type cursor[T comparable] struct {
	topic string
	seed  maphash.Seed
	depth int
	stack [stackFrames]frame[T]
	spill []frame[T] // what did not fit into stack
}

// stackFrames is enough for every topic of up to eight levels, whatever is subscribed: a level adds at most two frames.
const stackFrames = 17

// frame is a node to try on the levels of the topic from the offset at on. Past the topic's end no level is left; at its
// end there is one, which is empty.
type frame[T comparable] struct {
	n  *node[T]
	at int
}

func (c *cursor[T]) start(x *Index[T], topic string) {
	c.topic, c.seed = topic, x.seed
	// Wildcards at the first level do not match what the server keeps under '$' [MQTT-4.7.2-1].
	c.descend(&x.root, 0, strings.HasPrefix(topic, "$"))
}

// next returns the next node that matches and has values, or nil after the last.
func (c *cursor[T]) next() *node[T] {
	for c.depth > 0 {
		f := c.pop()
		at, ok := consume(f.n.label, c.topic, f.at)
		if !ok {
			continue
		}
		if k := f.n.kids(); k != nil {
			c.descend(k, at, false)
		}
		if at > len(c.topic) && f.n.hasValues() {
			return f.n
		}
	}
	return nil
}

// descend pushes those of k that may match the topic from the offset at on.
func (c *cursor[T]) descend(k *kids[T], at int, literalOnly bool) {
	if !literalOnly {
		if n := k.hash.Load(); n != nil {
			c.push(n, at) // "a/#" matches "a": also where no level is left
		}
	}
	if at > len(c.topic) {
		return
	}
	if !literalOnly {
		if n := k.plus.Load(); n != nil {
			c.push(n, at)
		}
	}
	if k.literals.tab.Load() == nil {
		return
	}
	level := c.topic[at:levelEnd(c.topic, at)]
	if n := k.literals.find(maphash.String(c.seed, level), level, true); n != nil {
		c.push(n, at)
	}
}

func (c *cursor[T]) push(n *node[T], at int) {
	if c.depth < stackFrames {
		c.stack[c.depth] = frame[T]{n, at}
	} else {
		c.spill = append(c.spill, frame[T]{n, at})
	}
	c.depth++
}

func (c *cursor[T]) pop() frame[T] {
	c.depth--
	if c.depth < stackFrames {
		return c.stack[c.depth]
	}
	f := c.spill[c.depth-stackFrames]
	c.spill = c.spill[:c.depth-stackFrames]
	return f
}

// levelEnd returns the offset of the end of the topic's level that begins at the offset at.
func levelEnd(topic string, at int) int {
	if i := strings.IndexByte(topic[at:], '/'); i >= 0 {
		return at + i
	}
	return len(topic)
}

// consume matches a label against the topic's levels from the offset at on, and returns the offset after them.
func consume(label, topic string, at int) (after int, ok bool) {
	for i := 0; ; i++ {
		if i < len(label) && label[i] == '#' {
			return len(topic) + 1, true
		}
		if at > len(topic) {
			return 0, false
		}
		if i < len(label) && label[i] == '+' {
			i++
			at = levelEnd(topic, at)
		} else {
			for ; i < len(label) && label[i] != '/'; i++ {
				if at == len(topic) || topic[at] != label[i] {
					return 0, false
				}
				at++
			}
			if at < len(topic) && topic[at] != '/' {
				return 0, false
			}
		}
		at++
		if i == len(label) {
			return at, true
		}
	}
}

package timerwheel

import (
	"math/bits"
	"time"
)

// tickAfter is the first tick that is not before a time.
func (w *Wheel[T]) tickAfter(at time.Time) int64 {
	d := at.Sub(w.start)
	tick := int64(d / time.Second)
	if d > 0 && d%time.Second != 0 {
		tick++
	}
	return min(tick, maxTick)
}

// tickBefore is the last tick that is not after a time.
func (w *Wheel[T]) tickBefore(now time.Time) int64 {
	d := now.Sub(w.start)
	if d < 0 {
		return -1
	}
	return min(int64(d/time.Second), maxTick)
}

func (w *Wheel[T]) time(tick int64) time.Time {
	return w.start.Add(time.Duration(min(tick, int64(maxDuration/time.Second))) * time.Second)
}

const maxDuration = time.Duration(1<<63 - 1)

// open empties the slot of a level that begins now: what is on level 0 fires, the rest moves down.
func (w *Wheel[T]) open(level int, fire func(T)) {
	slot := int(w.now >> (digitBits * level) % slots)
	from := int32(level*slots + slot)
	if level == 0 {
		w.empty(from, fire)
		return
	}
	for i := w.heads[from].head; i != none; i = w.heads[from].head {
		w.unlink(i)
		w.place(i)
	}
}

// empty fires all timers of a list. Whatever fire does, nothing is added to that list meanwhile.
func (w *Wheel[T]) empty(from int32, fire func(T)) {
	for i := w.heads[from].head; i != none; i = w.heads[from].head {
		v := w.node(i).value
		w.unlink(i)
		w.release(i)
		fire(v)
	}
}

// place puts a timer that is not before now into its slot.
func (w *Wheel[T]) place(i int32) {
	tick := w.node(i).tick
	level := (bits.Len64(uint64(tick^w.now)|1) - 1) / digitBits
	slot := int(tick >> (digitBits * level) % slots)
	w.push(int32(level*slots+slot), i)
}

// push appends a timer to a list.
func (w *Wheel[T]) push(to, i int32) {
	n, l := w.node(i), &w.heads[to]
	n.list, n.prev, n.next = to, l.tail, none
	if l.tail == none {
		l.head = i
		if to < late {
			w.occupied[to/slots] |= 1 << (to % slots)
		}
	} else {
		w.node(l.tail).next = i
	}
	l.tail = i
}

// unlink takes a timer out of its list.
func (w *Wheel[T]) unlink(i int32) {
	n := w.node(i)
	l := &w.heads[n.list]
	if n.prev == none {
		l.head = n.next
	} else {
		w.node(n.prev).next = n.next
	}
	if n.next == none {
		l.tail = n.prev
	} else {
		w.node(n.next).prev = n.prev
	}
	if l.head == none && n.list < late {
		w.occupied[n.list/slots] &^= 1 << (n.list % slots)
	}
}

func (w *Wheel[T]) node(i int32) *node[T] { return &w.chunks[i>>chunkBits][i%chunkSize] }

// release makes a node free that is in no list.
func (w *Wheel[T]) release(i int32) {
	n := w.node(i)
	var zero T
	n.value = zero
	n.list = none
	if n.generation++; n.generation == 0 {
		n.generation = 1 // 0 is the zero Timer's
	}
	n.next = w.free
	w.free = i
	w.length--
}

// grow adds a chunk of free nodes.
func (w *Wheel[T]) grow() {
	first := int32(len(w.chunks)) << chunkBits
	chunk := new([chunkSize]node[T])
	w.chunks = append(w.chunks, chunk)
	for k := range chunk {
		chunk[k] = node[T]{generation: 1, list: none, next: first + int32(k) + 1}
	}
	chunk[chunkSize-1].next = w.free
	w.free = first
}

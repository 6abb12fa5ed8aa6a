package session

// inFlight holds the deliveries that have a packet identifier. They are a doubly linked list in the order of their first
// transmission, laid out in one slice whose free slots are reused, with a table from identifier to slot.
type inFlight struct {
	slots       []flight
	free        uint16 // the first free slot, linked by next
	first, last uint16
	n           int
	bytes       int64 // as the queue counts
	ids         idTable

	lastID      uint16   // the identifier assigned last
	lastGroupID uint16   // the same of those kept for Assign
	unsent      uint16   // how many were assigned and not sent yet, fresh or not
	taken       uint16   // how many went back to their shared group and only wait for the client's answer
	fresh       []uint16 // what was assigned and may be sent for the first time, in order
	due         int      // how many are to be sent again on this connection
	dueRel      int      // how many of them as PUBREL
	// Where the search for the next one that is due goes on: in order, and ahead of it among PUBREL only.
	cursor, relCursor uint16
}

type flight struct {
	Delivery
	id         uint16
	prev, next uint16
	size       uint32 // what it counts for
	released   bool
	due        bool
	taken      bool // Delivery has only its QoS left
	unsent     bool // assigned, and not sent yet
}

// none is the link that leads nowhere. There are at most 65,535 deliveries in flight, in slots 0 to 65,534. The links
// of an empty inFlight are not read before ready has set them.
const none = 0xFFFF

// ready prepares an inFlight that has no slots.
func (f *inFlight) ready() {
	if f.slots == nil {
		f.free, f.first, f.last, f.cursor, f.relCursor = none, none, none, none, none
	}
}

// nextID returns the next packet identifier that is not in use. There must be one. The highest are kept for others.
func (f *inFlight) nextID(kept int) uint16 {
	f.lastID = f.after(f.lastID, 1, uint16(maxPacketID-kept))
	return f.lastID
}

// nextGroupID is the same for those that nextID keeps off.
func (f *inFlight) nextGroupID(kept int) uint16 {
	f.lastGroupID = f.after(f.lastGroupID, uint16(maxPacketID-kept+1), maxPacketID)
	return f.lastGroupID
}

// after returns the first identifier after last that is not in use, among those from first to end.
func (f *inFlight) after(last, first, end uint16) uint16 {
	for id := last; ; {
		if id++; id < first || id > end {
			id = first
		}
		if _, used := f.ids.get(id); !used {
			return id
		}
	}
}

// add puts a delivery behind all others.
func (f *inFlight) add(id uint16, d *Delivery) *flight {
	f.ready()
	i := f.free
	if i == none {
		i = uint16(len(f.slots))
		f.slots = append(f.slots, flight{})
	} else {
		f.free = f.slots[i].next
	}
	f.slots[i] = flight{Delivery: *d, id: id, prev: f.last, next: none}
	if f.last == none {
		f.first = i
	} else {
		f.slots[f.last].next = i
	}
	f.last = i
	f.n++
	f.slots[i].size = sizeOf32(d)
	f.bytes += int64(f.slots[i].size)
	f.ids.set(id, i)
	return &f.slots[i]
}

// get returns what is in flight under id, or nil.
func (f *inFlight) get(id uint16) *flight {
	i, ok := f.ids.get(id)
	if !ok {
		return nil
	}
	return &f.slots[i]
}

// known is get for identifiers that the client may speak of: those that were sent.
func (f *inFlight) known(id uint16) *flight {
	if e := f.get(id); e != nil && !e.unsent {
		return e
	}
	return nil
}

// remove forgets what is in flight under id, which must be there, and returns it.
func (f *inFlight) remove(id uint16) Delivery {
	i, _ := f.ids.get(id)
	e := &f.slots[i]
	f.sent(e)
	f.unlink(i)
	f.ids.remove(id)
	f.n--
	f.bytes -= int64(e.size)
	if e.taken {
		f.taken--
	}
	if e.unsent {
		f.unsent--
	}
	d := e.Delivery
	*e = flight{next: f.free}
	f.free = i
	return d
}

func (f *inFlight) unlink(i uint16) {
	e := &f.slots[i]
	if e.prev == none {
		f.first = e.next
	} else {
		f.slots[e.prev].next = e.next
	}
	if e.next == none {
		f.last = e.prev
	} else {
		f.slots[e.next].prev = e.prev
	}
	if f.cursor == i {
		f.cursor = e.next
	}
	if f.relCursor == i {
		f.relCursor = e.next
	}
}

// take forgets e's delivery. If the client is going to answer it on this connection, its identifier stays in use.
func (f *inFlight) take(e *flight, answer bool) {
	if !answer {
		f.remove(e.id)
		return
	}
	e.taken = true
	e.Delivery = Delivery{QoS: e.QoS}
	f.bytes -= int64(e.size)
	e.size = 0
	f.taken++
}

// forgetTaken removes what only waited for an answer on a connection that is gone.
func (f *inFlight) forgetTaken() {
	if f.taken == 0 {
		return
	}
	for i := f.first; i != none; {
		e := &f.slots[i]
		i = e.next
		if e.taken {
			f.remove(e.id)
		}
	}
}

// allDue makes everything due on a new connection.
func (f *inFlight) allDue() {
	f.ready()
	f.forgetTaken()
	f.due, f.dueRel = f.n, 0
	f.cursor, f.relCursor = f.first, f.first
	for i := f.cursor; i != none; i = f.slots[i].next {
		e := &f.slots[i]
		e.due = true
		if e.released {
			f.dueRel++
		}
	}
}

// sent says that e is due no more.
func (f *inFlight) sent(e *flight) {
	if !e.due {
		return
	}
	e.due = false
	f.due--
	if e.released {
		f.dueRel--
	}
}

// outstanding is how many were sent on this connection and are not acknowledged.
func (f *inFlight) outstanding() int { return f.n - f.due }

// nextDue returns the first that is due, or nil if none is that may go now. A PUBLISH packet needs room in the window. A
// PUBREL packet does not, and passes those that wait for room [MQTT-3.3.4-9].
func (f *inFlight) nextDue(room bool) *flight {
	if f.due == 0 {
		return nil
	}
	for !f.slots[f.cursor].due {
		f.cursor = f.slots[f.cursor].next
	}
	if room {
		return &f.slots[f.cursor]
	}
	if f.dueRel == 0 {
		return nil
	}
	for e := &f.slots[f.relCursor]; !e.due || !e.released; e = &f.slots[f.relCursor] {
		f.relCursor = e.next
	}
	return &f.slots[f.relCursor]
}

// trim makes the slots as few as what is in flight allows.
func (f *inFlight) trim() {
	switch {
	case f.n == 0:
		f.slots = nil
		f.ready()
	case f.n <= cap(f.slots)/2:
		f.compact()
	}
	f.ids.trim()
}

// compact lays the deliveries out afresh, one after the other.
func (f *inFlight) compact() {
	slots := make([]flight, 0, f.n)
	for i := f.first; i != none; i = f.slots[i].next {
		at := uint16(len(slots))
		slots = append(slots, f.slots[i])
		slots[at].prev, slots[at].next = at-1, at+1
		f.ids.set(slots[at].id, at)
	}
	f.slots, f.free = slots, none
	f.first, f.last = 0, uint16(f.n-1)
	slots[f.first].prev, slots[f.last].next = none, none
	f.cursor, f.relCursor = f.first, f.first // those before the old cursors are not due and are passed again
}

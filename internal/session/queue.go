package session

import "github.com/barid-mqtt/barid/internal/message"

// entryBytes is what the queue counts for holding one delivery, besides its message: without it, a limit in bytes would
// not bound the memory of very small messages.
const entryBytes = 128

// queue is a ring buffer of deliveries. It doubles when it is full, and halves when it is large and mostly empty.
type queue struct {
	ring  []Delivery // a power of two, or nil
	head  int
	n     int
	bytes int64
}

const (
	queueMinSlots  = 4
	queueKeepSlots = 256 // not worth shrinking by itself; trim does
)

func sizeOf(m *message.Message) int64 {
	if m == nil {
		return entryBytes
	}
	return entryBytes + int64(len(m.Topic)+len(m.Payload)+len(m.Properties))
}

// sizeOf32 is sizeOf for what a packet can hold.
func sizeOf32(d *Delivery) uint32 { return uint32(sizeOf(d.Message)) }

func (q *queue) at(i int) *Delivery { return &q.ring[(q.head+i)&(len(q.ring)-1)] }

func (q *queue) push(d *Delivery) {
	q.room()
	*q.at(q.n) = *d
	q.n++
	q.bytes += sizeOf(d.Message)
}

func (q *queue) pushFront(d *Delivery) {
	q.room()
	q.head = (q.head - 1) & (len(q.ring) - 1)
	*q.at(0) = *d
	q.n++
	q.bytes += sizeOf(d.Message)
}

// room makes sure that the ring has a free slot.
func (q *queue) room() {
	if q.n == len(q.ring) {
		q.resize(max(queueMinSlots, 2*len(q.ring)))
	}
}

// pop moves the first delivery to d. The queue must not be empty.
func (q *queue) pop(d *Delivery) {
	slot := q.at(0)
	*d = *slot
	*slot = Delivery{}
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	q.bytes -= sizeOf(d.Message)
	if len(q.ring) > queueKeepSlots && q.n <= len(q.ring)/8 {
		q.resize(len(q.ring) / 2)
	}
}

func (q *queue) resize(slots int) {
	ring := make([]Delivery, slots)
	for i := range q.n {
		ring[i] = *q.at(i)
	}
	q.ring, q.head = ring, 0
}

// drain empties the queue and returns what it held; nil if that was nothing.
func (q *queue) drain() []Delivery {
	var all []Delivery
	if q.n > 0 {
		all = make([]Delivery, q.n)
		for i := range all {
			all[i] = *q.at(i)
		}
	}
	*q = queue{}
	return all
}

// take removes the deliveries that match and returns them in order.
func (q *queue) take(match func(Delivery) bool) (taken []Delivery) {
	for range q.n {
		var d Delivery
		if q.pop(&d); match(d) {
			taken = append(taken, d)
		} else {
			q.push(&d)
		}
	}
	return taken
}

// trim makes the ring as small as what it holds allows.
func (q *queue) trim() {
	if q.n == 0 {
		*q = queue{}
		return
	}
	slots := queueMinSlots
	for slots < q.n {
		slots *= 2
	}
	if slots < len(q.ring) {
		q.resize(slots)
	}
}

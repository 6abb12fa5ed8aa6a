package conn

import "github.com/barid-mqtt/barid/mqtt"

// ackQueue holds back acknowledgements until those before them are due, so that they leave in the order in which their
// packets came [MQTT-4.6.0-2], though some wait for a commit and others do not.
type ackQueue struct {
	first uint64 // the ticket of items[0]
	items []pendingAck
}

type pendingAck struct {
	t     mqtt.Type
	ready bool
	code  mqtt.ReasonCode
	id    uint16
}

// Ticket is the place of an acknowledgement that is not due yet.
type Ticket uint64

// AckLater takes the place of an acknowledgement whose cause is not settled yet.
func (c *Conn) AckLater(t mqtt.Type, id uint16) Ticket {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acks.items = append(c.acks.items, pendingAck{t: t, id: id})
	c.noteOwed()
	return Ticket(c.acks.first + uint64(len(c.acks.items)-1))
}

// AckCancel gives up the place that AckLater took last.
func (c *Conn) AckCancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acks.items = c.acks.items[:len(c.acks.items)-1]
}

// AckNow acknowledges at once, or behind what is not due yet.
func (c *Conn) AckNow(b *Batch, t mqtt.Type, id uint16, code mqtt.ReasonCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.acks.items) > 0 {
		c.acks.items = append(c.acks.items, pendingAck{t, true, code, id})
		c.noteOwed()
		return
	}
	c.appendAck(t, id, code)
	c.mark(b)
}

// AckReady settles an acknowledgement. It leaves as soon as those before it have, by the flusher.
func (c *Conn) AckReady(k Ticket, code mqtt.ReasonCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := &c.acks
	i := uint64(k) - q.first
	if i >= uint64(len(q.items)) {
		return
	}
	q.items[i].ready, q.items[i].code = true, code
	n := 0
	for n < len(q.items) && q.items[n].ready {
		c.appendAck(q.items[n].t, q.items[n].id, q.items[n].code)
		n++
	}
	if n == 0 {
		return
	}
	q.first += uint64(n)
	if q.items = q.items[:copy(q.items, q.items[n:])]; len(q.items) == 0 && cap(q.items) > 256 {
		q.items = nil
	}
	c.flushSoonLocked()
}

// PubrelSoon sends a PUBREL by the flusher.
func (c *Conn) PubrelSoon(id uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.appendAck(mqtt.PUBREL, id, mqtt.Success)
	c.flushSoonLocked()
}

// appendAck encodes an acknowledgement. The caller holds c.mu.
func (c *Conn) appendAck(t mqtt.Type, id uint16, code mqtt.ReasonCode) {
	if c.closed {
		return
	}
	if c.buf == nil {
		c.buf = getBuffer(bufferBytes)
	}
	start := len(c.buf)
	first := byte(t) << 4
	if t == mqtt.PUBREL {
		first |= 2
	}
	if c.version == mqtt.V5 && code != mqtt.Success {
		c.buf = append(c.buf, first, 3, byte(id>>8), byte(id), byte(code))
	} else {
		c.buf = append(c.buf, first, 2, byte(id>>8), byte(id))
	}
	c.answers += len(c.buf) - start
	c.noteOwed()
	m := c.opts.Metrics
	m.PacketsSent[t&15].Inc()
	c.sent.Packets++
	if code.Failed() && (t == mqtt.PUBACK || t == mqtt.PUBREC) {
		m.PublishErrors.Inc()
		if code == mqtt.NotAuthorized {
			m.PublishUnauthorized.Inc()
		}
	}
	if w := c.opts.Trace.Watch(); w != nil {
		c.traceOut(w, t, id, code, len(c.buf)-start)
	}
}

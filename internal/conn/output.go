package conn

import (
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/trace"
	"github.com/barid-mqtt/barid/mqtt"
)

// out is the way to the client. All of it is guarded by Conn.mu.
type out struct {
	version      mqtt.Version
	maxPacket    uint32 // the client's; 0: none
	aliasMaximum uint16 // aliases that we may use
	omitProblem  bool
	accepted     bool // a CONNACK with success is out

	buf       []byte          // encoded, and not yet taken to be written
	writing   int             // bytes that were taken and are not written yet
	dirty     bool            // listed in a batch, which will flush it
	closed    bool            // nothing more is appended
	endCode   mqtt.ReasonCode // that the connection was closed with, or that the client's DISCONNECT had
	endReason string
	starved   bool // the port found no room and wants to hear of it
	heldBack  bool // suspended until less is owed

	outNoted              int64         // bytes of buf and writing that Memory knows of
	answers, answersTaken int           // bytes of buf, and of what is being written, that answer the client
	idle                  chan struct{} // closed when all is written; nil: nobody waits for that
	aliasIDs              map[string]uint16
	acks                  ackQueue
	sent                  Traffic
}

// setVersion fixes the protocol version of what is sent.
func (c *Conn) setVersion(v mqtt.Version) {
	c.mu.Lock()
	c.version = v
	c.mu.Unlock()
}

// attachLimits takes over what CONNECT says of the client's side.
func (o *Conn) attachLimits(p *mqtt.Connect) {
	o.maxPacket = p.MaximumPacketSize
	o.aliasMaximum = min(p.TopicAliasMaximum, o.opts.TopicAliasOutMaximum)
	o.omitProblem = p.OmitProblemInformation
}

// Version returns the protocol version of the connection, once its CONNECT was read.
func (c *Conn) Version() mqtt.Version {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.version
}

// mark lists the connection in b, so that it is flushed at the batch's end. The caller holds c.mu.
func (c *Conn) mark(b *Batch) {
	if !c.dirty {
		c.dirty = true
		b.dirty = append(b.dirty, c)
	}
}

// append encodes a small packet into the outbound buffer. It drops the packet if it is larger than the client's
// maximum packet size. The caller holds c.mu.
func (c *Conn) append(p mqtt.Packet) bool {
	if c.closed {
		return false
	}
	if c.buf == nil {
		c.buf = getBuffer(bufferBytes)
	}
	start := len(c.buf)
	buf, err := p.AppendTo(c.buf, c.version)
	if err != nil || c.maxPacket != 0 && uint64(len(buf)-start) > uint64(c.maxPacket) {
		c.buf = buf[:start]
		return false
	}
	c.buf = buf
	c.answers += len(buf) - start
	c.noteOwed()
	c.opts.Metrics.PacketsSent[buf[start]>>4].Inc()
	c.sent.Packets++
	if w := c.opts.Trace.Watch(); w != nil {
		c.tracePacket(w, trace.PacketOut, time.Now(), p, len(buf)-start)
	}
	return true
}

// Accept answers the CONNECT: the connection speaks to port from now on, with keepAlive as the interval in force. The
// caller fills ack; a reason or user property that does not fit into the client's maximum packet size is left out
// [MQTT-3.2.2-19]. Resume is the caller's to call, once the session is ready. It reports whether the connection was
// accepted; if it is closed by now, or takes no CONNACK of this size, port gets no call.
func (c *Conn) Accept(port Port, ack *mqtt.Connack, keepAliveSeconds uint16) bool {
	if c.authMethod != "" {
		ack.AuthMethod, ack.HasAuthMethod = c.authMethod, true
	}
	c.mu.Lock()
	fits := !c.closed && c.appendConnack(ack)
	if fits {
		c.port, c.state, c.accepted = port, open, true
		c.handler = nil // and what it knows of the CONNECT
		c.keepAlive.set(time.Duration(keepAliveSeconds) * time.Second * 3 / 2)
	}
	c.mu.Unlock()
	if !fits { // a CONNACK that may not be sent leaves nothing but to close [MQTT-3.1.2-24]
		c.Close(mqtt.PacketTooLarge, "")
	}
	return fits
}

// appendConnack encodes a CONNACK, without what may be left out if the client has no room for that. It reports whether
// the client has room for the rest.
func (c *Conn) appendConnack(ack *mqtt.Connack) bool {
	if c.append(ack) {
		return true
	}
	short := *ack
	short.ReasonString, short.User, short.ResponseInformation = "", nil, ""
	return c.append(&short)
}

// Refuse answers the CONNECT with an error and closes the connection.
func (c *Conn) Refuse(code mqtt.ReasonCode, reason string) { c.RefuseFor(code, reason, reason) }

// RefuseFor is Refuse for a cause that the client is not told. It is in traces and in the memory of recent decisions.
func (c *Conn) RefuseFor(code mqtt.ReasonCode, reason, why string) {
	c.opts.Metrics.ConnectsRefused.Inc()
	if code == mqtt.NotAuthorized || code == mqtt.BadUserNameOrPassword {
		c.opts.Metrics.ConnacksUnauthorized.Inc()
	}
	c.mu.Lock()
	if !c.accepted && !c.closed {
		c.appendConnack(&mqtt.Connack{Code: code, ReasonString: reason})
	}
	id := c.clientID
	c.mu.Unlock()
	c.opts.Trace.Note(trace.ConnectRefused, 0, id, nil, time.Now(), 1, func(e *trace.Event) {
		e.Remote, e.Code, e.HasCode, e.Text = c.info.RemoteAddr, code, true, why
	})
	c.Close(code, "")
}

// Challenge answers the CONNECT, or the last AUTH, with an AUTH packet that asks the client to go on.
func (c *Conn) Challenge(data []byte) {
	c.state = challenged
	c.SendAuth(mqtt.ContinueAuthentication, data)
	c.Resume()
}

// SendAuth sends an AUTH packet and flushes it.
func (c *Conn) SendAuth(code mqtt.ReasonCode, data []byte) {
	c.mu.Lock()
	c.append(&mqtt.Auth{Code: code, AuthMethod: c.authMethod, HasAuthMethod: true, AuthData: data})
	c.mu.Unlock()
	c.FlushSoon()
}

// Send appends a packet that answers another at once, such as SUBACK. A reason string that does not fit is left out.
func (c *Conn) Send(b *Batch, p mqtt.Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.append(p) {
		switch p := p.(type) {
		case *mqtt.Suback:
			c.append(&mqtt.Suback{PacketID: p.PacketID, Codes: p.Codes})
		case *mqtt.Unsuback:
			c.append(&mqtt.Unsuback{PacketID: p.PacketID, Codes: p.Codes})
		}
	}
	c.mark(b)
}

// OmitProblemInformation reports whether the client wants no reason strings in packets other than CONNACK, DISCONNECT
// and PUBLISH [MQTT-3.1.2-29].
func (c *Conn) OmitProblemInformation() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.omitProblem
}

func (c *Conn) pingresp(b *Batch) {
	c.mu.Lock()
	c.append(&mqtt.Pingresp{})
	c.mark(b)
	c.mu.Unlock()
}

// sayGoodbye appends the DISCONNECT of a connection that the server ends, and lets nothing follow it [MQTT-3.14.4-1].
func (c *Conn) sayGoodbye(code mqtt.ReasonCode, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if !c.left.Load() {
		c.endCode, c.endReason = code, reason
	}
	if code != mqtt.Success && c.accepted && c.version == mqtt.V5 {
		if !c.append(&mqtt.Disconnect{Code: code, ReasonString: reason}) {
			c.append(&mqtt.Disconnect{Code: code})
		}
	}
	c.closed = true
}

// Writer appends deliveries to one connection, under its lock, between Begin and End.
type Writer struct {
	c *Conn
	b *Batch
}

// Begin locks the way out for deliveries.
func (c *Conn) Begin(b *Batch) Writer {
	c.mu.Lock()
	return Writer{c, b}
}

// End unlocks it.
func (w Writer) End() {
	w.c.noteOut()
	w.c.mu.Unlock()
}

// noteOut counts what waits for a socket that does not take it. What the batch is about to write does not wait. The caller
// holds c.mu.
func (c *Conn) noteOut() {
	if c.writing > 0 || c.outNoted > 0 {
		c.opts.Memory.Note(&c.outNoted, int64(len(c.buf)+c.writing))
	}
}

// Room reports whether the connection takes another delivery. If it does not, the port will hear Writable.
func (w Writer) Room() bool {
	c := w.c
	if c.closed {
		return false
	}
	if len(c.buf)+c.writing < c.opts.OutMaxBytes {
		return true
	}
	c.starved = true
	return false
}

// Pubrel appends a PUBREL.
func (w Writer) Pubrel(id uint16, code mqtt.ReasonCode) {
	w.c.append(&mqtt.Pubrel{Ack: mqtt.Ack{PacketID: id, Code: code}})
	w.c.mark(w.b)
}

// Publish appends a delivery as the connection's version has it. It reports false, with nothing appended, when the
// packet is larger than the client takes [MQTT-3.1.2-25].
func (w Writer) Publish(d *session.Delivery, topic string, id uint16, dup bool) bool {
	c := w.c
	if c.closed {
		return true
	}
	if c.buf == nil {
		c.buf = getBuffer(bufferBytes)
	}
	buf, ok := c.appendPublish(d, topic, id, dup, w.b.Now)
	if !ok {
		return false
	}
	if watch := c.opts.Trace.Watch(); watch != nil {
		w.traceSent(watch, d, id, dup, len(buf)-len(c.buf))
	}
	c.buf = buf
	c.mark(w.b)
	w.b.Sent(d.QoS, len(d.Message.Payload), dup)
	c.sent.Packets++
	c.sent.Messages[d.QoS%3]++
	return true
}

// appendPublish encodes a PUBLISH without a detour: sizes first, then bytes.
func (c *Conn) appendPublish(d *session.Delivery, topic string, id uint16, dup bool, now time.Time) ([]byte, bool) {
	m := d.Message
	m.Check()
	size := 2 + len(topic) + len(m.Payload)
	if d.QoS > 0 {
		size += 2
	}
	var props publishProperties
	if c.version == mqtt.V5 {
		props = c.measure(d, topic, now)
		size += props.size + mqtt.VarintLen(uint32(props.size))
		if props.aliasKnown {
			size -= len(topic)
		}
	}
	if size > mqtt.MaxRemaining || c.maxPacket != 0 && uint64(1+mqtt.VarintLen(uint32(size))+size) > uint64(c.maxPacket) {
		return nil, false
	}
	first := byte(mqtt.PUBLISH)<<4 | byte(d.QoS)<<1
	if d.Retain {
		first |= 1
	}
	if dup {
		first |= 8
	}
	c.reserve(1 + 4 + size)
	dst := mqtt.AppendVarint(append(c.buf, first), uint32(size))
	if props.aliasKnown {
		dst = append(dst, 0, 0)
	} else {
		dst = append(dst, byte(len(topic)>>8), byte(len(topic)))
		dst = append(dst, topic...)
	}
	if d.QoS > 0 {
		dst = append(dst, byte(id>>8), byte(id))
	}
	if c.version == mqtt.V5 {
		dst = c.appendProperties(dst, d, topic, &props)
	}
	return append(dst, m.Payload...), true
}

// publishProperties is what measure found out about a PUBLISH's properties.
type publishProperties struct {
	size          int
	expirySeconds uint32
	expires       bool
	alias         uint16 // 0: none
	aliasKnown    bool   // the client has it; the topic is left out
}

func (c *Conn) measure(d *session.Delivery, topic string, now time.Time) (p publishProperties) {
	p.size = len(d.Message.Properties)
	if !d.Message.ExpiresAt.IsZero() {
		if c.opts.Clock != nil {
			now = c.opts.Clock(now)
		}
		p.expirySeconds, p.expires = d.Message.ExpirySeconds(now)
		p.size += 5
	}
	for _, id := range d.SubscriptionIDs {
		p.size += 1 + mqtt.VarintLen(id)
	}
	if c.aliasMaximum > 0 {
		if p.alias, p.aliasKnown = c.aliasIDs[topic]; !p.aliasKnown && len(c.aliasIDs) < int(c.aliasMaximum) {
			p.alias = uint16(len(c.aliasIDs) + 1)
		}
		if p.alias != 0 {
			p.size += 3
		}
	}
	return p
}

func (c *Conn) appendProperties(dst []byte, d *session.Delivery, topic string, p *publishProperties) []byte {
	dst = mqtt.AppendVarint(dst, uint32(p.size))
	if p.expires {
		s := p.expirySeconds
		dst = append(dst, byte(mqtt.PropMessageExpiry), byte(s>>24), byte(s>>16), byte(s>>8), byte(s))
	}
	for _, id := range d.SubscriptionIDs {
		dst = mqtt.AppendVarint(append(dst, byte(mqtt.PropSubscriptionID)), id)
	}
	if p.alias != 0 {
		dst = append(dst, byte(mqtt.PropTopicAlias), byte(p.alias>>8), byte(p.alias))
		if !p.aliasKnown {
			if c.aliasIDs == nil {
				c.aliasIDs = make(map[string]uint16)
			}
			c.aliasIDs[topic] = p.alias
		}
	}
	return append(dst, d.Message.Properties...)
}

// Topic returns the topic that a client of a listener with a mount point sees.
func Topic(m *message.Message, mount string) string {
	if len(mount) > 0 && len(m.Topic) > len(mount) && m.Topic[:len(mount)] == mount {
		return m.Topic[len(mount):]
	}
	return m.Topic
}

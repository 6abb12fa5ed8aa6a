package conn

import (
	"errors"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/trace"
	"github.com/barid-mqtt/barid/mqtt"
)

// keepCarryBytes is what a connection may go on to hold for the next partial packet once it is through with one.
const keepCarryBytes = 4096

// feed handles whole packets and carries the rest. It returns Suspended if that is why it stopped, even if the connection
// was resumed since: whoever drives it has to feed it again.
func (c *Conn) feed(b *Batch, data []byte) (s Status) {
	b.Bytes += int64(len(data))
	own := len(c.carry) > 0
	if own {
		c.carry = append(c.carry, data...)
		data = c.carry
	}
	for !c.IsClosing() {
		if c.suspended.Load() || c.holdBack() {
			s = Suspended
			break
		}
		if event := c.event; event != nil {
			c.event = nil
			event(b)
			continue
		}
		if len(data) == 0 {
			break
		}
		n, v := c.next(b, data)
		if data = data[n:]; v == partial {
			break
		} else if v == later {
			s = Suspended
			break
		}
	}
	switch {
	case c.IsClosing() || len(data) == 0:
		if cap(c.carry) > keepCarryBytes || c.IsClosing() {
			c.carry = nil
		}
		c.carry = c.carry[:0]
	case own && len(data) < len(c.carry): // or else nothing was handled, and all is in its place
		c.carry = c.carry[:copy(c.carry, data)]
	case own:
	default:
		c.carry = append(c.carry[:0], data...)
	}
	if m := c.opts.Memory; m != nil {
		m.Note(&c.inNoted, int64(cap(c.carry)+c.aliases.bytes))
		c.inHeld.Store(c.inNoted)
		if s == Hungry && len(c.carry) > LittleBytes && m.Overdrawn() { // a paused publisher's packets are whole
			c.opts.Metrics.Hit(metrics.LimitMemoryPacket)
			c.Close(mqtt.QuotaExceeded, "the server has no memory left for a packet of this size")
		}
	}
	return s
}

// progress is what next made of a packet.
type progress uint8

const (
	handled progress = iota
	partial          // it is not whole, or it was the last one
	later            // it has to be handled again once the connection is resumed
)

// next handles the first packet of data and returns its length.
func (c *Conn) next(b *Batch, data []byte) (n int, p progress) {
	h, head, err := mqtt.DecodeHeader(data)
	if errors.Is(err, mqtt.ErrIncomplete) && (c.state != awaitConnect || data[0]>>4 == byte(mqtt.CONNECT)) {
		return 0, partial
	}
	if c.state == awaitConnect && h.Type != mqtt.CONNECT {
		c.Close(mqtt.ProtocolError, "") // [MQTT-3.1.0-1]: before a CONNECT nothing is owed an answer
		return 0, partial
	}
	if err != nil {
		c.fail(err)
		return 0, partial
	}
	size := head + int(h.Remaining)
	if uint64(size) > uint64(c.opts.MaxPacketBytes) {
		c.tooLarge(h, data[head:])
		return 0, partial
	}
	if len(data) < size {
		return 0, partial
	}
	verdict, err := c.packet(b, h, data[head:size])
	if err != nil {
		c.fail(err)
		return 0, partial
	}
	if verdict == Retry {
		return 0, later
	}
	if h.Type != mqtt.PUBLISH { // which is counted by its QoS
		b.Packet(h.Type)
	}
	c.received.Packets++
	c.keepAlive.touch()
	return size, handled
}

// tooLarge refuses a packet by its header. body is what has arrived of the rest.
func (c *Conn) tooLarge(h mqtt.Header, body []byte) {
	c.opts.Metrics.Hit(metrics.LimitPacketBytes)
	if h.Type == mqtt.CONNECT && c.state == awaitConnect {
		c.Close(mqtt.PacketTooLarge, "") // its version is not known yet
		return
	}
	if h.Type == mqtt.PUBLISH && c.state == open {
		c.opts.Metrics.Drop(message.DropLimit, 1)
		c.tellTooLarge(h, body)
	}
	c.Close(mqtt.PacketTooLarge, "the packet is larger than the server's maximum packet size")
}

// errUnexpected is a packet that a client must not send, or not now.
func errUnexpected(t mqtt.Type, why string) error {
	return &mqtt.DecodeError{Code: mqtt.ProtocolError, Packet: t, Reason: why}
}

func (c *Conn) packet(b *Batch, h mqtt.Header, body []byte) (Verdict, error) {
	switch c.state {
	case awaitConnect:
		return Done, c.connect(h, body)
	case connecting:
		return Done, errUnexpected(h.Type, "sent before CONNACK")
	case challenged:
		return Done, c.challengeAnswer(h, body)
	}
	if h.Type == mqtt.PUBLISH {
		return c.receivePublish(b, h, body)
	}
	return Done, c.control(b, h, body)
}

// connect hands a CONNECT to the handler, suspended until it is answered.
func (c *Conn) connect(h mqtt.Header, body []byte) error {
	p := new(mqtt.Connect)
	err := p.Decode(h, body, mqtt.V5)
	if p.Version != 0 {
		c.setVersion(p.Version)
	}
	c.mu.Lock()
	c.attachLimits(p)
	c.mu.Unlock()
	if err != nil {
		c.refuseMalformed(p, err)
		return nil
	}
	p.Password, p.AuthData = clone(p.Password), clone(p.AuthData)
	p.User = clone(p.User)
	if p.Will != nil {
		cloneWill(p.Will)
	}
	c.SetClientID(p.ClientID)
	if w := c.opts.Trace.Watch(); w != nil {
		c.tracePacket(w, trace.PacketIn, time.Now(), p, packetBytes(h))
	}
	c.authMethod = p.AuthMethod
	c.state = connecting
	c.Suspend()
	c.handler.Connect(c, p)
	return nil
}

// refuseMalformed answers a CONNECT that cannot be read: version 5 clients get a CONNACK that says why, and older ones
// only where the level is unknown; a 3.1.1 CONNECT that does not conform is closed without one [MQTT-3.1.4-1].
func (c *Conn) refuseMalformed(p *mqtt.Connect, err error) {
	code := mqtt.MalformedPacket
	var rc mqtt.ReasonCode
	if errors.As(err, &rc) {
		code = rc
	}
	switch {
	case code == mqtt.UnsupportedProtocolVersion:
		if p.Version >= mqtt.V5 { // a level that is to come, or a bridge's: it is told as version 5 tells it
			c.setVersion(mqtt.V5)
		} else {
			c.setVersion(mqtt.V311)
		}
		c.Refuse(code, "")
	case code == mqtt.ClientIDNotValid:
		c.Refuse(code, err.Error())
	case p.Version == mqtt.V5:
		c.Refuse(code, err.Error())
	default:
		c.Close(code, "")
	}
}

func (c *Conn) challengeAnswer(h mqtt.Header, body []byte) error {
	switch h.Type {
	case mqtt.AUTH:
		p := new(mqtt.Auth)
		if err := p.Decode(h, body, c.version); err != nil {
			return err
		}
		if !p.HasAuthMethod || p.AuthMethod != c.authMethod || p.Code != mqtt.ContinueAuthentication {
			return errUnexpected(mqtt.AUTH, "does not continue the authentication that CONNECT began [MQTT-4.12.0-5]")
		}
		p.AuthData = clone(p.AuthData)
		c.state = connecting
		c.Suspend()
		c.handler.Authenticate(c, p)
		return nil
	case mqtt.DISCONNECT:
		c.Close(mqtt.Success, "")
		return nil
	}
	return errUnexpected(h.Type, "sent before CONNACK [MQTT-3.1.2-30]")
}

// receivePublish decodes a PUBLISH in place and resolves its alias, before anybody looks at its topic.
func (c *Conn) receivePublish(b *Batch, h mqtt.Header, body []byte) (Verdict, error) {
	p := &b.publish
	if err := p.Decode(h, body, c.version); err != nil {
		return Done, err
	}
	if len(p.Properties.SubscriptionIDs) > 0 {
		return Done, errUnexpected(mqtt.PUBLISH, "a client sent a subscription identifier [MQTT-3.3.4-6]")
	}
	if p.Properties.Present.Has(mqtt.PropTopicAlias) {
		if err := c.resolveAlias(p); err != nil {
			return Done, err
		}
	}
	w := c.opts.Trace.Watch()
	if w != nil && !c.repeated {
		c.tracePublish(w, b, h, p)
	}
	verdict, err := c.port.Publish(b, p)
	if w != nil || c.repeated {
		c.repeated = w != nil && verdict == Retry
	}
	if verdict == Done && err == nil {
		b.Tally.Publish(p.QoS, len(p.Payload))
		c.received.Messages[p.QoS%3]++
	}
	return verdict, err
}

// control handles every packet of an open connection but PUBLISH.
func (c *Conn) control(b *Batch, h mqtt.Header, body []byte) error {
	switch h.Type {
	case mqtt.PUBACK:
		return c.receiveAck(b, h, body, &b.puback, &b.puback.Ack)
	case mqtt.PUBREC:
		return c.receiveAck(b, h, body, &b.pubrec, &b.pubrec.Ack)
	case mqtt.PUBREL:
		return c.receiveAck(b, h, body, &b.pubrel, &b.pubrel.Ack)
	case mqtt.PUBCOMP:
		return c.receiveAck(b, h, body, &b.pubcomp, &b.pubcomp.Ack)
	}
	p, err := mqtt.Decode(h, body, c.version)
	if err != nil {
		return err
	}
	if w := c.opts.Trace.Watch(); w != nil {
		c.tracePacket(w, trace.PacketIn, b.Now, p, packetBytes(h))
	}
	switch p := p.(type) {
	case *mqtt.Subscribe:
		return c.port.Subscribe(b, p)
	case *mqtt.Unsubscribe:
		return c.port.Unsubscribe(b, p)
	case *mqtt.Pingreq:
		c.pingresp(b)
		return nil
	case *mqtt.Disconnect:
		return c.receiveDisconnect(p)
	case *mqtt.Auth:
		return c.receiveAuth(p)
	}
	return errUnexpected(h.Type, "a client must not send it")
}

type decoder interface {
	Decode(h mqtt.Header, body []byte, v mqtt.Version) error
}

// receiveAck decodes an acknowledgement, without allocating, and passes it on.
func (c *Conn) receiveAck(b *Batch, h mqtt.Header, body []byte, p decoder, ack *mqtt.Ack) error {
	if err := p.Decode(h, body, c.version); err != nil {
		return err
	}
	if w := c.opts.Trace.Watch(); w != nil {
		c.traceAck(w, b, h, ack)
	}
	return c.port.Ack(b, h.Type, ack)
}

func (c *Conn) receiveDisconnect(p *mqtt.Disconnect) error {
	if p.ServerReference != "" {
		return errUnexpected(mqtt.DISCONNECT, "a client sent a server reference")
	}
	if err := c.port.Disconnect(p); err != nil {
		return err
	}
	c.mu.Lock()
	c.endCode, c.endReason = p.Code, p.ReasonString
	c.mu.Unlock()
	c.left.Store(true)
	c.Close(mqtt.Success, "")
	return nil
}

func (c *Conn) receiveAuth(p *mqtt.Auth) error {
	if c.authMethod == "" {
		return errUnexpected(mqtt.AUTH, "the connection has no authentication method [MQTT-4.12.0-7]")
	}
	if p.AuthMethod != c.authMethod {
		return errUnexpected(mqtt.AUTH, "the authentication method differs from CONNECT's [MQTT-4.12.1-1]")
	}
	p.AuthData = clone(p.AuthData)
	return c.port.Authenticate(p)
}

func clone[T ~[]byte](b T) T {
	if b == nil {
		return nil
	}
	return append(T{}, b...)
}

func cloneWill(w *mqtt.Will) {
	w.Payload = clone(w.Payload)
	w.Properties.ResponseTopic = clone(w.Properties.ResponseTopic)
	w.Properties.CorrelationData = clone(w.Properties.CorrelationData)
	w.Properties.ContentType = clone(w.Properties.ContentType)
	w.Properties.User = clone(w.Properties.User)
}

package conn

import (
	"fmt"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/trace"
	"github.com/barid-mqtt/barid/mqtt"
)

// This file tells traces of packets. Its functions are called only while something is watched.

// SetClientID says whose connection it is, for traces, once that is known.
func (c *Conn) SetClientID(id string) {
	c.mu.Lock()
	c.clientID = id
	c.mu.Unlock()
}

// End is how a connection ended.
type End struct {
	Code   mqtt.ReasonCode // that it was closed with, or that the client's DISCONNECT had
	Reason string
	Left   bool // the client said DISCONNECT
}

// End returns how the connection ended; the zero End: it was lost, or goes on.
func (c *Conn) End() End {
	c.mu.Lock()
	defer c.mu.Unlock()
	return End{c.endCode, c.endReason, c.left.Load()}
}

// String says in a few words why the connection ended.
func (e End) String() string {
	switch {
	case e.Left:
		return "the client disconnected"
	case e.Code == mqtt.Success && e.Reason == "":
		return "the connection was lost"
	case e.Reason == "":
		return e.Code.String()
	}
	return e.Reason
}

// tellTooLarge remembers that a PUBLISH was refused by its length, and of which topic it is if that has arrived.
func (c *Conn) tellTooLarge(h mqtt.Header, body []byte) {
	c.opts.Trace.Note(trace.Refused, message.DropLimit, c.clientID, nil, time.Now(), 1, func(e *trace.Event) {
		e.Remote, e.Code, e.HasCode, e.Packet, e.Bytes = c.info.RemoteAddr, mqtt.PacketTooLarge, true, mqtt.PUBLISH, packetBytes(h)
		if len(body) >= 2 {
			if n := int(body[0])<<8 | int(body[1]); n <= len(body)-2 {
				e.Topic = strings.ToValidUTF8(string(body[2:2+n]), "\uFFFD")
			}
		}
		e.Text = fmt.Sprintf("it has %d bytes, and mqtt.max_packet_bytes, or that of the listener, is %d", packetBytes(h), c.opts.MaxPacketBytes)
	})
}

// tracePublish tells of a PUBLISH that came, its alias resolved.
func (c *Conn) tracePublish(w *trace.Watch, b *Batch, h mqtt.Header, p *mqtt.Publish) {
	e := &trace.Event{At: b.Now, Packet: mqtt.PUBLISH, PacketID: p.PacketID, QoS: p.QoS, Retain: p.Retain, Dup: p.Dup, Topic: string(p.Topic)}
	c.trace(w, trace.PacketIn, e, packetBytes(h))
}

// traceAck tells of an acknowledgement that came.
func (c *Conn) traceAck(w *trace.Watch, b *Batch, h mqtt.Header, p *mqtt.Ack) {
	c.trace(w, trace.PacketIn, &trace.Event{At: b.Now, Packet: h.Type, PacketID: p.PacketID, Code: p.Code, HasCode: true}, packetBytes(h))
}

// tracePacket tells of any other packet, either way.
func (c *Conn) tracePacket(w *trace.Watch, kind trace.Kind, at time.Time, p mqtt.Packet, bytes int) {
	e := &trace.Event{At: at, Packet: p.Type()}
	switch p := p.(type) {
	case *mqtt.Connect:
		e.Username = p.Username
		e.Text = fmt.Sprintf("version %s, clean start %t, keep alive %d s, expiry %d s", p.Version, p.CleanStart, p.KeepAlive, p.SessionExpirySeconds)
		if p.Will != nil {
			e.Text += fmt.Sprintf(", will on %q", p.Will.Topic)
		}
	case *mqtt.Connack:
		e.Code, e.HasCode, e.Text = p.Code, true, fmt.Sprintf("session present %t", p.SessionPresent)
	case *mqtt.Subscribe:
		e.PacketID = p.PacketID
		for _, f := range p.Filters {
			e.List = append(e.List, f.Filter)
			e.Text += fmt.Sprintf("%q with QoS %d; ", f.Filter, f.QoS)
		}
	case *mqtt.Unsubscribe:
		e.PacketID, e.List = p.PacketID, p.Filters
	case *mqtt.Suback:
		e.PacketID, e.Text = p.PacketID, fmt.Sprintf("codes %v", p.Codes)
	case *mqtt.Unsuback:
		e.PacketID, e.Text = p.PacketID, fmt.Sprintf("codes %v", p.Codes)
	case *mqtt.Pubrel:
		e.PacketID, e.Code, e.HasCode = p.PacketID, p.Code, true
	case *mqtt.Disconnect:
		e.Code, e.HasCode, e.Text = p.Code, true, p.ReasonString
	case *mqtt.Auth:
		e.Code, e.HasCode, e.Text = p.Code, true, "method "+p.AuthMethod
	}
	c.trace(w, kind, e, bytes)
}

// trace completes an event of a packet, and emits it if somebody wants it.
func (c *Conn) trace(w *trace.Watch, kind trace.Kind, e *trace.Event, bytes int) {
	if w.Connection(c.clientID, c.info.RemoteAddr, e.Topic, e.List) {
		e.Kind, e.ClientID, e.Remote, e.Bytes = kind, c.clientID, c.info.RemoteAddr, bytes
		w.Emit(e)
	}
}

func packetBytes(h mqtt.Header) int { return 1 + mqtt.VarintLen(h.Remaining) + int(h.Remaining) }

// traceSent tells of a delivery that was encoded, n bytes long. The caller holds c.mu.
func (w Writer) traceSent(watch *trace.Watch, d *session.Delivery, id uint16, dup bool, n int) {
	watch.Message(trace.Sent, d.Message, w.c.clientID, w.c.info.RemoteAddr, w.b.Now, func(e *trace.Event) {
		e.Packet, e.PacketID, e.QoS, e.Retain, e.Dup, e.Bytes = mqtt.PUBLISH, id, d.QoS, d.Retain, dup, n
	})
}

// traceOut tells of an acknowledgement that goes out. The caller holds c.mu.
func (c *Conn) traceOut(w *trace.Watch, t mqtt.Type, id uint16, code mqtt.ReasonCode, bytes int) {
	c.trace(w, trace.PacketOut, &trace.Event{At: time.Now(), Packet: t, PacketID: id, Code: code, HasCode: true}, bytes)
}

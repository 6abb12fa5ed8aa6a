package broker

import (
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/trace"
	"github.com/barid-mqtt/barid/mqtt"
)

// This file is what the broker tells of messages: to the metrics, and to who traces them or remembers them.

// drop counts a message that goes no further. subscriber is whose copy it is; "": it is the message as a whole.
func (b *Broker) drop(reason message.DropReason, subscriber string, m *message.Message, at time.Time) {
	b.dropMany(reason, subscriber, m, at, 1)
}

// dropMany is drop for n messages, of which m is one; nil: they are not at hand.
func (b *Broker) dropMany(reason message.DropReason, subscriber string, m *message.Message, at time.Time, n int64) {
	if n == 0 {
		return
	}
	b.metrics.Drop(reason, n)
	b.trace.Note(trace.Dropped, reason, subscriber, m, at, n, nil)
}

// drop counts a copy that the client does not get. The caller holds c.mu.
func (c *client) drop(reason message.DropReason, m *message.Message, at time.Time) {
	c.dropMany(reason, m, at, 1)
}

// dropMany is drop for n copies, of which m is one; nil: they are not at hand. The caller holds c.mu.
func (c *client) dropMany(reason message.DropReason, m *message.Message, at time.Time, n int64) {
	if n == 0 {
		return
	}
	c.lose().dropped(reason, n)
	c.broker.metrics.Drop(reason, n)
	c.broker.trace.Note(trace.Dropped, reason, c.id, m, at, n, func(e *trace.Event) { e.Remote = c.remote() })
}

// remote is the address of the client; nil: it has no connection. The caller holds c.mu.
func (c *client) remote() net.Addr {
	if c.link == nil {
		return nil
	}
	return c.link.conn.Info().RemoteAddr
}

// Name is what traces call the subscriber.
func (c *client) Name() string { return c.id }

// Name is what traces call the group.
func (g *group) Name() string {
	switch {
	case g.consumer != nil:
		return "consumer " + g.consumer.doc.Name
	case g.isQueue():
		return g.key.name
	}
	return "$share/" + g.key.name + "/" + g.key.filter
}

// Name is what traces call the reader of a stream.
func (f *follower) Name() string { return f.client.id + " by $stream/" + f.stream.Name() }

// tellQueued tells that a copy waits for the client. The caller holds c.mu.
func (c *client) tellQueued(m *message.Message, qos mqtt.QoS, at time.Time, where string) {
	if w := c.broker.trace.Watch(); w != nil {
		w.Message(trace.Queued, m, c.id, c.remote(), at, func(e *trace.Event) { e.QoS, e.Text = qos, where })
	}
}

// tellAcknowledged tells that the client has a message. The caller holds c.mu.
func (c *client) tellAcknowledged(w *trace.Watch, id uint16, d *session.Delivery, code mqtt.ReasonCode) {
	w.Message(trace.Acknowledged, d.Message, c.id, c.remote(), time.Now(), func(e *trace.Event) {
		e.PacketID, e.QoS, e.Code, e.HasCode, e.Packet = id, d.QoS, code, true, mqtt.PUBACK
		if d.QoS == mqtt.ExactlyOnce {
			if e.Packet = mqtt.PUBCOMP; code.Failed() {
				e.Packet = mqtt.PUBREC
			}
		}
	})
}

// tellReceived tells that a message was taken from its publisher, and which rule allows it.
func (l *link) tellReceived(w *trace.Watch, m *message.Message, id uint16, at time.Time) {
	w.Message(trace.Received, m, l.client.id, l.conn.Info().RemoteAddr, at, func(e *trace.Event) {
		e.Username, e.PacketID = l.identity.Username, id
		_, grounds := l.client.broker.permissions.Explain(l.identity, auth.Access{Action: auth.Publish, Topic: l.client.broker.destination(m.Topic), QoS: m.QoS, Retain: m.Retain})
		e.Text = lastRule(grounds)
	})
}

// tellRefused counts and remembers that a PUBLISH was refused.
func (l *link) tellRefused(topic string, p *mqtt.Publish, code mqtt.ReasonCode, at time.Time) {
	b := l.client.broker
	reason := refusalOf(code)
	b.metrics.Drop(reason, 1)
	l.client.mu.Lock()
	l.client.lose().Refused++
	l.client.mu.Unlock()
	m := &message.Message{Topic: topic, QoS: p.QoS, Retain: p.Retain, Payload: p.Payload, PublishedAt: at, ClientID: l.client.id, Username: l.identity.Username}
	b.trace.Note(trace.Refused, reason, l.client.id, m, at, 1, func(e *trace.Event) {
		e.Remote, e.Username, e.Code, e.HasCode, e.PacketID, e.QoS = l.conn.Info().RemoteAddr, l.identity.Username, code, true, p.PacketID, p.QoS
		e.Text = l.refusal(topic, p, code)
	})
}

// refusalOf is the reason for which a message is dropped that its publisher is refused with a code.
func refusalOf(code mqtt.ReasonCode) message.DropReason {
	switch code {
	case mqtt.NotAuthorized:
		return message.DropNotAuthorized
	case mqtt.ReceiveMaximumExceeded:
		return message.DropLimit
	}
	return message.DropInvalid
}

// refusal says why a PUBLISH is refused: the rule, or the key of the configuration.
func (l *link) refusal(topic string, p *mqtt.Publish, code mqtt.ReasonCode) string {
	b := l.client.broker
	switch code {
	case mqtt.NotAuthorized:
		_, grounds := b.permissions.Explain(l.identity, auth.Access{Action: auth.Publish, Topic: b.destination(topic), QoS: p.QoS, Retain: p.Retain})
		return lastRule(grounds)
	case mqtt.QoSNotSupported:
		return fmt.Sprintf("its QoS is %d, and mqtt.max_qos is %d", p.QoS, b.cfg.MQTT.MaxQoS)
	case mqtt.RetainNotSupported:
		return "it is to be retained, and mqtt.retain_available is false"
	case mqtt.ReceiveMaximumExceeded:
		return fmt.Sprintf("the client had as many messages under way as mqtt.receive_maximum, %d, allows", b.cfg.MQTT.ReceiveMaximum)
	}
	if isRead(topic) {
		return "the topic is that of a stream or a queue, which are read and not published to"
	}
	return "the topic is empty, has wildcards, or is longer or deeper than mqtt.max_topic_bytes and mqtt.max_topic_levels allow"
}

// tellEnd remembers how a connection ended.
func (l *link) tellEnd() {
	end, remote := l.conn.End(), l.conn.Info().RemoteAddr
	l.client.broker.trace.Note(trace.Disconnected, message.NotDropped, l.client.id, nil, time.Now(), 1, func(e *trace.Event) {
		e.Remote, e.Username = remote, l.identity.Username
		switch {
		case end.Left:
			e.Code, e.HasCode, e.Text = end.Code, true, "the client said DISCONNECT"
		case end.Code == mqtt.Success:
			e.Text = "the connection was lost, or the client closed it without DISCONNECT"
		default:
			e.Code, e.HasCode, e.Text = end.Code, true, "the broker closed it"
		}
		if end.Reason != "" {
			e.Text += ": " + end.Reason
		}
	})
}

// tellConnected tells that a client was let in.
func (l *link) tellConnected(present bool) {
	w := l.client.broker.trace.Watch()
	if remote := l.conn.Info().RemoteAddr; w != nil && w.Connection(l.client.id, remote, "", nil) {
		text := "a new session"
		if present {
			text = "its session goes on"
		}
		w.Emit(&trace.Event{At: time.Now(), Kind: trace.Connected, ClientID: l.client.id, Username: l.identity.Username, Remote: remote, Text: text})
	}
}

// Trace is what traces and remembers.
func (b *Broker) Trace() *trace.Spine { return b.trace }

func (b *Broker) traceOptions() trace.Options {
	cfg := &b.cfg.Trace
	return trace.Options{
		Dir: filepath.Join(b.cfg.DataDir, "trace"), MaxTraces: cfg.MaxTraces, MaxBytes: cfg.MaxBytes, PayloadMaxBytes: int(cfg.PayloadMaxBytes),
		RecentMaxBytes: cfg.RecentMaxBytes, Log: b.logs.client,
	}
}

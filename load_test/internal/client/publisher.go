package client

import (
	"fmt"
	"math"
	"time"

	"github.com/barid-mqtt/barid/load_test/internal/loop"
	"github.com/barid-mqtt/barid/load_test/internal/wire"
	"github.com/barid-mqtt/barid/mqtt"
)

// maxPending is how much output a publisher prepares ahead of the socket.
const maxPending = 64 << 10

// maxInFlight is how many messages may lack an acknowledgement, so that packet identifiers do not meet.
const maxInFlight = 1 << 15

// Pace says when a publisher sends.
type Pace struct {
	Window   int           // messages that are not done at a time; 0: as many as the socket takes
	Refill   int           // send when at least so many may be sent: larger writes; 0: 1
	FanOut   int           // deliveries that make a message done; 0: its acknowledgement alone
	Interval time.Duration // of an open loop; 0: closed loop
	Phase    time.Duration // of an open loop: when the first message is due
	OneWrite bool          // a write for each message
	Count    int64         // messages in all; 0: no limit
}

// Publisher sends messages whose payload says who sent them, their number and when they were due.
type Publisher struct {
	// Static after construction.
	client   *loop.Client
	ledger   *Ledger
	index    uint32
	message  *wire.Template
	qos      mqtt.QoS
	pace     Pace
	interval int64
	onState  func(up bool, err error)

	// Guarded by the loop.
	stopped   bool
	begin     int64   // when the first message is due, in an open loop
	due       int64   // messages that are due
	sent      int64   // messages sent, which is the number of the next
	recd      int64   // PUBRECs that came
	acked     int64   // messages acknowledged, or written off
	delivered int64   // deliveries that were seen, or written off
	inFlight  int64   // window that the broker allows
	times     []int64 // when those in flight were due, by number
}

// NewPublisher makes a publisher that is not connected. onState is told whenever it is connected or has lost its
// connection, with the loop's lock held.
func NewPublisher(g *Ledger, hello *mqtt.Connect, index uint32, m *wire.Template, qos mqtt.QoS, pace Pace, onState func(up bool, err error)) *Publisher {
	p := &Publisher{
		ledger: g, index: index, message: m, qos: qos, pace: pace, interval: int64(pace.Interval), onState: onState,
		stopped: true, inFlight: maxInFlight,
	}
	if qos > mqtt.AtMostOnce {
		size := 1
		for size < maxInFlight && (pace.Window == 0 || size < pace.Window) {
			size *= 2
		}
		p.times = make([]int64, size)
		p.inFlight = int64(size)
	}
	p.client = loop.NewClient(g.loop, hello, p)
	return p
}

// Client returns the connection.
func (p *Publisher) Client() *loop.Client { return p.client }

// Sent returns how many messages were sent.
func (p *Publisher) Sent() int64 { return p.sent }

// Outstanding returns how many messages lack their acknowledgement, and how many deliveries are to come.
func (p *Publisher) Outstanding() (acks, deliveries int64) {
	if p.qos > mqtt.AtMostOnce {
		acks = p.sent - p.acked
	}
	return acks, p.sent*int64(p.pace.FanOut) - p.delivered
}

// WriteOff gives up what is outstanding, so that a closed loop goes on after a broker has dropped messages.
func (p *Publisher) WriteOff(now int64) {
	_, deliveries := p.Outstanding()
	p.delivered += deliveries
	p.Pump(now)
}

func (p *Publisher) start(at int64) {
	p.begin = at + int64(p.pace.Phase)
	p.stopped = false
	p.Pump(at)
}

// dueAt returns when message n of an open loop is due.
func (p *Publisher) dueAt(n int64) int64 { return p.begin + n*p.interval }

func (p *Publisher) deliveredMore(n, now int64) {
	p.delivered += n
	if p.pace.Window > 0 {
		p.Pump(now)
	}
}

// limit returns the number below which messages may be sent now.
func (p *Publisher) limit() int64 {
	n := int64(math.MaxInt64)
	if p.interval > 0 {
		n = p.due
	}
	if p.pace.Count > 0 {
		n = min(n, p.pace.Count)
	}
	if p.qos > mqtt.AtMostOnce {
		n = min(n, p.acked+p.inFlight)
	}
	if w := int64(p.pace.Window); w > 0 {
		if p.qos > mqtt.AtMostOnce {
			n = min(n, p.acked+w)
		}
		if f := int64(p.pace.FanOut); f > 0 {
			n = min(n, p.delivered/f+w)
		}
	}
	return n
}

// Pump sends what may be sent.
func (p *Publisher) Pump(now int64) {
	c := p.client
	if p.stopped || !c.Up() || c.Blocked() {
		return
	}
	limit := p.limit()
	if p.sent+int64(p.pace.Refill) > limit && p.interval == 0 {
		return
	}
	for p.sent < limit && !c.Blocked() {
		if c.Pending() > maxPending {
			if c.Flush(); c.Blocked() || !c.Up() {
				return
			}
		}
		p.send(now)
		if p.pace.OneWrite {
			c.Flush()
		}
	}
}

func (p *Publisher) send(now int64) {
	at := now
	if p.interval > 0 {
		at = p.dueAt(p.sent)
	}
	var id uint16
	if p.qos > mqtt.AtMostOnce {
		id = packetID(p.sent)
		p.times[p.sent%int64(len(p.times))] = at
	}
	p.client.SetOut(p.message.Append(p.client.Out(), id, wire.Stamp{Publisher: p.index, Seq: uint32(p.sent), At: at}))
	p.sent++
	p.ledger.Sent++
}

// packetID returns the packet identifier of message n.
func packetID(n int64) uint16 { return uint16(n%math.MaxUint16) + 1 }

// Connected implements loop.Handler.
func (p *Publisher) Connected(c *loop.Client, ack *mqtt.Connack) {
	if p.qos > mqtt.AtMostOnce && ack.ReceiveMaximum > 0 {
		p.inFlight = min(p.inFlight, int64(ack.ReceiveMaximum))
	}
	p.onState(true, nil)
}

// Packet implements loop.Handler.
func (p *Publisher) Packet(c *loop.Client, h mqtt.Header, body []byte) error {
	id, code, ok := wire.Ack(body)
	switch {
	case !ok:
		return fmt.Errorf("a publisher got %v of %d bytes", h.Type, len(body))
	case h.Type == mqtt.PUBREC && p.qos == mqtt.ExactlyOnce && !code.Failed():
		if id != packetID(p.recd) {
			p.ledger.AcksOutOfOrder++
		}
		p.recd++
		c.SetOut(wire.AppendAck(c.Out(), mqtt.PUBREL, id))
		return nil
	case h.Type == mqtt.PUBREC && code.Failed():
		p.recd++
	case h.Type == mqtt.PUBACK && p.qos == mqtt.AtLeastOnce, h.Type == mqtt.PUBCOMP && p.qos == mqtt.ExactlyOnce:
	default:
		return fmt.Errorf("a publisher with QoS %d got %v", p.qos, h.Type)
	}
	p.ack(id, code)
	return nil
}

// ack takes the last acknowledgement of a message. MQTT has them come in the order of the messages.
func (p *Publisher) ack(id uint16, code mqtt.ReasonCode) {
	if id != packetID(p.acked) {
		p.ledger.AcksOutOfOrder++
	}
	if code.Failed() {
		p.ledger.Refused++
		p.delivered += int64(p.pace.FanOut)
	}
	now := p.client.Loop().Time()
	p.ledger.Ack.Record(time.Duration(now - p.times[p.acked%int64(len(p.times))]))
	p.acked++
	p.ledger.Acked++
	p.Pump(now)
}

// Writable implements loop.Handler.
func (p *Publisher) Writable(*loop.Client) { p.Pump(p.client.Loop().Time()) }

// Closed implements loop.Handler.
func (p *Publisher) Closed(_ *loop.Client, err error) { p.onState(false, err) }

// Package conn is one network connection: bytes in, packets handled, bytes out. It owns what dies with the socket:
// topic aliases, keep alive, packet limits, the order of acknowledgements and the outbound buffer.
//
// A Conn does no I/O. A driver feeds it what was read and writes what it has to say; Drive makes one that uses a
// goroutine for each connection, and an event loop can do the same. Whatever takes time (a hash, a commit, an
// authoriser that asks elsewhere) suspends the connection: Feed then stops at a packet's end, keeps what is left, and
// goes on with the next Feed after Resume.
package conn

import (
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/trace"
	"github.com/barid-mqtt/barid/mqtt"
)

// Options are what all connections of a listener have in common.
type Options struct {
	MaxPacketBytes       uint32        // of packets that come in, header included
	TopicAliasMaximum    uint16        // aliases that a client may use
	TopicAliasOutMaximum uint16        // aliases that we use, where the client allows as many
	OutMaxBytes          int           // of deliveries that may wait to be written, and of answers as many again
	ConnectTimeout       time.Duration // until CONNECT has arrived and was accepted
	// Clock is the time, by which messages expire, of a moment that time.Now returned; nil: that moment.
	Clock     func(moment time.Time) time.Time
	Metrics   *metrics.Metrics
	KeepAlive *KeepAlive
	Flusher   *Flusher
	Memory    *Memory // nil: no limit
	Trace     *trace.Spine
}

// Info is what is known of a connection from outside the protocol.
type Info struct {
	Listener   string
	RemoteAddr net.Addr
}

// Handler gets a connection's CONNECT. Both calls come while the connection is suspended; whoever answers (Accept,
// Refuse or Challenge) does so then or later, from any goroutine. The packet is valid until then.
type Handler interface {
	Connect(c *Conn, p *mqtt.Connect)
	// Authenticate continues an enhanced authentication that was answered by Challenge.
	Authenticate(c *Conn, p *mqtt.Auth)
	// Aborted says that the connection ended before it was accepted.
	Aborted(c *Conn)
}

// Verdict says what became of a PUBLISH.
type Verdict uint8

// The verdicts. Retry means that nothing was done: the port has called Suspend, and the same packet is handled anew
// when the connection is resumed.
const (
	Done Verdict = iota
	Retry
)

// Port is the session that an accepted connection talks to. Packets are valid during the call, or, where the port
// suspended the connection, until it resumes. A returned error, which is or wraps an mqtt.ReasonCode, ends the
// connection.
type Port interface {
	Publish(b *Batch, p *mqtt.Publish) (Verdict, error)
	Ack(b *Batch, t mqtt.Type, p *mqtt.Ack) error
	Subscribe(b *Batch, p *mqtt.Subscribe) error
	Unsubscribe(b *Batch, p *mqtt.Unsubscribe) error
	Authenticate(p *mqtt.Auth) error
	Disconnect(p *mqtt.Disconnect) error
	// Writable says that the outbound buffer, which was full, has room again.
	Writable(b *Batch)
	// Closed says that the connection handles no packet any more. It comes once, after every other call but Writable.
	Closed()
}

type state uint8

const (
	awaitConnect state = iota
	connecting         // CONNECT is with the handler
	challenged         // the client has to answer an AUTH
	open
)

// Bits of Conn.input: who may still touch the input side, and whether it is over. looking is there by itself, for as long
// as somebody reads what the client sent, who takes turns with whoever feeds the connection: see Traffic.
const (
	feeding = 1 << iota
	closing
	finished
	looking
)

// Conn is one connection.
type Conn struct {
	// Static after construction.
	opts      *Options
	info      Info
	transport Transport
	wake      func() // tells the driver that Resume, Close or CloseAfterInput was called

	// Owned by whoever feeds the connection; set by the handler's answers while it is suspended.
	state      state
	carry      []byte // what has arrived of a packet that is not complete, or what waits behind a suspension
	aliases    aliasTable
	authMethod string
	handler    Handler      // nil: the connection was accepted; written under mu as well
	port       Port         // written under mu as well
	event      func(*Batch) // to run before the next packet; nil: none
	clientID   string       // for traces; written under mu as well
	repeated   bool         // the PUBLISH that comes next has been traced
	keepAlive  slot
	received   Traffic
	inNoted    int64        // bytes of carry and aliases that Memory knows of
	inHeld     atomic.Int64 // the same, for everybody

	input     atomic.Uint32 // feeding, closing, finished, looking
	suspended atomic.Bool
	left      atomic.Bool // the client said DISCONNECT
	indebted  atomic.Bool // it may owe the client too much to handle another packet
	ending    atomic.Pointer[ending]

	mu sync.Mutex // guards out; nothing else is locked while it is held
	out
}

// New makes the connection of a socket that was just accepted. A driver has to call Drive before it feeds it.
func New(o *Options, h Handler, info Info) *Conn {
	c := &Conn{opts: o, handler: h, info: info}
	c.out.version = mqtt.V5
	return c
}

// Drive tells the connection who drives it: t writes for it, and wake is called, from any goroutine and under locks,
// when it was resumed or closed, or is to be closed after its input. From now on the client has ConnectTimeout to be accepted.
func (c *Conn) Drive(t Transport, wake func()) {
	c.transport, c.wake = t, wake
	c.keepAlive.add(c.opts.KeepAlive, c)
	c.keepAlive.set(c.opts.ConnectTimeout)
}

// Info returns what was known when the connection was accepted.
func (c *Conn) Info() Info { return c.info }

// Status is what Feed returns.
type Status uint8

// The states in which Feed leaves a connection.
const (
	Hungry    Status = iota // it takes more bytes
	Suspended               // feed it again, with nothing, after Resume, which may have come already
	Closed                  // it takes nothing more
)

// Feed handles the packets in data, which it does not keep. What it has to say is in the outbound buffers of the
// connections that b lists.
func (c *Conn) Feed(b *Batch, data []byte) Status {
	if !c.enter() {
		return Closed
	}
	if len(data) > 0 {
		c.received.Transfers++
		c.received.Bytes += int64(len(data))
	}
	s := c.feed(b, data)
	if c.leave() {
		return Closed
	}
	return s
}

// enter and leave bracket the use of the input side, so that Close knows when it is over.
func (c *Conn) enter() bool {
	return c.input.CompareAndSwap(0, feeding) || c.enterAfter()
}

func (c *Conn) leave() (over bool) {
	if c.input.CompareAndSwap(feeding, 0) {
		return false
	}
	c.input.Store(closing | finished)
	c.finish()
	return true
}

// finish runs once, when no packet will be handled any more.
func (c *Conn) finish() {
	c.carry, c.aliases = nil, aliasTable{}
	c.opts.Memory.Note(&c.inNoted, 0)
	c.inHeld.Store(0)
	c.keepAlive.remove()
	c.mu.Lock()
	port, handler := c.port, c.handler
	c.mu.Unlock()
	if port != nil {
		port.Closed()
	} else {
		handler.Aborted(c)
	}
}

// Suspend keeps Feed from handling more packets until Resume. Ports and handlers call it while they handle a packet.
func (c *Conn) Suspend() { c.suspended.Store(true) }

// Resume ends a suspension. It may be called from any goroutine.
func (c *Conn) Resume() {
	if c.suspended.Swap(false) && c.input.Load()&feeding == 0 && c.wake != nil {
		c.wake() // or else whoever feeds it sees that it goes on
	}
}

// ResumeWith ends a suspension, and has event run by whoever feeds the connection, before it handles the next packet. If
// the connection is closed before that, event does not run.
func (c *Conn) ResumeWith(event func(*Batch)) {
	c.event = event
	c.Resume()
}

// IsSuspended reports whether the connection waits for Resume.
func (c *Conn) IsSuspended() bool { return c.suspended.Load() }

// Close ends the connection. A version 5 client that was accepted gets a DISCONNECT with code and, where it fits, the
// reason; code 0 says nothing. It may be called from any goroutine, more than once; the first call decides.
func (c *Conn) Close(code mqtt.ReasonCode, reason string) {
	c.sayGoodbye(code, reason)
	for {
		old := c.input.Load()
		if old&closing != 0 {
			break
		}
		if old == looking {
			runtime.Gosched()
		} else if old == 0 {
			if c.input.CompareAndSwap(0, closing|finished) {
				c.finish()
				break
			}
		} else if c.input.CompareAndSwap(old, old|closing) {
			return // whoever feeds it finishes it
		}
	}
	if c.wake != nil {
		c.wake()
	}
}

// ending is how a connection is to be closed once its input is handled.
type ending struct {
	code   mqtt.ReasonCode
	reason string
}

// CloseAfterInput has the driver close the connection, as Close would, when it has handled what has arrived: a client
// that sent its last messages and DISCONNECT, and is back already on another connection, has said all that before.
func (c *Conn) CloseAfterInput(code mqtt.ReasonCode, reason string) {
	if c.ending.CompareAndSwap(nil, &ending{code, reason}) {
		c.wake()
	}
}

// hasLeft reports whether the client said DISCONNECT, after which it is owed nothing.
func (c *Conn) hasLeft() bool { return c.left.Load() }

// IsClosing reports whether Close was called.
func (c *Conn) IsClosing() bool { return c.input.Load()&closing != 0 }

// fail closes the connection for an error in what the client sent.
func (c *Conn) fail(err error) {
	code := mqtt.UnspecifiedError
	var rc mqtt.ReasonCode
	if errors.As(err, &rc) {
		code = rc
	}
	c.Close(code, err.Error())
}

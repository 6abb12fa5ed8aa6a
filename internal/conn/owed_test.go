package conn

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/mqtt"
	"github.com/barid-mqtt/barid/pkg/memnet"
)

// A client that does not read its answers is not read, and what it may make a connection hold is bounded.
func TestAClientThatTakesNoAnswersIsHeldBack(t *testing.T) {
	const limit = 4096
	ping := []byte{0xC0, 0}
	id := []byte{0x62, 2, 0, 7} // PUBREL, which the recorder's port does not answer
	for _, c := range []struct {
		name  string
		data  []byte
		after func(*Conn, *Batch)
		extra int // answers to the packet that was the last straw
	}{
		{"PINGRESP", ping, func(*Conn, *Batch) {}, 1},
		{"acknowledgements", id, func(c *Conn, b *Batch) { c.AckNow(b, mqtt.PUBCOMP, 7, mqtt.PacketIDNotFound) }, 0},
		{"acknowledgements that wait", id, func(c *Conn, b *Batch) { c.AckLater(mqtt.PUBCOMP, 7) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, r := newRecorded(func(o *Options) { o.OutMaxBytes = limit })
			feed(k, stream(t, mqtt.V5, dialogue[0]))
			b := NewBatch()
			b.dirty = append(b.dirty, k) // as if its flush were to come: nothing is written meanwhile
			k.dirty = true
			n := 0
			for ; n < 10*limit; n++ {
				if k.Feed(b, c.data) == Suspended {
					break
				}
				c.after(k, b)
			}
			k.mu.Lock()
			owed := k.owed()
			k.mu.Unlock()
			if owed < limit || owed > limit+pendingAckBytes || !k.IsSuspended() {
				t.Fatalf("after %d packets %d bytes are owed, suspended: %v", n, owed, k.IsSuspended())
			}
			for i := range k.acks.items {
				k.AckReady(Ticket(i), mqtt.Success)
			}
			b.Flush(k.opts.Metrics)
			if k.IsSuspended() {
				t.Error("still suspended when all was written")
			}
			if s := feed(k, nil); s != Hungry {
				t.Errorf("status %v", s)
			}
			answers := packets(t, mqtt.V5, r.written)[1:]
			if feed(k, ping); len(answers) != n+c.extra {
				t.Errorf("%d answers to %d packets", len(answers), n)
			}
		})
	}
}

// endless is a port that always has another answer-like delivery to make, as a large backlog is.
type endless struct {
	*recorder
	asked int
}

func (p *endless) Authenticate(*mqtt.Auth) error { return nil }

func (p *endless) Writable(b *Batch) {
	p.asked++
	w := p.conn.Begin(b)
	for w.Room() {
		w.Pubrel(1, mqtt.Success)
	}
	w.End()
}

// Whoever flushes a connection writes once: what its port has to go on with is the flusher's turn.
func TestAFlushDoesNotServeOneConnectionForEver(t *testing.T) {
	m := new(metrics.Metrics)
	f := &Flusher{metrics: m} // without goroutines
	f.wake.L = &f.mu
	c, r := newRecorded(func(o *Options) { o.Metrics, o.Flusher, o.OutMaxBytes = m, f, 1000 })
	feed(c, stream(t, mqtt.V5, dialogue[0]))
	p := &endless{recorder: r}
	c.port = p
	b := NewBatch()
	p.Writable(b)
	for i := range 3 {
		b.Flush(m)
		if p.asked != i+2 || len(f.queue) != 1 || f.queue[0] != c || len(b.dirty) != 0 {
			t.Fatalf("flush %d: the port was asked %d times, %d wait for the flusher", i, p.asked, len(f.queue))
		}
		b.dirty, f.queue = append(b.dirty, f.queue...), nil
	}
}

// A connection that stands still because its client does not read is closed by keep alive; while it reads, it is not.
func TestKeepAliveEndsAClientThatDoesNotRead(t *testing.T) {
	for _, reads := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			k, m := NewKeepAlive(), new(metrics.Metrics)
			f := NewFlusher(1, m)
			o := &Options{MaxPacketBytes: 1000, OutMaxBytes: 200_000, Metrics: m, KeepAlive: k, Flusher: f, ConnectTimeout: time.Second}
			client, server := memnet.Pipe()
			r := &recorder{}
			c := New(o, handler{r}, Info{})
			r.conn = c
			done := make(chan struct{})
			start := Drive(c, Socket{Conn: server})
			start(func() { close(done) })
			_, _ = client.Write(stream(t, mqtt.V5, &mqtt.Connect{Version: mqtt.V5, ClientID: "c", KeepAlive: 2}))
			go func() { _, _ = client.Write(bytes.Repeat([]byte{0xC0, 0}, 400_000)) }()
			if reads {
				buf := make([]byte, 100_000)
				for range 10 {
					<-time.After(2 * time.Second)
					_, _ = client.Read(buf)
				}
			} else {
				<-time.After(10 * time.Second)
			}
			if c.IsClosing() == reads {
				t.Errorf("client reads: %v, closing: %v", reads, c.IsClosing())
			}
			_ = client.Close()
			<-done
			f.Stop()
			k.Stop()
		})
	}
}

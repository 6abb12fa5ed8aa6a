package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/storage/memory"
	"github.com/barid-mqtt/barid/mqtt"
)

// stopLimit is what the program gives a broker to stop.
const stopLimit = 9 * time.Second

// TestAStopUnderLoadEndsInTimeWithoutAnError fills the sockets of clients on every transport that read nothing, while
// others go on publishing, and stops.
func TestAStopUnderLoadEndsInTimeWithoutAnError(t *testing.T) {
	x := newBed(t, "mqtt.out_buffer_max_bytes=262144")
	var deaf []net.Conn
	for _, transport := range []func() net.Conn{
		func() net.Conn { return x.dial("tcp") },
		func() net.Conn { w, _ := x.upgraded(); return w },
		func() net.Conn { return tls.Client(x.dial("tls"), &tls.Config{InsecureSkipVerify: true}) },
	} {
		for i := range 4 {
			c := transport()
			deaf = append(deaf, c)
			p := &peer{conn: c, version: mqtt.V5}
			connect := &mqtt.Connect{Version: mqtt.V5, CleanStart: true}
			if i%2 == 0 {
				connect = &mqtt.Connect{Version: mqtt.V5, ClientID: string(rune('a' + len(deaf))), SessionExpirySeconds: 60}
			}
			if _, ack := handshake(t, p.conn, connect); ack == nil || ack.Code.Failed() {
				t.Fatalf("not accepted: %+v", ack)
			}
			p.subscribe(t, "flood/#", mqtt.QoS(i%2))
		}
	}
	var publishers sync.WaitGroup
	payload := make([]byte, 16<<10)
	for i := range 4 {
		p := x.enter(&mqtt.Connect{Version: mqtt.V5, CleanStart: true})
		publishers.Go(func() { // until it is cut off
			for id := uint16(1); ; id = id%60000 + 1 {
				if p.send(&mqtt.Publish{Topic: []byte("flood/x"), Payload: payload, QoS: mqtt.QoS(i % 2), PacketID: id}) != nil {
					return
				}
			}
		})
		publishers.Go(func() {
			for {
				if _, err := p.receive(); err != nil {
					_ = p.conn.Close()
					return
				}
			}
		})
	}
	if !eventually(20*time.Second, func() bool { return x.b.metrics.DroppedTotal() > 1000 }) {
		t.Errorf("the clients that read nothing are not full: %d messages were dropped", x.b.metrics.DroppedTotal())
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	begun := time.Now()
	if err := x.b.Stop(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > stopLimit {
		t.Errorf("it took %v", took)
	} else {
		t.Logf("it took %v", took)
	}
	for _, c := range deaf {
		_ = c.Close()
	}
	publishers.Wait()
}

// lateCloser is an engine whose end takes all the time there is.
type lateCloser struct {
	storage.Engine
	after time.Duration
}

func (l *lateCloser) Close() error {
	pause(l.after)
	return l.Engine.Close()
}

// TestTimeThatAnotherUsedUpIsNobodysFailure has the engine close after the time for the stop is over.
func TestTimeThatAnotherUsedUpIsNobodysFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 { // which of two that are ready a select takes is chance
			b := newTestBroker(t, nil, WithEngine(&lateCloser{memory.New(memory.Options{}), stopLimit}))
			ctx, cancel := context.WithTimeout(t.Context(), stopLimit)
			if err := b.Stop(ctx); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
	})
}

// stubborn is a connection that goes on only when it is aborted.
type stubborn struct {
	net.Conn
	aborted chan struct{}
	once    sync.Once
}

func (s *stubborn) Write(p []byte) (int, error)        { <-s.aborted; return 0, net.ErrClosed }
func (s *stubborn) SetWriteDeadline(_ time.Time) error { return nil }
func (s *stubborn) Close() error                       { <-s.aborted; return nil }
func (s *stubborn) Abort() error {
	s.once.Do(func() { close(s.aborted) })
	return s.Conn.Close()
}

// TestAConnectionThatDoesNotEndIsCutOff has a connection whose writes and goodbyes hang, whatever deadline they have.
func TestAConnectionThatDoesNotEndIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBroker(t, nil)
		client, server := net.Pipe()
		s := &stubborn{Conn: server, aborted: make(chan struct{})}
		if err := b.Serve(s, "tcp"); err != nil {
			t.Fatal(err)
		}
		p := &peer{conn: client, version: mqtt.V5}
		if err := p.send(&mqtt.Connect{Version: mqtt.V5, CleanStart: true}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), stopLimit)
		defer cancel()
		begun := time.Now()
		if err := b.Stop(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > stopLimit-afterAbort+time.Second {
			t.Errorf("it took %v", took)
		}
		select {
		case <-s.aborted:
		default:
			t.Error("it ended by itself")
		}
		if _, err := p.receive(); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the client got %v", err)
		}
	})
}

// TestAStopWaitsForClientsAtTheGate has a client's turn come while the broker stops.
func TestAStopWaitsForClientsAtTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBroker(t, nil)
		var leave func()
		b.registry.enter("c", func(l func()) { leave = l })
		over := false
		b.registry.enter("c", func(leave func()) {
			pause(time.Second)
			over = true
			leave()
		})
		leave()
		if err := b.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if !over {
			t.Error("the broker stopped before the client's turn was over")
		}
	})
}

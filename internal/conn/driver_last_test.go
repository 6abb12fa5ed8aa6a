package conn

import (
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/mqtt"
	"github.com/barid-mqtt/barid/pkg/memnet"
)

// drive gives a connection a driver and a client's end, with CONNECT accepted. stop ends both.
func drive(t *testing.T) (c *Conn, r *recorder, client net.Conn, stop func()) {
	t.Helper()
	m := new(metrics.Metrics)
	f := NewFlusher(1, m)
	o := &Options{MaxPacketBytes: 1 << 20, OutMaxBytes: 1 << 16, Metrics: m, Flusher: f}
	client, server := memnet.Pipe()
	r = &recorder{}
	c = New(o, handler{r}, Info{})
	r.conn = c
	start := Drive(c, Socket{Conn: server})
	done := make(chan struct{})
	start(func() { close(done) })
	say(t, client, &mqtt.Connect{Version: mqtt.V5, ClientID: "c"})
	synctest.Wait()
	return c, r, client, func() {
		_ = client.Close()
		<-done
		f.Stop()
	}
}

func say(t *testing.T, client net.Conn, packets ...mqtt.Packet) {
	t.Helper()
	if _, err := client.Write(stream(t, mqtt.V5, packets...)); err != nil {
		t.Fatal(err)
	}
}

// What a client sent before it came back on another connection is handled, its DISCONNECT above all: or else a will would
// be published that was discarded.
func TestCloseAfterInputHandlesWhatHasArrived(t *testing.T) {
	for _, gone := range []bool{false, true} { // gone: and so is its socket, as writing to it has shown
		synctest.Test(t, func(t *testing.T) {
			c, r, client, stop := drive(t)
			r.hold = true // SUBSCRIBE holds the connection back
			say(t, client, &mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "f"}}})
			synctest.Wait()
			say(t, client, &mqtt.Publish{Topic: []byte("t"), Payload: []byte("last")}, &mqtt.Disconnect{})
			if gone {
				_ = client.Close()
				c.mu.Lock()
				c.append(&mqtt.Pingresp{})
				c.mu.Unlock()
				c.FlushSoon()
			} else {
				c.CloseAfterInput(mqtt.SessionTakenOver, "")
			}
			synctest.Wait()
			if r.closed != 0 {
				t.Fatal("closed before its input was handled")
			}
			c.Resume()
			synctest.Wait()
			want := []string{"CONNECT c", "ready", "SUBSCRIBE 1", "PUBLISH t last", "DISCONNECT success (0x00)"}
			if !slices.Equal(r.log, want) || r.closed != 1 {
				t.Errorf("client gone: %t: got %q, closed %d times, want %q", gone, r.log, r.closed, want)
			}
			stop()
		})
	}
}

// A connection whose client says nothing more is closed at once, and the client is told why.
func TestCloseAfterInputClosesWhoSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r, client, stop := drive(t)
		begun := time.Now()
		c.CloseAfterInput(mqtt.SessionTakenOver, "")
		buf := make([]byte, 100)
		read := 0
		for read < len(buf) {
			n, err := client.Read(buf[read:])
			read += n
			if err != nil {
				break
			}
		}
		want := stream(t, mqtt.V5, &mqtt.Connack{}, &mqtt.Disconnect{Code: mqtt.SessionTakenOver})
		if !slices.Equal(buf[:read], want) || r.closed != 1 || time.Since(begun) > 10*time.Millisecond {
			t.Errorf("got % x after %v, want % x", buf[:read], time.Since(begun), want)
		}
		stop()
	})
}

// Neither a client that goes on and on nor one that waits for something keeps the connection open.
func TestCloseAfterInputHasLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r, client, stop := drive(t)
		r.hold = true
		say(t, client, &mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "f"}}})
		synctest.Wait()
		c.CloseAfterInput(mqtt.SessionTakenOver, "")
		<-time.After(lastReads + lastReadWait)
		synctest.Wait()
		if r.closed != 1 {
			t.Error("a suspension that does not end keeps the connection open")
		}
		stop()
	})
	synctest.Test(t, func(t *testing.T) {
		c, r, client, stop := drive(t)
		r.hold = true
		say(t, client, &mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "f"}}})
		flood := stream(t, mqtt.V5, &mqtt.Publish{Topic: []byte("t"), Payload: make([]byte, 32<<10)})
		over := make(chan struct{})
		go func() {
			defer close(over)
			for range 1000 {
				if _, err := client.Write(flood); err != nil {
					return
				}
			}
		}()
		synctest.Wait() // the client has filled the network
		c.CloseAfterInput(mqtt.SessionTakenOver, "")
		c.Resume()
		synctest.Wait()
		if n, limit := len(r.log), lastReadBytes/len(flood); r.closed != 1 || n < limit/2 || n > limit+10 {
			t.Errorf("%d messages were handled, closed %d times, with a limit of about %d", n, r.closed, limit)
		}
		_ = client.Close()
		<-over
		stop()
	})
}

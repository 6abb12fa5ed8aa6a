package broker

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/hostile"
	"github.com/barid-mqtt/barid/mqtt"
)

// Hundreds of packets that say they are 256 MB long cost what has come of them.
func TestAClaimedLengthCostsNoMemory(t *testing.T) {
	x := newBed(t, "mqtt.max_packet_bytes=268435460")
	rng := rand.New(rand.NewPCG(1, 1))
	before := heap()
	var conns []net.Conn
	for i := range 400 {
		c := x.dial("tcp")
		data := hostile.Claim(mqtt.CONNECT, 0, 268435455)
		if i%2 == 0 {
			data = append(hostile.Dialogue(mqtt.V5, hostile.Hello(rng, mqtt.V5)), hostile.Claim(mqtt.PUBLISH, 2, 268435455)...)
		}
		if _, err := c.Write(append(data, "a few bytes"...)); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	if !eventually(20*time.Second, func() bool { return x.b.connections.Load() == 200 }) {
		t.Errorf("%d connections", x.b.connections.Load())
	}
	if grown := heap() - before; grown > 16<<20 {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	} else {
		t.Logf("the heap grew by %d KiB", grown>>10)
	}
	for _, c := range conns {
		_ = c.Close()
	}
	x.stop()
}

// flood writes data again and again until the broker takes nothing for a while, and returns how often it was written,
// and what of it was left over.
func flood(t *testing.T, c net.Conn, data []byte, most int) (times int, rest []byte) {
	t.Helper()
	for times = range most {
		_ = c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		if n, err := c.Write(data); err != nil {
			return times, data[n:]
		}
	}
	t.Errorf("the broker took %d bytes of a client that reads nothing", most*len(data))
	return most, nil
}

// A client that sends what has to be answered and reads nothing is not read any more, costs a bounded amount, and gets
// every answer when it reads after all.
func TestAnswersThatNobodyReadsAreBounded(t *testing.T) {
	for _, c := range []struct {
		name   string
		packet mqtt.Packet
		answer mqtt.Type
	}{
		{"PUBLISH", &mqtt.Publish{Topic: []byte("hostile"), QoS: 1, PacketID: 1}, mqtt.PUBACK},
		{"SUBSCRIBE", subscribeTo("hostile/+/x", "y"), mqtt.SUBACK},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newBed(t, "mqtt.out_buffer_max_bytes=65536")
			p := x.enter(&mqtt.Connect{Version: mqtt.V5, ClientID: "h"})
			_ = p.conn.(*net.TCPConn).SetReadBuffer(256 << 10)
			_ = p.conn.(*net.TCPConn).SetWriteBuffer(64 << 10) // what the kernel holds is not what is tested
			before := heap()
			one := hostile.Dialogue(mqtt.V5, c.packet)
			data := bytes.Repeat(one, 1+30_000/len(one))
			times, rest := flood(t, p.conn, data, 5000)
			grown := heap() - before
			if grown > 4<<20 {
				t.Errorf("the heap grew by %d KiB", grown>>10)
			}
			_ = p.conn.SetWriteDeadline(time.Time{})
			go func() { _, _ = p.conn.Write(append(rest, hostile.Dialogue(mqtt.V5, &mqtt.Disconnect{})...)) }()
			want := (times + 1) * (len(data) / len(one))
			got := countAnswers(t, p, c.answer)
			t.Logf("stopped after %d packets; the heap grew by %d KiB", want, grown>>10)
			if got != want {
				t.Errorf("%d answers to %d packets", got, want)
			}
			x.stop()
		})
	}
}

// countAnswers reads until the broker hangs up.
func countAnswers(t *testing.T, p *peer, kind mqtt.Type) (n int) {
	t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	data, err := io.ReadAll(p.conn)
	if err != nil {
		t.Fatal(err)
	}
	for len(data) > 0 {
		h, head, err := mqtt.DecodeHeader(data)
		if err != nil {
			t.Fatal(err)
		}
		if h.Type != kind {
			t.Fatalf("%v among the answers", h.Type)
		}
		data = data[head+int(h.Remaining):]
		n++
	}
	return n
}

// 200 MB for subscribers that read nothing cost a bounded amount, and neither the publisher nor others wait for them.
func TestASubscriberThatNeverReadsIsNobodyElsesProblem(t *testing.T) {
	x := newBed(t, "mqtt.sys_interval_seconds=0")
	var deaf []*peer // kept, since a connection that nobody holds is closed by the collector
	for i, qos := range []mqtt.QoS{0, 1, 2} {
		p := x.enter(&mqtt.Connect{Version: mqtt.V5, ClientID: fmt.Sprint("deaf", i)})
		deaf = append(deaf, p)
		_ = p.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "load", QoS: qos}}})
	}
	quiet := x.newPair("quiet", false)
	p := x.enter(&mqtt.Connect{Version: mqtt.V5, ClientID: "loud"})
	before := heap()
	stopPeak := make(chan struct{})
	watched := watchHeap(stopPeak)
	begun := time.Now()
	const messages, size = 4000, 50_000
	for i := range messages {
		if err := p.send(&mqtt.Publish{Topic: []byte("load"), QoS: mqtt.QoS(i % 2), PacketID: uint16(i % 2 * (i + 1)), Payload: make([]byte, size)}); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			if pk, err := p.receive(); err != nil || pk.Type() != mqtt.PUBACK {
				t.Fatalf("%+v, %v", pk, err)
			}
		}
	}
	close(stopPeak)
	peak := <-watched
	t.Logf("%d MB in %v; heap before %d KiB, at most %d KiB, after %d KiB", messages*size>>20, time.Since(begun).Round(time.Millisecond), before>>10, peak>>10, heap()>>10)
	if grown := heap() - before; grown > 24<<20 {
		t.Errorf("three of them cost %d KiB", grown>>10)
	}
	if x.b.metrics.DroppedTotal() == 0 {
		t.Error("nothing was dropped, or not counted")
	}
	_ = p.conn.Close()
	if !eventually(20*time.Second, func() bool { return x.b.connections.Load() == int64(len(deaf))+2 }) {
		t.Errorf("%d connections", x.b.connections.Load())
	}
	for _, p := range deaf {
		_ = p.conn.Close()
	}
	quiet.end(hostileWait)
	x.stop()
}

// One packet with tens of thousands of filters, to subscribe and to unsubscribe, keeps nobody waiting.
func TestAPacketFullOfFiltersKeepsNobodyWaiting(t *testing.T) {
	x := newBed(t, "mqtt.sys_interval_seconds=0")
	quiet := x.newPair("quiet", true)
	for _, format := range []string{"h/%d", "$share/g/h/%d", "+/%d/#"} {
		p := x.enter(&mqtt.Connect{Version: mqtt.V5, ClientID: "many", CleanStart: true, SessionExpirySeconds: 5})
		_ = p.conn.SetDeadline(time.Now().Add(2 * time.Minute)) // the race detector makes seconds of each packet
		var filters []string
		for i := range 40_000 {
			filters = append(filters, fmt.Sprintf(format, i))
		}
		begun := time.Now()
		p.ask(t, subscribeTo(filters...))
		subscribed := time.Now()
		_ = p.send(&mqtt.Unsubscribe{PacketID: 3, Filters: filters})
		if pk, err := p.receive(); err != nil || pk.Type() != mqtt.UNSUBACK {
			t.Fatalf("%+v, %v", pk, err)
		}
		t.Logf("%s: %v to subscribe, %v to unsubscribe", format, subscribed.Sub(begun).Round(time.Millisecond), time.Since(subscribed).Round(time.Millisecond))
		p.ask(t, subscribeTo(filters...))
		_ = p.conn.Close()
		zero := x.enter(&mqtt.Connect{Version: mqtt.V5, ClientID: "many", CleanStart: true}) // ends the session
		_ = zero.conn.Close()
	}
	quiet.end(3 * time.Second)
	if !eventually(20*time.Second, func() bool { return x.b.router.Subscriptions() == 1 && x.b.groups.len() == 0 }) {
		t.Errorf("%d subscriptions and %d groups are left", x.b.router.Subscriptions(), x.b.groups.len())
	}
	x.stop()
}

// A broker whose clients are stuck in every state stops soon.
func TestStopWaitsForNoHostileClient(t *testing.T) {
	x := newBed(t, bedLimits...)
	rng := rand.New(rand.NewPCG(1, 2))
	open := []net.Conn{x.dial("tcp"), x.dial("tls"), x.dial("ws"), x.dial("proxy"), x.dial("tcp")}
	_, _ = open[4].Write([]byte{0x10, 50, 0, 4})
	p := x.enter(hostile.Hello(rng, mqtt.V5))
	_, _ = flood(t, p.conn, bytes.Repeat([]byte{0xC0, 0}, 20_000), 5000)
	w, below := x.upgraded()
	_, _ = w.Write(hostile.Dialogue(mqtt.V5, hostile.Hello(rng, mqtt.V5)))
	_ = below.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	for err := error(nil); err == nil; {
		_, err = w.Write(bytes.Repeat([]byte{0xC0, 0}, 20_000))
	}
	x.stop()
	for _, c := range append(open, p.conn, below) {
		_ = c.Close()
	}
}

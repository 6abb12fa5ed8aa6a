package broker

import (
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/mqtt"
)

// A subscriber that reads and does not acknowledge has its publishers slowed at the limit of the memory, and is
// disconnected for it after a while; nobody else waits for long, and nothing that was acknowledged is lost.
func TestMemoryIsBoundedByItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 1 << 20
		b := newTestBroker(t, []string{"limits.memory_max_bytes=1048576"})
		stuck, _ := connect(t, b, &mqtt.Connect{ClientID: "stuck", CleanStart: true, ReceiveMaximum: 20})
		stuck.subscribe(t, "flood", 1)
		other, _ := connect(t, b, &mqtt.Connect{ClientID: "other", CleanStart: true})
		other.subscribe(t, "other", 0)
		from, _ := connect(t, b, &mqtt.Connect{ClientID: "from", CleanStart: true})
		careless, _ := connect(t, b, &mqtt.Connect{ClientID: "careless", CleanStart: true})
		var clients sync.WaitGroup
		var said *mqtt.Disconnect
		clients.Go(func() {
			for {
				pk, err := stuck.receive()
				if err != nil {
					return
				}
				if d, ok := pk.(*mqtt.Disconnect); ok {
					said = d
				}
			}
		})
		const messages = 300
		flood, _ := connect(t, b, &mqtt.Connect{ClientID: "flood", CleanStart: true})
		clients.Go(func() {
			for i := range messages {
				if err := flood.send(&mqtt.Publish{Topic: []byte("flood"), QoS: 1, PacketID: uint16(i + 1), Payload: make([]byte, 16<<10)}); err != nil {
					t.Error(err)
					return
				}
			}
		})
		acked := make(chan struct{})
		clients.Go(func() {
			for range messages {
				pk, err := flood.receive()
				if _, ok := pk.(*mqtt.Puback); err != nil || !ok {
					t.Errorf("the publisher got %+v, %v", pk, err)
					break
				}
			}
			close(acked)
		})
		pause(time.Second / 2)
		synctest.Wait()
		if used := b.memory.Used(); used < limit/2 || used > limit/8*9+limit/4 {
			t.Errorf("%d bytes are used, with a limit of %d", used, limit)
		}
		for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311} {
			late, ack := connect(t, b, &mqtt.Connect{Version: v, ClientID: "late", CleanStart: true})
			want := mqtt.ServerBusy
			if v < mqtt.V5 {
				want = mqtt.ServerUnavailable
			}
			if ack == nil || ack.Code != want {
				t.Errorf("a new %v client got %+v", v, ack)
			}
			_ = late.conn.Close()
		}
		pause(time.Second)
		if active := b.alarms.Active(); len(active) != 1 || active[0].Name != memoryAlarm {
			t.Errorf("alarms: %+v", active)
		}
		// QoS 0 that would wait is dropped, and what was acknowledged, as messages says, is not.
		if err := careless.send(&mqtt.Publish{Topic: []byte("flood"), Payload: make([]byte, 16<<10)}); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if err := from.send(&mqtt.Publish{Topic: []byte("other"), Payload: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		if _, err := other.receive(); err != nil || time.Since(begun) > 1100*time.Millisecond {
			t.Errorf("another message took %v: %v", time.Since(begun), err)
		}
		begun = time.Now()
		<-acked
		if d := time.Since(begun); d > 3*patience*time.Second {
			t.Errorf("the publisher was slowed for %v", d)
		}
		if used := b.memory.Used(); used > limit {
			t.Errorf("%d bytes are used when all is over", used)
		}
		for _, l := range []metrics.Limit{metrics.LimitMemoryConnect, metrics.LimitMemoryQoS0, metrics.LimitMemoryPause, metrics.LimitMemoryHolder} {
			if b.metrics.Hits(l) == 0 {
				t.Errorf("%v was not counted", l)
			}
		}
		if n := b.metrics.Dropped(message.DropMemory); n != 1 {
			t.Errorf("%d QoS 0 copies dropped for the memory", n)
		}
		pause(2 * time.Second)
		if n := b.alarms.ActiveCount(); n != 0 {
			t.Errorf("%d alarms when all is over", n)
		}
		for _, p := range []*peer{flood, other, from, careless} {
			_ = p.conn.Close()
		}
		pause(time.Second)
		_ = stuck.conn.Close()
		clients.Wait()
		if said == nil || said.Code != mqtt.QuotaExceeded {
			t.Errorf("the subscriber got %+v instead of DISCONNECT with 0x97", said)
		}
		if err := b.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if used := b.memory.Used(); used != 0 {
			t.Errorf("%d bytes are counted with nobody there", used)
		}
	})
}

// Partial packets count too: clients that begin large packets and do not go on are closed once the budget is overdrawn.
func TestPartialPacketsCountForTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBroker(t, []string{"limits.memory_max_bytes=1048576"})
		var peers []*peer
		var reading sync.WaitGroup
		part, err := (&mqtt.Publish{Topic: []byte("t"), Payload: make([]byte, 500<<10)}).AppendTo(nil, mqtt.V5)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			p, _ := connect(t, b, &mqtt.Connect{ClientID: string(rune('a' + i)), CleanStart: true})
			peers = append(peers, p)
		}
		for _, p := range peers {
			reading.Go(func() { _, _ = io.Copy(io.Discard, p.conn) })
			_, _ = p.conn.Write(part[:400<<10]) // fails where the connection is closed
		}
		synctest.Wait()
		if b.metrics.Hits(metrics.LimitMemoryPacket) == 0 {
			t.Error("not counted")
		}
		if used := b.memory.Used(); used > 2<<20 {
			t.Errorf("%d bytes are used", used)
		}
		for _, p := range peers {
			_ = p.conn.Close()
		}
		reading.Wait()
		if err := b.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if used := b.memory.Used(); used != 0 {
			t.Errorf("%d bytes are counted with nobody there", used)
		}
	})
}

// What has a place in the log waits there when the memory is overdrawn; it was acknowledged.
func TestADurableSessionLosesNothingWhileTheMemoryIsOverdrawn(t *testing.T) {
	for _, size := range []int{1 << 10, 50 << 10} { // its window is full before the bytes are, and after
		synctest.Test(t, func(t *testing.T) {
			b := newTestBroker(t, []string{"limits.memory_max_bytes=1048576"})
			p, _ := connect(t, b, &mqtt.Connect{ClientID: "durable", SessionExpirySeconds: 1000, ReceiveMaximum: 100})
			p.subscribe(t, "t", 1)
			publish := func(i int) {
				m := &message.Message{Topic: "t", Payload: append([]byte{byte(i)}, make([]byte, size)...), QoS: 1, PublishedAt: time.Now()}
				if code, err := b.inject(t.Context(), m); err != nil || code.Failed() {
					t.Fatal(code, err)
				}
			}
			const first, all = 90, 120
			for i := range first {
				publish(i)
			}
			synctest.Wait()
			var others int64
			b.memory.Note(&others, 4<<20)
			for i := first; i < all; i++ {
				publish(i)
			}
			synctest.Wait()
			b.memory.Note(&others, 0)
			for i := range all {
				m := expectPublish(t, p)
				if int(m.Payload[0]) != i {
					t.Fatalf("of %d bytes: got message %d instead of %d", size, m.Payload[0], i)
				}
				if err := p.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: m.PacketID}}); err != nil {
					t.Fatal(err)
				}
			}
			_ = p.conn.Close()
			stopBroker(t, b)
		})
	}
}

// Memory is given back once the collector was quiet, where that is worth a cycle, and not while it runs.
func TestMemoryIsGivenBackWhenItIsQuiet(t *testing.T) {
	const live = 100 << 20
	var g collector
	look := func(cycles uint64, held int64) bool {
		settled := g.settled(cycles, live, held)
		g.cycles = cycles
		return settled
	}
	for i := range uint64(10) {
		if look(i+1, 2*live) {
			t.Fatal("it is given back while the collector runs")
		}
	}
	for range 100 {
		if look(10, live+live/16) {
			t.Fatal("it is given back where it is little")
		}
	}
	if !look(10, 2*live) {
		t.Error("it is not given back")
	}
	for i := range quietTime - 1 {
		if look(10, 2*live) {
			t.Errorf("it is given back again %d s later", i+1)
		}
	}
}

package broker

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/storage/badger"
	"github.com/barid-mqtt/barid/mqtt"
)

// setting reads a number from the environment, for runs larger or smaller than usual.
func setting(name string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return usual
}

// heapInUse is what is in use, after a collection.
func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools had goes with the second
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// diskBytes is what the files of a directory take on the disk, without what is only preallocated.
func diskBytes(t testing.TB, b *Broker, dir string) (log, state int64) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, "state"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			state += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.engine.Health().LogBytes, state
}

func newBenchBroker(b *testing.B, dir string, opts ...Option) *Broker {
	b.Helper()
	return newTestBroker(b, []string{"durability=fsync", "data_dir=" + dir}, opts...)
}

// BenchmarkBroadcast sends messages to durable sessions that are away, and has some of them come back after a restart.
func BenchmarkBroadcast(b *testing.B) {
	sessions, back, messages := setting("BARID_BENCH_SESSIONS", 100_000), setting("BARID_BENCH_BACK", 10_000), 20
	dir := b.TempDir()
	broker := newBenchBroker(b, dir)
	dialer := func() net.Conn { return dial(b, broker) }
	makeAway(b, dialer, sessions, func(int) string { return "news/#" })
	pauseUntil(b, func() bool { return broker.connections.Load() == 0 })
	logBytes, _ := diskBytes(b, broker, dir)
	begun := time.Now()
	for b.Loop() {
		l := newLoad(b, dialer, 1, 1)
		l.publish(b, messages, func(int, int) string { return "news/today" })
		l.close()
	}
	b.Logf("%d messages to %d sessions: %v, the acknowledgements included", messages, sessions, time.Since(begun).Round(time.Millisecond))
	after, _ := diskBytes(b, broker, dir)
	b.Logf("%d bytes of log for %d bytes of payload", after-logBytes, messages*256)
	if err := broker.Stop(b.Context()); err != nil {
		b.Fatal(err)
	}
	broker = nil
	before := heapInUse()
	begun = time.Now()
	broker = newBenchBroker(b, dir)
	b.Logf("opened in %v, %d bytes of heap for each session", time.Since(begun).Round(time.Millisecond), (heapInUse()-before)/int64(sessions))
	begun = time.Now()
	var wg sync.WaitGroup
	const parallel = 100
	for w := range parallel {
		wg.Go(func() {
			for i := w; i < back; i += parallel {
				takeAll(b, dialer(), awayID(i), messages)
			}
		})
	}
	wg.Wait()
	b.Logf("%d sessions came back and took %d messages each in %v; %d blocks were read from disk and decoded, of %d", back, messages,
		time.Since(begun).Round(time.Millisecond), broker.engine.(*badger.Engine).Decoded(), broker.engine.Health().Blocks)
	if err := broker.Stop(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func takeAll(b *testing.B, nc net.Conn, id string, n int) {
	c := durableConnect
	c.ClientID = id
	p, ack := handshake(b, nc, &c)
	if ack == nil || !ack.SessionPresent {
		b.Errorf("%s: CONNACK %+v", id, ack)
		return
	}
	for range n {
		pk, err := p.receive()
		m, ok := pk.(*mqtt.Publish)
		if err != nil || !ok {
			b.Errorf("%s: got %T, %v", id, pk, err)
			return
		}
		_ = p.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: m.PacketID}})
	}
	_ = p.send(&mqtt.Disconnect{})
	_, _ = p.receive()
	_ = nc.Close()
}

func pauseUntil(b *testing.B, ok func() bool) {
	b.Helper()
	if !eventually(20*time.Second, ok) {
		b.Fatal("it did not come to rest")
	}
}

// BenchmarkOneDeadSession has a thousand topics with a client that reads them all, and a session for one of the topics
// that never comes back, and looks at what the disk holds.
func BenchmarkOneDeadSession(b *testing.B) {
	const topics = 1000
	messages := setting("BARID_BENCH_MESSAGES", 1_000_000)
	dir := b.TempDir()
	broker := newBenchBroker(b, dir)
	dialer := func() net.Conn { return dial(b, broker) }
	makeAway(b, dialer, 1, func(int) string { return "site/7/#" })
	reader, _ := connect(b, broker, &mqtt.Connect{ClientID: "reader", Version: mqtt.V5, SessionExpirySeconds: 3600})
	reader.subscribe(b, "site/#", mqtt.AtLeastOnce)
	var read sync.WaitGroup
	read.Go(func() {
		for range messages {
			pk, err := reader.receive()
			m, ok := pk.(*mqtt.Publish)
			if err != nil || !ok {
				b.Errorf("reader: got %T, %v", pk, err)
				return
			}
			_ = reader.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: m.PacketID}})
		}
	})
	l := newLoad(b, dialer, 50, 20)
	defer l.close()
	most, written := int64(0), int64(0)
	for b.Loop() {
		for done := 0; done < messages; done += messages / 20 {
			l.publish(b, messages/20, func(p, i int) string { return fmt.Sprint("site/", (p*131+i)%topics, "/t") })
			log, state := diskBytes(b, broker, dir)
			most, written = max(most, log+state), written+int64(messages/20)*(256+40)
		}
		read.Wait()
	}
	c := broker.registry.get(awayID(0))
	pauseUntil(b, func() bool { return broker.engine.Health().LogBytes < parkBytes })
	c.mu.Lock()
	waiting, parked := c.waiting(), c.shelf
	c.mu.Unlock()
	log, state := diskBytes(b, broker, dir)
	b.Logf("about %d MiB were published; the disk held %d MiB at most, and at the end %d of log and %d of state; %d messages (%d KiB) wait for the session, %d of them parked",
		written>>20, most>>20, log>>20, state>>20, waiting.messages, waiting.bytes>>10, parked.messages)
	if err := broker.Stop(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkOpen kills a broker with stored messages, and measures how long the next takes until it listens.
func BenchmarkOpen(b *testing.B) {
	messages, dir := setting("BARID_BENCH_MESSAGES", 1_000_000), b.TempDir()
	p := startProcess(b, dir)
	makeAway(b, func() net.Conn { return p.dial(b) }, 1000, func(i int) string { return fmt.Sprintf("site/%d/#", i) })
	rare, _ := handshake(b, p.dial(b), &mqtt.Connect{Version: mqtt.V5, ClientID: "rare", SessionExpirySeconds: 3600})
	rare.subscribe(b, "rare/+/alarm", mqtt.AtLeastOnce)
	_ = rare.conn.Close()
	l := newLoad(b, func() net.Conn { return p.dial(b) }, 50, 100)
	l.publish(b, messages, func(p, i int) string { return fmt.Sprint("site/", (p*131+i)%1000, "/t") })
	l.publish(b, 10, func(int, int) string { return "rare/1/alarm" })
	l.close()
	for b.Loop() {
		p.kill()
		p = startProcess(b, dir)
		b.Logf("%d messages: listens after %v, with %d MiB of memory", messages, p.ready.Round(time.Millisecond), memoryOf(p.cmd.Process.Pid).rss>>20)
	}
	begun := time.Now()
	takeAll(b, p.dial(b), awayID(7), messages/2000) // half of what waits for it
	b.Logf("a session took its first %d messages in %v", messages/2000, time.Since(begun).Round(time.Millisecond))
	begun = time.Now()
	takeAll(b, p.dial(b), "rare", 10)
	b.Logf("a session took 10 messages, the last of all, in %v", time.Since(begun).Round(time.Millisecond))
}

package broker

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/storage/badger"
	"github.com/barid-mqtt/barid/mqtt"
)

// BenchmarkStored stores messages of 256 bytes for a durable session that is away, each on disk before it is
// acknowledged, with publishers that have up to a window of messages under way: the engine alone, the broker as a process
// behind a Unix socket, and Mosquitto behind one, if it is installed, which keeps them in memory. Each gets the same
// disk, and the benchmark's own work for both brokers is the same.
func BenchmarkStored(b *testing.B) {
	for _, c := range []struct{ publishers, window, messages int }{{100, 1, 200_000}, {1000, 1, 400_000}, {100, 20, 600_000}, {1000, 20, 800_000}} {
		n := setting("BARID_BENCH_MESSAGES", c.messages)
		name := fmt.Sprintf("%dx%d/", c.publishers, c.window)
		b.Run(name+"engine", func(b *testing.B) {
			before := ownCPU(b)
			report(b, n, func() { engineStores(b, c.publishers, c.window, n) })
			b.ReportMetric(float64((ownCPU(b)-before).Microseconds())/float64(n*b.N), "us-CPU/msg")
		})
		b.Run(name+"barid", func(b *testing.B) {
			p := startProcess(b, b.TempDir())
			before := p.cpu(b)
			storeFor(b, func() net.Conn { return p.dial(b) }, c.publishers, c.window, n)
			b.ReportMetric(float64((p.cpu(b)-before).Microseconds())/float64(n*b.N), "us-CPU/msg")
		})
		b.Run(name+"mosquitto", func(b *testing.B) {
			socket := startMosquitto(b)
			storeFor(b, func() net.Conn { return dialUnix(b, socket) }, c.publishers, c.window, n)
		})
	}
}

// ownCPU is the processor time that the benchmark's own process has used.
func ownCPU(b *testing.B) time.Duration {
	p := process{cmd: &exec.Cmd{Process: &os.Process{Pid: os.Getpid()}}}
	return p.cpu(b)
}

// report runs fn once and reports messages a second.
func report(b *testing.B, n int, fn func()) {
	b.Helper()
	for b.Loop() {
		fn()
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

func storeFor(b *testing.B, dial func() net.Conn, publishers, window, n int) {
	b.Helper()
	p, ack := handshake(b, dial(), &mqtt.Connect{Version: mqtt.V311, ClientID: "away"})
	if ack == nil {
		b.Fatal("no CONNACK")
	}
	p.subscribe(b, "site/#", mqtt.AtLeastOnce)
	_ = p.send(&mqtt.Disconnect{})
	_ = p.conn.Close()
	l := newLoad(b, dial, publishers, window)
	defer l.close()
	topics := make([]string, publishers)
	for p := range topics {
		topics[p] = fmt.Sprint("site/", p, "/temperature")
	}
	report(b, n, func() { l.publish(b, n, func(p, _ int) string { return topics[p] }) })
}

// engineStores has goroutines submit units of one record, and wait for them as publishers do.
func engineStores(b *testing.B, publishers, window, n int) {
	b.Helper()
	e, err := badger.Open(badger.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			m := &message.Message{Topic: fmt.Sprint("site/", p, "/temperature"), Payload: make([]byte, 256), QoS: 1, ClientID: fmt.Sprint("pub-", p)}
			acked := make(chan error, window)
			done := func(_ message.Position, err error) { acked <- err }
			share, under := n/publishers, 0
			for sent := 0; sent < share || under > 0; {
				for ; sent < share && under < window; under, sent = under+1, sent+1 {
					if err := e.Submit(0, storage.Unit{ClientID: m.ClientID, Records: []storage.Record{{Message: m}}}, done); err != nil {
						b.Error(err)
						return
					}
				}
				if err := <-acked; err != nil {
					b.Error(err)
				}
				under--
			}
		})
	}
	wg.Wait()
	if err := e.Close(); err != nil {
		b.Error(err)
	}
}

func dialUnix(t testing.TB, socket string) net.Conn {
	t.Helper()
	nc, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

// startMosquitto starts one that keeps all that it queues, in memory. Without one the benchmark is skipped.
func startMosquitto(b *testing.B) (socket string) {
	b.Helper()
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		program = "/usr/sbin/mosquitto" // where Debian has it
		if _, err := os.Stat(program); err != nil {
			b.Skip("mosquitto is not installed")
		}
	}
	dir := b.TempDir()
	socket = filepath.Join(dir, "m.sock")
	conf := filepath.Join(dir, "m.conf")
	text := fmt.Sprintf("listener 0 %s\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\npersistence false\nlog_type error\nuser root\n", socket)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(program, "-c", conf)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if !eventually(5*time.Second, func() bool {
		nc, err := net.Dial("unix", socket)
		if err == nil {
			_ = nc.Close()
		}
		return err == nil
	}) {
		b.Fatal("mosquitto does not listen")
	}
	return socket
}

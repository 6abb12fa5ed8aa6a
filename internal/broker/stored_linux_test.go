package broker

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/storage/badger"
	"github.com/barid-mqtt/barid/mqtt"
)

// storedCases are publishers, and the messages that each has under way.
var storedCases = []struct{ publishers, window int }{{100, 1}, {1000, 1}, {100, 20}, {1000, 20}}

// BenchmarkStored stores messages of 256 bytes for a durable session that is away, each on disk before it is
// acknowledged: by the engine alone, and by the broker as a process behind TCP. Beside them are the broker with
// durability: memory, a server that does nothing but answer, and Mosquitto, if it is installed, which keeps them in
// memory. They take turns, BARID_BENCH_ROUNDS times, on the same disk and before the same load.
func BenchmarkStored(b *testing.B) {
	for _, c := range storedCases {
		b.Run(fmt.Sprintf("%dx%d", c.publishers, c.window), func(b *testing.B) {
			compareIn(b, "barid", []contender{
				{"engine", func(b *testing.B) result { return engineStores(b, c.publishers, c.window) }},
				{"bare", func(b *testing.B) result { return storeFor(b, startBare(b), c.publishers, c.window, 0) }},
				{"barid-memory", func(b *testing.B) result {
					return storeFor(b, startBarid(b, "durability=memory"), c.publishers, c.window, 0)
				}},
				{"barid", func(b *testing.B) result { return storeFor(b, startBarid(b), c.publishers, c.window, 0) }},
				{"mosquitto", func(b *testing.B) result { return storeFor(b, startMosquitto(b), c.publishers, c.window, 0) }},
			})
		})
	}
}

// BenchmarkDelivered does the same with ten persistent sessions that are connected, each of which gets a tenth: the
// rate is that of messages which were acknowledged and delivered.
func BenchmarkDelivered(b *testing.B) {
	for _, c := range storedCases {
		b.Run(fmt.Sprintf("%dx%d", c.publishers, c.window), func(b *testing.B) {
			compareIn(b, "barid", []contender{
				{"barid", func(b *testing.B) result { return storeFor(b, startBarid(b), c.publishers, c.window, 10) }},
				{"mosquitto", func(b *testing.B) result { return storeFor(b, startMosquitto(b), c.publishers, c.window, 10) }},
			})
		})
	}
}

// result is what one run came to.
type result struct {
	rate float64       // messages a second
	cpu  time.Duration // of a processor, for each
	own  time.Duration // that of the benchmark itself
}

type contender struct {
	name string
	run  func(b *testing.B) result
}

// compareIn runs the contenders in turn, and says how one of them compares with the others: the middle, the least and the
// most of what each round came to.
func compareIn(b *testing.B, subject string, contenders []contender) {
	only := os.Getenv("BARID_BENCH_ONLY") // their names, with commas
	if only != "" {
		contenders = slices.DeleteFunc(contenders, func(c contender) bool { return !slices.Contains(strings.Split(only, ","), c.name) })
	}
	results := map[string][]result{}
	for b.Loop() {
		for range setting("BARID_BENCH_ROUNDS", 3) {
			for _, c := range contenders {
				b.Run(c.name, func(b *testing.B) { // of its own, for what is to be cleaned up
					for b.Loop() {
						results[c.name] = append(results[c.name], c.run(b))
					}
				})
			}
		}
	}
	for _, c := range contenders {
		if len(results[c.name]) > 0 {
			fmt.Printf("  %-13s %s%s\n", c.name, figures(results[c.name]), versus(subject, c.name, results))
		}
	}
}

// figures are what the runs of one contender came to.
func figures(runs []result) string {
	of := func(what func(result) float64) (x []float64) {
		for _, r := range runs {
			x = append(x, what(r))
		}
		return x
	}
	text := spread(of(func(r result) float64 { return r.rate / 1000 }), "%.0f") + " k/s"
	if runs[0].cpu > 0 {
		text += ", " + spread(of(func(r result) float64 { return r.cpu.Seconds() * 1e6 }), "%.2f") + " µs CPU, generator " +
			spread(of(func(r result) float64 { return r.own.Seconds() * 1e6 }), "%.2f")
	}
	return text
}

// versus is how a subject compares with another, by rounds that both took part in.
func versus(subject, other string, results map[string][]result) string {
	var ratios []float64
	for i := range min(len(results[subject]), len(results[other])) {
		ratios = append(ratios, results[subject][i].rate/results[other][i].rate)
	}
	if subject == other || len(ratios) == 0 {
		return ""
	}
	return fmt.Sprintf("; %s is %s× that", subject, spread(ratios, "%.2f"))
}

// spread is the middle, the least and the most.
func spread(x []float64, format string) string {
	slices.Sort(x)
	return fmt.Sprintf(format+" ("+format+"–"+format+")", x[len(x)/2], x[0], x[len(x)-1])
}

// benchTime is how long a run publishes.
func benchTime() time.Duration {
	return time.Duration(setting("BARID_BENCH_MILLISECONDS", 1000)) * time.Millisecond
}

// cpuOf is the processor time that a process has used.
func cpuOf(b *testing.B, pid int) time.Duration {
	p := process{cmd: &exec.Cmd{Process: &os.Process{Pid: pid}}}
	return p.cpu(b)
}

// server is a process behind TCP that is to store messages.
type server struct {
	address string
	pid     int
}

func (s *server) dial(t testing.TB) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

// storeFor publishes for a persistent session that is away or, with readers, for as many that are there.
func storeFor(b *testing.B, s *server, publishers, window, readers int) result {
	b.Helper()
	l := newPolledLoad(b, window)
	defer l.close()
	session := func(id, filter string) *peer {
		p, ack := handshake(b, s.dial(b), &mqtt.Connect{Version: mqtt.V311, ClientID: id})
		if ack == nil {
			b.Fatal("no CONNACK")
		}
		p.subscribe(b, filter, mqtt.AtLeastOnce)
		return p
	}
	if readers == 0 {
		p := session("away", "site/#")
		_ = p.send(&mqtt.Disconnect{})
		_ = p.conn.Close()
	}
	for i := range readers {
		l.add(b, session(fmt.Sprint("reader-", i), fmt.Sprintf("site/%d/#", i)).conn)
	}
	for i := range publishers {
		nc := s.dial(b)
		if _, ack := handshake(b, nc, &mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: fmt.Sprint("pub-", i)}); ack == nil {
			b.Fatal("no CONNACK")
		}
		l.publisher(b, nc, fmt.Sprintf("site/%d/%d/temperature", i%10, i), make([]byte, 256))
	}
	before, own := cpuOf(b, s.pid), cpuOf(b, os.Getpid())
	n, took, err := l.run(benchTime())
	if err != nil {
		b.Fatal(err)
	}
	each := func(d time.Duration) time.Duration { return d / time.Duration(n) }
	return result{float64(n) / took.Seconds(), each(cpuOf(b, s.pid) - before), each(cpuOf(b, os.Getpid()) - own)}
}

// engineStores has goroutines submit units of one record, and wait for them as publishers do.
func engineStores(b *testing.B, publishers, window int) result {
	b.Helper()
	e, err := badger.Open(badger.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	counts := make([]int, publishers)
	begun := time.Now()
	end := begun.Add(benchTime())
	for p := range publishers {
		wg.Go(func() { counts[p] = appendUntil(b, e, p, window, end) })
	}
	wg.Wait()
	took := time.Since(begun)
	n := 0
	for _, c := range counts {
		n += c
	}
	if err := e.Close(); err != nil {
		b.Error(err)
	}
	return result{rate: float64(n) / took.Seconds()}
}

func appendUntil(b *testing.B, e storage.Engine, publisher, window int, end time.Time) (n int) {
	m := &message.Message{Topic: fmt.Sprintf("site/%d/%d/temperature", publisher%10, publisher), Payload: make([]byte, 256), QoS: 1, ClientID: fmt.Sprint("pub-", publisher)}
	acked := make(chan error, window)
	done := func(_ message.Position, err error) { acked <- err }
	for under := 0; ; {
		if under <= window/2 && time.Now().Before(end) {
			for ; under < window; under++ {
				if err := e.Submit(0, storage.Unit{ClientID: m.ClientID, Records: []storage.Record{{Message: m}}}, done); err != nil {
					b.Error(err)
					return n
				}
			}
		}
		if under == 0 {
			return n
		}
		if err := <-acked; err != nil {
			b.Error(err)
		}
		under, n = under-1, n+1
	}
}

// freeAddress is one that nobody listens on.
func freeAddress(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func startBarid(b *testing.B, sets ...string) *server {
	b.Helper()
	address := freeAddress(b)
	p := startProcess(b, b.TempDir(), append([]string{"listeners.plain.type=tcp", "listeners.plain.bind=" + address}, sets...)...)
	return &server{address, p.cmd.Process.Pid}
}

func startBare(b *testing.B) *server {
	b.Helper()
	address := freeAddress(b)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), bareAddress+"="+address)
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	start(b, cmd)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		b.Fatalf("the bare server says %q, %v", line, err)
	}
	return &server{address, cmd.Process.Pid}
}

// start starts a process that ends with the benchmark.
func start(b *testing.B, cmd *exec.Cmd) {
	b.Helper()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// startMosquitto starts one that keeps all that it queues, in memory. Without one the comparison is skipped.
func startMosquitto(b *testing.B) *server {
	b.Helper()
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		program = "/usr/sbin/mosquitto" // where Debian has it
		if _, err := os.Stat(program); err != nil {
			b.Skip("mosquitto is not installed")
		}
	}
	address := freeAddress(b)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		b.Fatal(err)
	}
	conf := filepath.Join(b.TempDir(), "m.conf")
	text := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true\npersistence false\nlog_type error\nuser root\n", port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(program, "-c", conf)
	start(b, cmd)
	if !eventually(5*time.Second, func() bool {
		nc, err := net.Dial("tcp", address)
		if err == nil {
			_ = nc.Close()
		}
		return err == nil
	}) {
		b.Fatal("mosquitto does not listen")
	}
	return &server{address, cmd.Process.Pid}
}

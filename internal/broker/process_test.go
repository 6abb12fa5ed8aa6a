package broker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/mqtt"
)

// This file runs the broker as a process of its own, so that what benchmarks say of memory and of kill -9 is the broker's
// alone: the test binary starts itself again, and serves on a Unix socket.

// processSets is the variable with the settings of a broker that this binary is to be, one a line.
const processSets = "BARID_TEST_BROKER"

// bareAddress is the variable with the address that this binary is to be a bare server at.
const bareAddress = "BARID_TEST_BARE"

// serveProcess is the main function of such a process. It ends when its standard input does; until then, each line there
// is the name of a file that gets a profile of the heap as the last collection left it, or empty; either way it says how the
// runtime divides its memory.
func serveProcess(sets string) error {
	cfg, _, err := config.Load(config.Sources{Sets: strings.Split(sets, "\n")})
	if err != nil {
		return err
	}
	TuneMemory()
	b, err := New(cfg, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	if err := b.Start(); err != nil {
		return errors.Join(err, b.Stop(context.Background()))
	}
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(memoryClasses())
		if path := in.Text(); path != "" {
			if err := writeHeap(path); err != nil {
				return err
			}
		}
		fmt.Println("profiled")
	}
	return b.Stop(context.Background())
}

// memoryClasses says what the runtime has of the process's memory, and for what, in MiB.
func memoryClasses() string {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return fmt.Sprintf("heap %d in use, %d of that objects, %d live at the last collection; %d free and not given back; stacks %d; the runtime's own %d; limit %d, %d collections, %d goroutines",
		m.HeapInuse>>20, m.HeapAlloc>>20, liveHeap()>>20, (m.HeapIdle-m.HeapReleased)>>20, m.StackInuse>>20,
		(m.MSpanSys+m.MCacheSys+m.GCSys+m.OtherSys+m.BuckHashSys)>>20, debug.SetMemoryLimit(-1)>>20, m.NumGC, runtime.NumGoroutine())
}

func liveHeap() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

func writeHeap(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.WriteHeapProfile(f), f.Close())
}

// classes has the process say how its memory is divided, and write a profile of its heap, if path is not empty.
func (p *process) classes(t testing.TB, path string) string {
	t.Helper()
	_, err := fmt.Fprintln(p.stdin, path)
	said, err2 := p.stdout.ReadString('\n')
	if line, err3 := p.stdout.ReadString('\n'); err != nil || line != "profiled\n" {
		t.Fatalf("the broker says %q, %v, %v", line, err, errors.Join(err2, err3))
	}
	return strings.TrimSpace(said)
}

// process is a broker that is one.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	socket string
	ready  time.Duration // from its start until it listened
}

func startProcess(t testing.TB, dir string, sets ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0]), socket: filepath.Join(dir, "mqtt.sock")}
	if err := os.Remove(p.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	sets = append([]string{"data_dir=" + filepath.Join(dir, "data"), "listeners.tcp=", "listeners.ws=", "listeners.unix.type=unix", "listeners.unix.bind=" + p.socket}, sets...)
	p.cmd.Env = append(os.Environ(), processSets+"="+strings.Join(sets, "\n"))
	p.cmd.Stderr = os.Stderr
	begun := time.Now()
	in, err := p.cmd.StdinPipe()
	out, err2 := p.cmd.StdoutPipe()
	if err := errors.Join(err, err2, p.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	p.stdin, p.stdout = in, bufio.NewReader(out)
	t.Cleanup(p.kill)
	if line, err := p.stdout.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the broker says %q, %v", line, err)
	}
	p.ready = time.Since(begun)
	return p
}

// kill ends it as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // an error says that it was killed, or that it was waited for
}

// cpu is the processor time that the process has used.
func (p *process) cpu(t testing.TB) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Skip("no /proc to read the processor time from: ", err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64 // of a hundredth of a second
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func (p *process) dial(t testing.TB) net.Conn {
	t.Helper()
	nc, err := net.Dial("unix", p.socket)
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

// makeAway makes n durable sessions that are away, each with a subscription.
func makeAway(t testing.TB, dial func() net.Conn, n int, filter func(i int) string) {
	t.Helper()
	var wg sync.WaitGroup
	const parallel = 200
	for w := range parallel {
		wg.Go(func() {
			for i := w; i < n; i += parallel {
				c := durableConnect
				c.ClientID = awayID(i)
				p, ack := handshake(t, dial(), &c)
				if ack == nil || ack.Code != mqtt.Success {
					t.Errorf("session %d: %+v", i, ack)
					return
				}
				p.subscribe(t, filter(i), mqtt.AtLeastOnce)
				if err := p.send(&mqtt.Disconnect{}); err != nil {
					t.Error(err)
				}
				_, _ = p.receive() // until the broker has ended it
				_ = p.conn.Close()
			}
		})
	}
	wg.Wait()
}

func awayID(i int) string { return fmt.Sprintf("away-%06d", i) }

// load publishes with QoS 1 over many connections.
type load struct {
	conns   []net.Conn
	window  int // messages of one connection that wait for their PUBACK
	payload []byte
}

func newLoad(t testing.TB, dial func() net.Conn, publishers, window int) *load {
	t.Helper()
	l := &load{window: window, payload: make([]byte, 256)}
	for i := range publishers {
		nc := dial()
		l.conns = append(l.conns, nc)
		if _, ack := handshake(t, nc, &mqtt.Connect{Version: mqtt.V311, CleanStart: true, ClientID: fmt.Sprint("pub-", i)}); ack == nil {
			t.Fatal("no CONNACK")
		}
	}
	return l
}

func (l *load) close() {
	for _, nc := range l.conns {
		_ = nc.Close()
	}
}

// publish publishes n messages and waits until all are acknowledged.
func (l *load) publish(t testing.TB, n int, topic func(publisher, i int) string) {
	t.Helper()
	var wg sync.WaitGroup
	for p, nc := range l.conns {
		share := n / len(l.conns)
		if p < n%len(l.conns) {
			share++
		}
		wg.Go(func() {
			if err := l.run(nc, share, func(i int) string { return topic(p, i) }); err != nil {
				t.Errorf("publisher %d: %v", p, err)
			}
		})
	}
	wg.Wait()
}

// run writes as many packets as the window has room for, in one write, and then reads what was acknowledged, until half of
// the window is free: what it costs itself is taken from the broker, which it shares the processors with.
func (l *load) run(nc net.Conn, n int, topic func(i int) string) error {
	var out []byte
	in := make([]byte, 4096)
	sent, acked, partial := 0, 0, 0
	for acked < n {
		out = out[:0]
		for refill := sent-acked <= l.window/2; refill && sent < n && sent-acked < l.window; {
			out = appendPublish(out, topic(sent), uint16(sent%60000+1), l.payload)
			sent++
		}
		if len(out) > 0 {
			if _, err := nc.Write(out); err != nil {
				return err
			}
		}
		k, err := nc.Read(in[:min(len(in), 4*(sent-acked)-partial)])
		if err != nil {
			return err
		}
		acked, partial = acked+(partial+k)/4, (partial+k)%4 // a PUBACK of version 3.1.1 has 4 bytes
	}
	return nil
}

func appendPublish(out []byte, topic string, id uint16, payload []byte) []byte {
	n := 2 + len(topic) + 2 + len(payload)
	out = binary.AppendUvarint(append(out, 0x32), uint64(n))
	out = binary.BigEndian.AppendUint16(out, uint16(len(topic)))
	out = binary.BigEndian.AppendUint16(append(out, topic...), id)
	return append(out, payload...)
}

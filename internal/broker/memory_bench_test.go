package broker

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// BenchmarkMemory has a broker that is a process of its own go through what a broker with very many sessions that are away
// goes through, and says for each phase how much memory it took, the most included:
//
//	sessions   they come, subscribe to a filter of their own, and leave
//	parking    a message waits for each; others' messages, which a client reads, make the log grow until these are parked
//	storing    messages come for all of them
//	steady     nothing happens
//	opening    the broker was killed, and starts again
//	counting   it counts what waits for whom, which it does where the log is larger than a session may have
//	capping    the same with a limit that every session is over
//	returning  some of them come back, take messages and leave, a hundred at a time
func BenchmarkMemory(b *testing.B) {
	m := &memoryBench{
		B: b, dir: b.TempDir(), profiles: os.Getenv("BARID_BENCH_PROFILES"),
		sessions: setting("BARID_BENCH_SESSIONS", 100_000), messages: setting("BARID_BENCH_MESSAGES", 1_000_000),
		back: setting("BARID_BENCH_BACK", 3000),
	}
	for b.Loop() {
		m.start("opening empty")
		m.phase("sessions", m.makeSessions)
		m.phase("parking", m.parkAll)
		m.phase("storing", m.store)
		m.phase("steady", func() { pause(10 * time.Second) })
		m.restart("opening")
		m.phase("counting", m.rest)
		m.phase("returning", m.comeBack)
		m.restart("opening", "session.queue_max_messages="+strconv.Itoa(m.messages/m.sessions*3/4))
		m.phase("capping", m.rest)
		m.process.kill()
	}
}

type memoryBench struct {
	*testing.B
	dir, profiles            string
	sessions, messages, back int
	process                  *process
}

// start starts the broker, as a phase. The most is since the process began.
func (m *memoryBench) start(phase string, sets ...string) {
	m.process = startProcess(m, m.dir, sets...)
	now := memoryOf(m.process.cmd.Process.Pid)
	now.most(memoryUse{rss: statusOf(m.process.cmd.Process.Pid)["VmHWM"]})
	m.Logf("%-10s it listened after %v, with %v", phase, m.process.ready.Round(time.Millisecond), now)
	m.tell(phase)
}

func (m *memoryBench) restart(phase string, sets ...string) {
	m.process.kill()
	m.start(phase, sets...)
}

// phase runs part of the benchmark and says what memory the broker had.
func (m *memoryBench) phase(name string, fn func()) {
	m.Helper()
	w := watchMemory(m.process.cmd.Process.Pid)
	begun, cpu := time.Now(), m.process.cpu(m)
	fn()
	most := w.stop()
	m.Logf("%-10s %v; most %v; %v, %v of a processor", name, memoryOf(m.process.cmd.Process.Pid), most,
		time.Since(begun).Round(time.Second/10), (m.process.cpu(m) - cpu).Round(time.Second/10))
	m.tell(name)
}

// tell says how the process divides its memory, and has it write a profile if that is wanted.
func (m *memoryBench) tell(phase string) {
	profile := ""
	if m.profiles != "" {
		profile = filepath.Join(m.profiles, strings.ReplaceAll(phase, " ", "-")+".heap")
	}
	m.Logf("%-10s %s", phase, m.process.classes(m, profile))
}

func (m *memoryBench) dial() net.Conn { return m.process.dial(m) }

func (m *memoryBench) makeSessions() {
	makeAway(m, m.dial, m.sessions, func(i int) string { return fmt.Sprintf("site/%06d/#", i) })
}

// parkAll has a message wait for every session, and others' messages until these are parked.
func (m *memoryBench) parkAll() {
	l := newLoad(m, m.dial, 100, 20)
	defer l.close()
	share := (m.sessions + 99) / 100
	l.publish(m, m.sessions, func(p, i int) string { return fmt.Sprintf("site/%06d/first", (p*share+i)%m.sessions) })
	reader, _ := handshake(m, m.dial(), &mqtt.Connect{ClientID: "reader", Version: mqtt.V5, SessionExpirySeconds: 3600, ReceiveMaximum: 1000})
	reader.subscribe(m, "other/#", mqtt.AtLeastOnce)
	var reading sync.WaitGroup
	reading.Go(func() { acknowledgeAll(reader) })
	l.publish(m, 8*m.sessions, func(p, i int) string { return fmt.Sprintf("other/%d/%d", p, i%100) })
	m.rest()
	_ = reader.send(&mqtt.Disconnect{})
	reading.Wait()
}

func acknowledgeAll(p *peer) {
	for {
		pk, err := p.receive()
		if err != nil {
			_ = p.conn.Close()
			return
		}
		if m, ok := pk.(*mqtt.Publish); ok {
			_ = p.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: m.PacketID}})
		}
	}
}

func (m *memoryBench) store() {
	begun := time.Now()
	l := newLoad(m, m.dial, 1000, 20)
	defer l.close()
	l.publish(m, m.messages, func(p, i int) string { return fmt.Sprintf("site/%06d/temperature", (p*7919+i)%m.sessions) })
	m.Logf("%d messages: %.0f/s", m.messages, float64(m.messages)/time.Since(begun).Seconds())
}

// rest waits until the broker has next to nothing to do any more: for three seconds in a row.
func (m *memoryBench) rest() {
	for quiet, last := 0, m.process.cpu(m); quiet < 3; {
		pause(time.Second)
		now := m.process.cpu(m)
		if quiet++; now-last > time.Second/20 {
			quiet = 0
		}
		last = now
	}
}

func (m *memoryBench) comeBack() {
	var wg sync.WaitGroup
	const parallel = 100
	take := min(10, m.messages/m.sessions+1)
	for w := range parallel {
		wg.Go(func() {
			for i := w; i < m.back; i += parallel {
				takeAll(m.B, m.dial(), awayID(i*(m.sessions/m.back)), take)
			}
		})
	}
	wg.Wait()
}

// memoryUse is a process's memory, in bytes.
type memoryUse struct{ rss, anonymous, files int64 }

func (u *memoryUse) most(v memoryUse) {
	u.rss, u.anonymous, u.files = max(u.rss, v.rss), max(u.anonymous, v.anonymous), max(u.files, v.files)
}

func (u memoryUse) String() string {
	return fmt.Sprintf("RSS %d MB (anonymous %d, files %d)", u.rss/1e6, u.anonymous/1e6, u.files/1e6)
}

// memoryWatch follows the memory of a process.
type memoryWatch struct {
	pid  int
	most memoryUse
	end  chan struct{}
	wg   sync.WaitGroup
}

// watchMemory has the kernel forget the most that a process had, and looks at it from now on.
func watchMemory(pid int) *memoryWatch {
	w := &memoryWatch{pid: pid, end: make(chan struct{})}
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) // where that is not allowed, what is looked at counts alone
	w.wg.Go(func() {
		t := time.NewTicker(10 * time.Millisecond)
		defer t.Stop()
		for {
			w.most.most(memoryOf(pid))
			select {
			case <-w.end:
				return
			case <-t.C:
			}
		}
	})
	return w
}

// stop returns the most that there was.
func (w *memoryWatch) stop() memoryUse {
	close(w.end)
	w.wg.Wait()
	w.most.rss = max(w.most.rss, statusOf(w.pid)["VmHWM"])
	return w.most
}

func memoryOf(pid int) memoryUse {
	s := statusOf(pid)
	return memoryUse{s["VmRSS"], s["RssAnon"], s["RssFile"] + s["RssShmem"]}
}

// statusOf reads the fields of /proc/PID/status that are sizes, in bytes.
func statusOf(pid int) map[string]int64 {
	fields := make(map[string]int64)
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		if kb, ok := strings.CutSuffix(strings.TrimSpace(value), " kB"); ok {
			if n, err := strconv.ParseInt(kb, 10, 64); err == nil {
				fields[name] = n << 10
			}
		}
	}
	return fields
}

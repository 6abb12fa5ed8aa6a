package broker

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// setting reads a number from the environment, for runs larger or smaller than usual.
func setting(name string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return usual
}

// BenchmarkMemory stores messages for durable sessions that are away, in a broker that is a process of its own.
func BenchmarkMemory(b *testing.B) {
	sessions, messages := setting("BARID_BENCH_SESSIONS", 100_000), setting("BARID_BENCH_MESSAGES", 1_000_000)
	p := startProcess(b, b.TempDir())
	report := func(what string) {
		b.Logf("%s: RSS %d MiB (anonymous %d), most %d", what, p.memory(b, "VmRSS")>>20, p.memory(b, "RssAnon")>>20, p.memory(b, "VmHWM")>>20)
		if dir := os.Getenv("BARID_BENCH_PROFILES"); dir != "" {
			p.profile(b, filepath.Join(dir, what+".heap"))
		}
	}
	report("empty")
	dial := func() net.Conn { return p.dial(b) }
	begun := time.Now()
	makeAway(b, dial, sessions, func(i int) string { return fmt.Sprintf("site/%06d/#", i) })
	b.Logf("%d sessions in %v", sessions, time.Since(begun))
	report("sessions")
	l := newLoad(b, dial, 1000, 20)
	defer l.close()
	for b.Loop() {
		for done := 0; done < messages; {
			n := min(messages-done, 250_000)
			begun = time.Now()
			l.publish(b, n, func(p, i int) string { return fmt.Sprintf("site/%06d/temperature", (p*7919+i)%sessions) })
			done += n
			b.Logf("%d messages: %.0f/s", done, float64(n)/time.Since(begun).Seconds())
			report("messages")
		}
	}
}

//go:build e2e

// Package crash kills the built program under load and looks for broken promises. Publishers of QoS 1 and 2 publish
// numbered messages to subscribers with persistent sessions, all over connections that come and go, while the broker is
// killed (SIGKILL: while it runs, while it starts, while it stops) or stopped (SIGTERM), and started again on what is on
// disk. The history then shows whether
//
//   - all that was acknowledged reached every durable subscription that was acknowledged before, and one member of each
//     shared group,
//   - nothing was delivered twice with QoS 2, and what was repeated with QoS 1 says DUP,
//   - first deliveries kept the order of each publisher and topic,
//   - a retained message was never older than the last acknowledged one,
//   - each will that was acknowledged with its CONNACK, and each delayed message, came, and with QoS 2 once,
//   - no session, and no subscription, was forgotten.
//
// Consumers of the HTTP API are killed likewise: see consumers_test.go.
//
// The seed chooses one of several configurations. Some runs are of a second build, whose sizes are so
// small that sessions are parked and segments end within seconds: see small_test.go.
//
// A run is as long as BARID_CRASH_SECONDS says, or a few seconds. BARID_CRASH_SEED repeats the choices of an earlier run,
// though not its timing.
package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// program is the built barid.
var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "barid-crash")
		if err != nil {
			fmt.Fprintln(os.Stderr, "crash:", err)
			return 1
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "barid")
		if out, err := exec.Command("go", "build", "-o", program, "../..").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "crash: building: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

func TestCrashesWithFsync(t *testing.T) {
	mustKeepItsPromises(t, newWorld(t, "fsync", seed(t)), 9*time.Second, 8)
}

func TestCrashesWithOS(t *testing.T) {
	mustKeepItsPromises(t, newWorld(t, "os", seed(t)), 5*time.Second, 4)
}

// TestABrokerThatForgetsIsFoundOut shows that the harness can fail.
func TestABrokerThatForgetsIsFoundOut(t *testing.T) {
	w := newWorld(t, "memory", seed(t))
	w.patience = time.Second
	w.run(time.Second, 1)
	if w.history.violations() == 0 {
		t.Error("a broker that keeps nothing was killed, and nobody noticed")
	}
}

func mustKeepItsPromises(t *testing.T, w *world, length time.Duration, kills int) {
	w.run(lasting(t, length), kills)
	w.history.report(t, w.broker)
	t.Log(w.figures())
}

// lasting is how long a run is to be under load: as long as BARID_CRASH_SECONDS says, or as usual.
func lasting(t *testing.T, usual time.Duration) time.Duration {
	s := os.Getenv("BARID_CRASH_SECONDS")
	if s == "" {
		return usual
	}
	seconds, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("BARID_CRASH_SECONDS: %v", err)
	}
	return time.Duration(seconds) * time.Second
}

// report fails the test for each promise that was broken.
func (h *history) report(t *testing.T, b *broker) {
	for _, text := range h.broken {
		t.Error(text)
	}
	if n := h.violations(); n > len(h.broken) {
		t.Errorf("and %d more", n-len(h.broken))
	}
	if t.Failed() {
		t.Logf("the brokers printed:\n%s", b.printed())
	}
}

// seed returns the seed of a test's choices, and prints it.
func seed(t *testing.T) uint64 {
	n := rand.Uint64N(1_000_000)
	if s := os.Getenv("BARID_CRASH_SEED"); s != "" {
		var err error
		if n, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("BARID_CRASH_SEED: %v", err)
		}
	}
	t.Logf("BARID_CRASH_SEED=%d", n)
	return n
}

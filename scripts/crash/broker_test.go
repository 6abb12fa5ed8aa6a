//go:build e2e

package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// startLimit is how long a start may take on a busy machine, and stopLimit a stop.
const (
	startLimit = 30 * time.Second
	stopLimit  = 10 * time.Second
)

var listening = regexp.MustCompile(`mqtt://(\S+)\n`)

// broker is barid on one data directory: one process after the other.
type broker struct {
	program string
	args    []string
	addr    atomic.Pointer[string] // where the process that runs listens; nil: it does not

	// Of the process that runs.
	cmd   *exec.Cmd
	ready chan struct{} // closed when it listens
	done  chan struct{} // closed when it has ended
	err   error         // of its end, set before done is closed

	kills, stops int
	slowest      time.Duration // start

	mu     sync.Mutex
	text   strings.Builder // what the process printed
	before []string        // what those before it printed beside the banner
}

func newBroker(dir, durability string, sets ...string) *broker {
	b := &broker{program: program, args: []string{"serve"}}
	usual := []string{"data_dir=" + dir, "durability=" + durability, "listeners.tcp.bind=127.0.0.1:0", "listeners.ws=", "api.bind=", "logging.level=warn", "logging.levels.api=error"}
	for _, set := range append(usual, sets...) {
		b.args = append(b.args, "--set", set)
	}
	return b
}

// launch starts the process without waiting for it.
func (b *broker) launch() error {
	b.cmd = exec.Command(b.program, b.args...)
	for _, v := range b.cmd.Environ() {
		if !strings.HasPrefix(v, "BARID_") {
			b.cmd.Env = append(b.cmd.Env, v)
		}
	}
	b.cmd.Stdout, b.cmd.Stderr = b, b
	b.ready, b.done = make(chan struct{}), make(chan struct{})
	if err := b.cmd.Start(); err != nil {
		return fmt.Errorf("starting: %w", err)
	}
	go func() {
		b.err = b.cmd.Wait()
		b.addr.Store(nil)
		close(b.done)
	}()
	return nil
}

// start starts the process and waits until it listens.
func (b *broker) start() error {
	begun := time.Now()
	if err := b.launch(); err != nil {
		return err
	}
	select {
	case <-b.ready:
		b.slowest = max(b.slowest, time.Since(begun))
		return nil
	case <-b.done:
		return fmt.Errorf("the broker ended instead of starting: %w", b.err)
	case <-time.After(startLimit):
		return fmt.Errorf("the broker did not start within %v", startLimit)
	}
}

// kill ends the process at once. It fails if the process had ended by itself.
func (b *broker) kill() error {
	b.kills++
	if err := b.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("killing: %w; it ended by itself: %w", err, b.err)
	}
	<-b.done
	var exit *exec.ExitError
	if errors.As(b.err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return b.forget()
	}
	return fmt.Errorf("the broker ended before it was killed: %w", b.err)
}

// stop ends the process as a supervisor does; after limit, if that is less than it may take, it is killed.
func (b *broker) stop(limit time.Duration) error {
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping: %w; it ended by itself: %w", err, b.err)
	}
	select {
	case <-b.done:
		b.stops++
		if b.err != nil {
			return errors.Join(fmt.Errorf("the broker was stopped and ended with: %w", b.err), b.forget())
		}
		return b.forget()
	case <-time.After(limit):
	}
	if limit >= stopLimit {
		return errors.Join(fmt.Errorf("the broker did not stop within %v", limit), b.cmd.Process.Kill())
	}
	b.kills++
	_ = b.cmd.Process.Kill() // it may just have ended
	<-b.done
	return b.forget()
}

// replace kills the process, or stops it, and starts another. It returns false if that could not be done.
func (b *broker) replace(rng *rand.Rand, h *history) bool {
	broken := func(err error) bool {
		if err != nil {
			h.fail("after %d kills and %d stops: %v", b.kills, b.stops, err)
		}
		return err != nil
	}
	var err error
	switch rng.IntN(6) {
	case 0:
		err = b.stop(stopLimit)
	case 1:
		err = b.stop(upTo(rng, 20*time.Millisecond))
	default:
		err = b.kill()
	}
	broken(err)
	for rng.IntN(4) == 0 { // while it starts
		if broken(b.launch()) {
			return false
		}
		time.Sleep(upTo(rng, 100*time.Millisecond))
		broken(b.kill())
	}
	return !broken(b.start())
}

// forget makes room for what the next process prints. A panic or an error in what this one printed is an error.
func (b *broker) forget() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.text.String()
	b.text.Reset()
	var err error
	for line := range strings.Lines(text) {
		if strings.Contains(line, "level=") || strings.HasPrefix(line, "barid ") {
			b.before = append(b.before, line)
		}
		if strings.Contains(line, "level=ERROR") {
			err = fmt.Errorf("the broker printed %q", line)
		}
	}
	return err
}

// Write takes what the process prints.
func (b *broker) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Write(text)
	if b.addr.Load() == nil {
		if m := listening.FindStringSubmatch(b.text.String()); m != nil {
			b.addr.Store(&m[1])
			close(b.ready)
		}
	}
	return len(text), nil
}

// printed returns what the processes printed.
func (b *broker) printed() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.before, "") + b.text.String()
}

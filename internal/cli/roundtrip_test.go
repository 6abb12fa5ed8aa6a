package cli

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/config"
)

// startBroker runs a broker of the test's own and returns the flags that lead to it.
func startBroker(t *testing.T) (flags []string) {
	t.Helper()
	cfg := config.Default()
	cfg.Durability = config.DurabilityMemory
	socket := filepath.Join(t.TempDir(), "s")
	cfg.Listeners = map[string]config.Listener{"unix": {Type: config.Unix, Bind: socket}}
	b, err := broker.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return []string{"--unix", socket}
}

func args(lists ...[]string) []string {
	var all []string
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

// background runs sub until it ends; ready is closed when it says that it is subscribed.
func background(t *testing.T, line []string) (status <-chan int, ready <-chan struct{}, out *bytes.Buffer) {
	t.Helper()
	said := &waiting{text: "subscribed to", seen: make(chan struct{})}
	end := make(chan int, 1)
	out = &bytes.Buffer{} // read only after the end
	go func() { end <- Main(t.Context(), line, nil, out, said, nil) }()
	return end, said.seen, out
}

// waiting closes seen when text was written.
type waiting struct {
	mu   sync.Mutex
	all  string
	text string
	seen chan struct{}
}

func (w *waiting) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := strings.Contains(w.all, w.text)
	if w.all += string(p); !before && strings.Contains(w.all, w.text) {
		close(w.seen)
	}
	return len(p), nil
}

func TestPubAndSub(t *testing.T) {
	to := startBroker(t)
	for _, qos := range []string{"0", "1", "2"} {
		end, ready, out := background(t, args([]string{"sub", "-d", "-v", "-C", "3", "-q", qos, "-t", "a/+", "-t", "b"}, to))
		<-ready
		for _, message := range [][]string{{"-t", "a/x", "-m", "one"}, {"-t", "b", "-m", "two"}, {"-t", "a/y", "-n"}} {
			if status, _, stderr := barid(t, "", args([]string{"pub", "-q", qos}, message, to)...); status != 0 {
				t.Errorf("pub: status %d, %s", status, stderr)
			}
		}
		if status := <-end; status != 0 || out.String() != "a/x one\nb two\na/y \n" {
			t.Errorf("QoS %s: sub: status %d, printed %q", qos, status, out.String())
		}
	}
}

func TestSubLeavesWhatItDoesNotPrintToTheSession(t *testing.T) {
	to := startBroker(t)
	session := args([]string{"sub", "-c", "-i", "me", "-q", "1", "-t", "a"}, to)
	if status, _, stderr := barid(t, "", args(session, []string{"-E"})...); status != 0 {
		t.Fatalf("sub -E: status %d, %s", status, stderr)
	}
	if status, _, stderr := barid(t, "1\n2\n3\n", args([]string{"pub", "-q", "1", "-t", "a", "-l"}, to)...); status != 0 {
		t.Fatalf("pub: status %d, %s", status, stderr)
	}
	for _, want := range []string{"1\n", "2\n", "3\n"} {
		if status, stdout, stderr := barid(t, "", args(session, []string{"-C", "1"})...); status != 0 || stdout != want {
			t.Errorf("sub: status %d, printed %q, want %q; %s", status, stdout, want, stderr)
		}
	}
}

func TestSubRetainedOnly(t *testing.T) {
	to := startBroker(t)
	barid(t, "", args([]string{"pub", "-r", "-t", "a", "-m", "kept"}, to)...)
	end, ready, out := background(t, args([]string{"sub", "-d", "--retained-only", "-t", "a"}, to))
	<-ready
	barid(t, "", args([]string{"pub", "-t", "a", "-m", "live"}, to)...)
	if status := <-end; status != 0 || out.String() != "kept\n" {
		t.Errorf("status %d, printed %q", status, out.String())
	}
}

func TestClientErrorsAreOneLine(t *testing.T) {
	to := startBroker(t)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"pub", "-m", "x", "-t", "a/#"}, "barid pub: publishing to a/#: disconnected by the broker: "},
		{[]string{"sub", "-t", "a/#/b"}, "barid sub: subscribing to a/#/b: topic filter invalid (0x8F)"},
		{[]string{"pub", "-t", "a", "-f", "/does/not/exist"}, "barid pub: open /does/not/exist: no such file"},
	} {
		status, stdout, stderr := barid(t, "", args(tt.args, []string{"-q", "1"}, to)...)
		if status != 1 || stdout != "" || !strings.HasPrefix(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: status %d, printed %q, want %q", tt.args, status, stderr, tt.want)
		}
	}
	status, _, stderr := barid(t, "", "pub", "--unix", filepath.Join(t.TempDir(), "none"), "-t", "a", "-n")
	if status != 1 || !strings.Contains(stderr, "no such file or directory") {
		t.Errorf("no socket: status %d, printed %q", status, stderr)
	}
}

func TestSubEndsWhenItCannotWrite(t *testing.T) {
	to := startBroker(t)
	barid(t, "", args([]string{"pub", "-r", "-t", "a", "-m", "kept"}, to)...)
	r, w := io.Pipe()
	r.Close()
	var stderr bytes.Buffer
	status := Main(t.Context(), args([]string{"sub", "-t", "a"}, to), nil, w, &stderr, nil)
	if status != 1 || !strings.Contains(stderr.String(), "barid sub: writing: ") {
		t.Errorf("status %d, printed %q", status, stderr.String())
	}
}

func TestSubTimesOut(t *testing.T) {
	to := startBroker(t)
	if status, stdout, stderr := barid(t, "", args([]string{"sub", "-W", "1", "-t", "a"}, to)...); status != exitTimeout || stdout+stderr != "" {
		t.Errorf("status %d, printed %q and %q", status, stdout, stderr)
	}
}

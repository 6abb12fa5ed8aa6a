//go:build e2e

// Package e2e runs the built program and real clients against each other, as their users would: mosquitto_pub, _sub and
// _rr, barid pub and sub, paho for Go (both versions), MQTT.js and Python's paho, over every transport.
//
// A client that is not installed fails its tests. scripts/e2e/install.sh installs them all.
package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for anything before it fails.
const patience = 20 * time.Second

// What all tests share, set by TestMain.
var (
	program string        // the built barid
	shared  *broker       // a broker that no test stops
	trust   *certificates // of its TLS listeners
)

// broker is a running barid.
type broker struct {
	*process
	dataDir string
	urls    map[string]*url.URL // by listener: tcp, ws, tls, wss, unix
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "barid-e2e")
		if err == nil {
			defer os.RemoveAll(dir)
			err = prepare(dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			return 1
		}
		status := m.Run()
		if err := shared.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e: stopping the shared broker:", err)
			status = 1
		}
		return status
	}())
}

// prepare builds the program, makes certificates and starts the shared broker.
func prepare(dir string) (err error) {
	program = filepath.Join(dir, "barid")
	build := exec.Command("go", "build", "-o", program, "../..")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building: %w\n%s", err, out)
	}
	if trust, err = makeCertificates(dir); err != nil {
		return fmt.Errorf("making certificates: %w", err)
	}
	shared, err = startBroker(dir)
	return err
}

// startBroker starts a broker on free ports with a listener of each type, and its files in dir.
func startBroker(dir string, more ...string) (*broker, error) {
	sets := []string{
		"data_dir=" + filepath.Join(dir, "data"),
		"listeners.tcp.bind=127.0.0.1:0",
		"listeners.ws.bind=127.0.0.1:0",
		"listeners.tls.bind=127.0.0.1:0",
		"listeners.tls.cert_file=" + trust.cert,
		"listeners.tls.key_file=" + trust.key,
		"listeners.wss.bind=127.0.0.1:0",
		"listeners.wss.cert_file=" + trust.cert,
		"listeners.wss.key_file=" + trust.key,
		"listeners.unix.bind=" + filepath.Join(dir, "mqtt.sock"),
		"mqtt.sys_interval_seconds=1",
		"api.bind=127.0.0.1:0",
	}
	args := []string{"serve"}
	for _, set := range append(sets, more...) {
		args = append(args, "--set", set)
	}
	p, err := startProcess(exec.Command(program, args...))
	if err != nil {
		return nil, err
	}
	b := &broker{process: p, urls: map[string]*url.URL{}, dataDir: filepath.Join(dir, "data")}
	if err := b.readBanner(); err != nil {
		p.cmd.Process.Kill()
		return nil, fmt.Errorf("%w; it printed:\n%s", err, p.output())
	}
	return b, nil
}

// readBanner finds out where the broker listens: it prints a name and a URL for each listener.
func (b *broker) readBanner() error {
	if err := b.waitFor("durability"); err != nil {
		return err
	}
	if err := b.readURLs(); err != nil {
		return err
	}
	for _, name := range []string{"tcp", "ws", "tls", "wss", "unix"} {
		if b.urls[name] == nil {
			return fmt.Errorf("the banner has no listener %s", name)
		}
	}
	return nil
}

// readURLs reads the names and URLs of the banner.
func (b *broker) readURLs() error {
	b.urls = map[string]*url.URL{}
	lines := bufio.NewScanner(strings.NewReader(b.output()))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || !strings.Contains(words[1], "://") {
			continue
		}
		u, err := url.Parse(words[1])
		if err != nil {
			return fmt.Errorf("the banner's %q: %w", lines.Text(), err)
		}
		b.urls[words[0]] = u
	}
	return nil
}

// stop ends the broker as a supervisor does. It must exit with 0 within ten seconds.
func (b *broker) stop() error {
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return b.wait(10 * time.Second)
}

// port returns the port of a listener.
func (b *broker) port(listener string) string { return b.urls[listener].Port() }

var topics atomic.Int64

// newTopic returns a topic of one test's own, so that tests share a broker without meeting.
func newTopic(t *testing.T) string {
	return fmt.Sprintf("e2e/%d/%s", topics.Add(1), strings.NewReplacer("/", "-", "#", "-", "+", "-", "$", "-").Replace(t.Name()))
}

// soon returns a context that ends when a test should give up.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// check fails the test at once if err is not nil.
func check(t *testing.T, doing string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", doing, err)
	}
}

// receive returns the next value of a channel.
func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s within %v", what, patience)
		panic("not reached")
	}
}

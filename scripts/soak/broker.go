package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startTimeout is how long a start may take, and a stop.
const startTimeout = 60 * time.Second

// broker is a barid that is started, killed and started again on the same directory.
type broker struct {
	program, dir, addr string
	http               *http.Client // over its socket for administrators

	cmd    *exec.Cmd
	log    bytes.Buffer
	exited chan error
	died   chan error // an end that nobody asked for
	asked  chan struct{}
}

// newBroker builds the program from the source at hand.
func newBroker(dir string) (*broker, error) {
	b := &broker{program: filepath.Join(dir, "barid"), dir: filepath.Join(dir, "data"), died: make(chan error, 1)}
	if out, err := exec.Command("go", "build", "-o", b.program, ".").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building barid: %w\n%s", err, out)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b.addr = ln.Addr().String()
	b.http = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(b.dir, "barid.sock"))
		},
	}}
	return b, ln.Close()
}

// start starts the process and waits until it listens.
func (b *broker) start(ctx context.Context) error {
	b.log.Reset()
	b.cmd = exec.Command(b.program, "serve", "--set", "data_dir="+b.dir, "--set", "listeners.tcp.bind="+b.addr, "--set", "listeners.ws=", "--set", "api.bind=127.0.0.1:0",
		"--set", "logging.level=warn")
	b.cmd.Stdout, b.cmd.Stderr = &b.log, &b.log
	if err := b.cmd.Start(); err != nil {
		return err
	}
	exited, asked := make(chan error, 1), make(chan struct{})
	b.exited, b.asked = exited, asked
	go func(cmd *exec.Cmd) {
		err := cmd.Wait()
		select {
		case <-asked:
		default:
			b.died <- err
		}
		exited <- err
	}(b.cmd)
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		if c, err := new(net.Dialer).DialContext(ctx, "tcp", b.addr); err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the broker does not listen on %s: %w\n%s", b.addr, ctx.Err(), b.lastWords())
		case err := <-exited:
			return fmt.Errorf("the broker did not start: %w\n%s", err, b.lastWords())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// restart ends the process, hard or not, and starts it again.
func (b *broker) restart(ctx context.Context, hard bool) error {
	close(b.asked)
	if hard {
		_ = b.cmd.Process.Kill()
		<-b.exited
		return b.start(ctx)
	}
	_ = b.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-b.exited:
		if err != nil {
			return fmt.Errorf("a clean stop: %w\n%s", err, b.lastWords())
		}
	case <-time.After(startTimeout):
		return errors.New("the broker does not stop")
	}
	return b.start(ctx)
}

func (b *broker) kill() {
	select {
	case <-b.asked:
	default:
		close(b.asked)
	}
	_ = b.cmd.Process.Kill()
	<-b.exited
}

func (b *broker) lastWords() string {
	text := b.log.String()
	return text[max(0, len(text)-4000):]
}

// use is what the process holds at a moment.
type use struct {
	rssBytes, diskBytes     int64
	descriptors, goroutines int
	cpu                     time.Duration
}

// measure asks the system and the broker itself.
func (b *broker) measure() (u use) {
	proc := fmt.Sprintf("/proc/%d/", b.cmd.Process.Pid)
	if text, err := os.ReadFile(proc + "stat"); err == nil {
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		const utime, stime, rss = 11, 12, 21
		for _, i := range []int{utime, stime} {
			n, _ := strconv.ParseInt(fields[i], 10, 64)
			u.cpu += time.Duration(n) * time.Second / 100
		}
		pages, _ := strconv.ParseInt(fields[rss], 10, 64)
		u.rssBytes = pages * int64(os.Getpagesize())
	}
	if names, err := os.ReadDir(proc + "fd"); err == nil {
		u.descriptors = len(names)
	}
	_ = filepath.WalkDir(b.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // it went while it was looked at
		}
		if info, err := d.Info(); err == nil {
			u.diskBytes += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil
	})
	u.goroutines = int(b.metric("go_goroutines"))
	return u
}

// metric reads one metric without labels; 0 if it is not there.
func (b *broker) metric(name string) float64 {
	resp, err := b.http.Get("http://localhost/metrics")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil {
		return 0
	}
	for line := range strings.Lines(text.String()) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, _ := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return n
		}
	}
	return 0
}

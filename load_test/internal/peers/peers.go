// Package peers starts brokers to be compared: Barid from this tree, and others that are installed.
package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/barid-mqtt/barid/load_test/internal/proc"
)

// Need says how a broker is to run.
type Need struct {
	Durability string // memory, os or fsync; "" means memory
}

// Peer is a broker that can be started, or that runs somewhere.
type Peer struct {
	Name    string
	Version string
	// Lacks says what of a load it cannot do, such as "fsync"; "" if it can.
	Lacks func(transport string, need Need) string

	addrs map[string]string // where it runs; nil: prepare tells
	// prepare writes what the broker needs into dir and returns how to start it.
	prepare func(dir string, need Need) (command []string, addrs map[string]string, err error)
}

// Broker is a running broker.
type Broker struct {
	PID   int               // 0: unknown
	Addrs map[string]string // by transport: mqtt, mqtts, ws

	cmd    *exec.Cmd
	exited chan struct{}
	log    string
}

// Times that a broker gets.
const (
	startTimeout = 30 * time.Second
	stopTimeout  = 15 * time.Second
)

// Start starts the peer with its files in dir, and waits until it listens.
func (p *Peer) Start(ctx context.Context, dir string, need Need) (*Broker, error) {
	if p.prepare == nil {
		return p.attach()
	}
	command, addrs, err := p.prepare(dir, need)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.Name, err)
	}
	b := &Broker{Addrs: addrs, exited: make(chan struct{}), log: filepath.Join(dir, "log")}
	out, err := os.Create(b.log)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.Name, err)
	}
	defer out.Close()
	b.cmd = exec.Command(command[0], command[1:]...)
	b.cmd.Dir, b.cmd.Stdout, b.cmd.Stderr = dir, out, out
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.Name, err)
	}
	b.PID = b.cmd.Process.Pid
	go func() {
		_ = b.cmd.Wait() // how it ended is of no use here: Stop ends it, and Start reads its log
		close(b.exited)
	}()
	if err := b.waitUntilListening(ctx); err != nil {
		b.Stop()
		return nil, fmt.Errorf("starting %s: %w%s", p.Name, err, b.lastWords())
	}
	return b, nil
}

// attach uses a broker that runs already.
func (p *Peer) attach() (*Broker, error) {
	b := &Broker{Addrs: p.addrs}
	if addr, err := net.ResolveTCPAddr("tcp", p.addrs["mqtt"]); err == nil && addr.IP.IsLoopback() {
		b.PID = proc.Listener(addr.Port)
	}
	return b, nil
}

var errExited = errors.New("it has ended")

func (b *Broker) waitUntilListening(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, addr := range b.Addrs {
		for {
			conn, err := net.DialTimeout("tcp", addr, time.Second)
			if err == nil {
				_ = conn.Close()
				break
			}
			select {
			case <-b.exited:
				return errExited
			case <-ctx.Done():
				return fmt.Errorf("it does not listen on %s: %w", addr, ctx.Err())
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

// lastWords returns the end of what the broker printed.
func (b *Broker) lastWords() string {
	out, err := os.ReadFile(b.log)
	if err != nil || len(out) == 0 {
		return ""
	}
	return "; it printed:\n" + string(out[max(len(out)-1000, 0):])
}

// Stop ends the broker, if it was started here.
func (b *Broker) Stop() {
	if b.cmd == nil {
		return
	}
	_ = b.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-b.exited:
	case <-time.After(stopTimeout):
		_ = b.cmd.Process.Kill()
		<-b.exited
	}
}

// Running reports whether the broker has not ended by itself.
func (b *Broker) Running() bool {
	if b.cmd == nil {
		return true
	}
	select {
	case <-b.exited:
		return false
	default:
		return true
	}
}

// Parse reads a peer from a flag: NAME,ADDRESS for a broker that runs, or NAME,ADDRESS,COMMAND for one to start, whose
// words are separated by spaces. {dir} in the command is a directory of the run's own.
func Parse(s string) (*Peer, error) {
	parts := strings.SplitN(s, ",", 3)
	if len(parts) < 2 || parts[0] == "" || parts[1] == "" {
		return nil, fmt.Errorf("%q: a peer is NAME,ADDRESS or NAME,ADDRESS,COMMAND", s)
	}
	addrs := map[string]string{"mqtt": parts[1]}
	p := &Peer{Name: parts[0], Version: "as given", addrs: addrs, Lacks: func(transport string, _ Need) string {
		if transport != "mqtt" {
			return "address for " + transport + " clients"
		}
		return ""
	}}
	if len(parts) == 3 && strings.TrimSpace(parts[2]) != "" {
		words := strings.Fields(parts[2])
		p.prepare = func(dir string, _ Need) ([]string, map[string]string, error) {
			var command []string
			for _, w := range words {
				command = append(command, strings.ReplaceAll(w, "{dir}", dir))
			}
			return command, addrs, nil
		}
	}
	return p, nil
}

// freeAddrs returns loopback addresses with ports that were free a moment ago, one for each transport.
func freeAddrs(transports ...string) (map[string]string, error) {
	addrs := map[string]string{}
	for _, t := range transports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("finding a free port: %w", err)
		}
		defer l.Close() // after all were chosen, so that they differ
		addrs[t] = l.Addr().String()
	}
	return addrs, nil
}

// portOf returns the port of an address that freeAddrs has made.
func portOf(addr string) int {
	_, port, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(port)
	return n
}

//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// process is a program that runs beside the test.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // of its end, set before done is closed

	mu      sync.Mutex
	text    bytes.Buffer  // what it printed, on standard output and error
	changed chan struct{} // closed and replaced when text grows
}

// startProcess starts cmd with an environment that has none of the broker's variables.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{}), changed: make(chan struct{})}
	if cmd.Env == nil {
		for _, v := range cmd.Environ() {
			if !strings.HasPrefix(v, "BARID_") {
				cmd.Env = append(cmd.Env, v)
			}
		}
	}
	cmd.Stdout, cmd.Stderr = p, p
	cmd.WaitDelay = patience
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// background starts a client that ends with the test at the latest.
func background(t *testing.T, name string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(installed(t, name), args...)
	if name != "barid" { // the C library keeps back what it writes into a pipe
		cmd = exec.Command(installed(t, "stdbuf"), append([]string{"-oL", name}, args...)...)
	}
	p, err := startProcess(cmd)
	check(t, "starting "+name, err)
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%s %q printed:\n%s", name, args, p.output())
		}
	})
	return p
}

// run runs a client to its end, which must be a good one, and returns what it printed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	p := background(t, name, args...)
	check(t, name+" "+strings.Join(args, " "), p.wait(patience))
	return p.output()
}

// installed returns the path of a client. barid is the program under test.
func installed(t *testing.T, name string) string {
	t.Helper()
	if name == "barid" {
		return program
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed; run: bash scripts/e2e/install.sh", name)
	}
	return path
}

// Write takes what the process prints.
func (p *process) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text.Write(text)
	close(p.changed)
	p.changed = make(chan struct{})
	return len(text), nil
}

// output returns what the process has printed so far.
func (p *process) output() string {
	text, _ := p.look()
	return text
}

func (p *process) look() (string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String(), p.changed
}

// lines returns what the process printed, line by line.
func (p *process) lines() []string {
	return strings.Split(strings.TrimSuffix(p.output(), "\n"), "\n")
}

// waitFor waits until the process has printed text.
func (p *process) waitFor(text string) error {
	timeout := time.After(patience)
	for {
		printed, changed := p.look()
		if strings.Contains(printed, text) {
			return nil
		}
		select {
		case <-changed:
		case <-p.done:
			if strings.Contains(p.output(), text) {
				return nil
			}
			return fmt.Errorf("ended (%v) before it printed %q", p.err, text)
		case <-timeout:
			return fmt.Errorf("did not print %q within %v", text, patience)
		}
	}
}

// wait waits for the end of the process.
func (p *process) wait(limit time.Duration) error {
	select {
	case <-p.done:
		return p.err
	case <-time.After(limit):
		p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("did not end within %v", limit)
	}
}

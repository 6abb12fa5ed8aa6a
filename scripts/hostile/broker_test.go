//go:build e2e && linux

package hostile

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Users of the broker: the one that behaves, and the one that does not.
const (
	goodUser, goodPassword = "good", "the pair's"
	evilUser, evilPassword = "evil", "known to evil"
)

// broker is a running barid with a listener of each type, users and rules.
type broker struct {
	t    *testing.T
	dir  string
	cmd  *exec.Cmd
	done chan struct{}     // closed when it has ended
	err  error             // of its end, set before done is closed
	addr map[string]string // by listener, and of the API as api

	strangers int // that have connected

	mu   sync.Mutex
	text bytes.Buffer // what it printed
}

// Write takes what the process prints.
func (b *broker) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(text)
}

func (b *broker) printed() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// start starts the program. files is the limit of descriptors; 0: as it is here.
func start(t *testing.T, files int, sets ...string) *broker {
	t.Helper()
	dir := t.TempDir()
	b := &broker{t: t, dir: dir, done: make(chan struct{}), addr: map[string]string{}}
	b.prepare()
	at := func(name string) string { return filepath.Join(dir, name) }
	all := []string{
		"data_dir=" + at("data"), "api.bind=127.0.0.1:0", "api.admin.password=the administrator's",
		"listeners.tcp.bind=127.0.0.1:0", "listeners.ws.bind=127.0.0.1:0",
		"listeners.proxy.type=tcp", "listeners.proxy.bind=127.0.0.1:0", "listeners.proxy.proxy_protocol=true",
		"auth.password_file=" + at("users"), "auth.acl_file=" + at("acl"), "auth.scram_file=" + at("scram"),
	}
	for _, name := range []string{"tls", "wss"} {
		all = append(all, "listeners."+name+".bind=127.0.0.1:0", "listeners."+name+".cert_file="+at("certs/server.crt"), "listeners."+name+".key_file="+at("certs/server.key"))
	}
	args := []string{"serve"}
	for _, set := range append(all, sets...) {
		args = append(args, "--set", set)
	}
	b.cmd = exec.Command(program, args...)
	if files > 0 {
		script := fmt.Sprintf("ulimit -n %d && exec \"$0\" \"$@\"", files)
		b.cmd = exec.Command("sh", append([]string{"-c", script, program}, args...)...)
	}
	b.cmd.Env = environment()
	b.cmd.Stdout, b.cmd.Stderr = b, b
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		b.err = b.cmd.Wait()
		close(b.done)
	}()
	t.Cleanup(func() {
		_ = b.cmd.Process.Kill()
		<-b.done
		if t.Failed() {
			text, _, _ := strings.Cut(b.printed(), "SIGQUIT")
			t.Logf("the broker printed, at last:\n%s", text[max(0, len(text)-5000):])
		}
	})
	b.awaitBanner()
	return b
}

// environment is this process's without the broker's variables.
func environment() (env []string) {
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "BARID_") {
			env = append(env, v)
		}
	}
	return env
}

// prepare makes certificates, users and rules.
func (b *broker) prepare() {
	b.t.Helper()
	b.command("", "certs", filepath.Join(b.dir, "certs"))
	for user, password := range map[string]string{goodUser: goodPassword, evilUser: evilPassword} {
		b.command(password+"\n", "passwd", filepath.Join(b.dir, "users"), user)
		b.command(password+"\n", "passwd", "--scram", filepath.Join(b.dir, "scram"), user)
	}
	rules := "user good\ntopic readwrite pair/#\nuser evil\ntopic readwrite hostile/#\n"
	if err := os.WriteFile(filepath.Join(b.dir, "acl"), []byte(rules), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// command runs barid to its end.
func (b *broker) command(input string, args ...string) {
	b.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Stdin = environment(), strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("barid %q: %v\n%s", args, err, out)
	}
}

// awaitBanner finds out where the broker listens.
func (b *broker) awaitBanner() {
	b.t.Helper()
	for end := time.Now().Add(30 * time.Second); !strings.Contains(b.printed(), "durability "); {
		select {
		case <-b.done:
			b.t.Fatalf("the broker ended instead of starting: %v", b.err)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(end) {
			b.t.Fatal("the broker did not start")
		}
	}
	for line := range strings.Lines(b.printed()) {
		words := strings.Fields(line)
		if len(words) < 2 || !strings.Contains(words[1], "://") {
			continue
		}
		if u, err := url.Parse(words[1]); err == nil {
			b.addr[strings.ToLower(words[0])] = u.Host
		}
	}
	if len(b.addr) != 6 {
		b.t.Fatalf("the banner has %v", b.addr)
	}
}

func (b *broker) dial() (net.Conn, error) { return net.Dial("tcp", b.addr["tcp"]) }

// stop ends the broker as a supervisor does. What it printed must hold no error.
func (b *broker) stop() {
	b.t.Helper()
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.t.Fatalf("it ended by itself: %v", b.err)
	}
	select {
	case <-b.done:
	case <-time.After(10 * time.Second):
		b.t.Fatal("it does not end within ten seconds")
	}
	if b.err != nil {
		b.t.Errorf("it ended with %v", b.err)
	}
	b.judge()
}

// judge looks for what must not be in the log.
func (b *broker) judge() {
	b.t.Helper()
	for line := range strings.Lines(b.printed()) {
		for _, bad := range []string{"level=ERROR", "panic:", "fatal error:", "goroutine ", "runtime error", "DATA RACE"} {
			if strings.Contains(line, bad) {
				b.t.Errorf("it printed %.500s", line)
			}
		}
	}
}

// goroutines ends the process by having it show its goroutines, which it returns.
func (b *broker) goroutines() []string {
	b.t.Helper()
	b.judge()
	from := len(b.printed())
	if err := b.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		b.t.Fatalf("it ended by itself: %v", b.err)
	}
	<-b.done
	var all []string
	for part := range strings.SplitSeq(b.printed()[from:], "\n\n") {
		if strings.HasPrefix(strings.TrimSpace(part), "goroutine ") {
			all = append(all, part)
		}
	}
	return all
}

// usage is what a process takes.
type usage struct {
	rss         int64 // bytes
	descriptors int
}

func (b *broker) usage() (u usage) {
	b.t.Helper()
	proc := fmt.Sprintf("/proc/%d/", b.cmd.Process.Pid)
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		b.t.Fatalf("the process is gone: %v", b.err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			u.rss = kib << 10
		}
	}
	files, err := os.ReadDir(proc + "fd")
	if err != nil {
		b.t.Fatal(err)
	}
	u.descriptors = len(files)
	return u
}

func (u usage) String() string {
	return fmt.Sprintf("%d MiB, %d descriptors", u.rss>>20, u.descriptors)
}

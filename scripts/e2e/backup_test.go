//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// loaders is how many clients publish while a backup is made.
const loaders = 4

// load is clients that publish numbers, each to a topic of its own, until the broker is killed.
type load struct {
	acked [loaders]atomic.Int64 // numbers below it were acknowledged
	wg    sync.WaitGroup
}

func publishUntilKilled(t *testing.T, b *broker, topic string) *load {
	t.Helper()
	l := &load{}
	for i := range loaders {
		conn, err := net.Dial("tcp", b.urls["tcp"].Host)
		check(t, "dialing", err)
		c := connect5On(t, conn, clean(), nil)
		l.wg.Go(func() {
			for n := int64(0); ; n++ {
				m := &paho.Publish{Topic: fmt.Sprint(topic, "/", i), QoS: 1, Payload: strconv.AppendInt(nil, n, 10)}
				if _, err := c.Publish(soon(t), m); err != nil {
					return
				}
				l.acked[i].Store(n + 1)
			}
		})
	}
	return l
}

// now returns how many of each client's numbers are acknowledged.
func (l *load) now() (n [loaders]int64) {
	for i := range n {
		n[i] = l.acked[i].Load()
	}
	return n
}

// waitFor waits until each client has so many more.
func (l *load) waitFor(t *testing.T, more int64) {
	t.Helper()
	from := l.now()
	for ctx := soon(t); ; {
		enough := true
		for i, n := range l.now() {
			enough = enough && n >= from[i]+more
		}
		if enough {
			return
		}
		check(t, "publishing", ctx.Err())
	}
}

// TestBackupUnderLoad makes a backup while clients publish to a session that is away, kills the broker, makes one of what
// it left, and restores both elsewhere: each has at least what was acknowledged before it began.
func TestBackupUnderLoad(t *testing.T) {
	b := ownBroker(t)
	expiry := uint32(3600)
	away := func(b *broker, received chan<- *paho.Publish) *client5 {
		conn, err := net.Dial("tcp", b.urls["tcp"].Host)
		check(t, "dialing", err)
		return connect5On(t, conn, &paho.Connect{ClientID: "away", KeepAlive: 30, Properties: &paho.ConnectProperties{SessionExpiryInterval: &expiry}}, received)
	}
	c := away(b, nil)
	c.subscribe(t, paho.SubscribeOptions{Topic: "load/+", QoS: 1})
	check(t, "leaving", c.Disconnect(&paho.Disconnect{}))

	l := publishUntilKilled(t, b, "load")
	l.waitFor(t, 200)
	type backup struct {
		name, file string
		before     [loaders]int64
	}
	backUp := func(name string) backup {
		t.Helper()
		x := backup{name, filepath.Join(t.TempDir(), "backup"), l.now()}
		run(t, "barid", "backup", x.file, "--set", "data_dir="+b.dataDir)
		return x
	}
	running := backUp("while it ran")
	l.waitFor(t, 50)
	check(t, "killing", b.cmd.Process.Kill())
	<-b.done
	l.wg.Wait()
	killed := backUp("after it was killed")

	for _, x := range []backup{running, killed} {
		t.Run(x.name, func(t *testing.T) {
			dir := t.TempDir()
			run(t, "barid", "restore", x.file, "--set", "data_dir="+filepath.Join(dir, "data"))
			restored, err := startBroker(dir)
			check(t, "starting on what was restored", err)
			defer func() { check(t, "stopping", restored.stop()) }()
			received := make(chan *paho.Publish, 1<<16)
			c := away(restored, received)
			if !c.connack.SessionPresent {
				t.Fatal("the session is gone")
			}
			wantNumbers(t, received, x.before)
			check(t, "leaving", c.Disconnect(&paho.Disconnect{}))
		})
	}
}

// wantNumbers waits for all numbers below before, of each client in order.
func wantNumbers(t *testing.T, received <-chan *paho.Publish, before [loaders]int64) {
	t.Helper()
	var next [loaders]int64
	for left := loaders; left > 0; {
		m := receive(t, fmt.Sprintf("message: there are %v of %v", next, before), received)
		i, err := strconv.Atoi(strings.TrimPrefix(m.Topic, "load/"))
		check(t, "the topic "+m.Topic, err)
		if n, err := strconv.ParseInt(string(m.Payload), 10, 64); err != nil || n != next[i] {
			t.Fatalf("%s: got %q, want %d", m.Topic, m.Payload, next[i])
		}
		if next[i]++; next[i] == before[i] {
			left--
		}
	}
}

func TestRestoreRefusesARunningBrokersDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "backup")
	run(t, "barid", "backup", file, "--set", "data_dir="+shared.dataDir)
	p := background(t, "barid", "restore", file, "--set", "data_dir="+shared.dataDir)
	wantExit(t, p, 1)
	if out := p.output(); !strings.Contains(out, "a broker runs on it; stop it first") || len(p.lines()) != 1 {
		t.Errorf("got %q", out)
	}
	if info, err := os.Stat(filepath.Join(shared.dataDir, "barid.sock")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v; want mode 0600", info, err)
	}
}

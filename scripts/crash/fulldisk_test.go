//go:build e2e && linux

package crash

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// diskBytes is the size of the disk that is filled, diskPayload that of a message.
const (
	diskBytes   = 256 << 20
	diskPayload = 100_000
)

// smallDisk mounts a file system of its own, which takes root.
func smallDisk(t *testing.T) string {
	t.Helper()
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, fmt.Sprint("size=", diskBytes)); err != nil {
		t.Skipf("a small file system cannot be mounted here, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	return disk
}

// diskPublisher publishes numbered messages and remembers which were acknowledged.
type diskPublisher struct {
	t     *testing.T
	w     *world
	next  uint32
	acked []uint32
}

// publish publishes one message over a connection and returns the code of its PUBACK, or an error if it was cut off.
func (p *diskPublisher) publish(cn *connection) (mqtt.ReasonCode, error) {
	p.next++
	payload := binary.BigEndian.AppendUint32(nil, p.next)
	payload = append(payload, make([]byte, diskPayload)...)
	if err := cn.send(&mqtt.Publish{Topic: []byte("d/x"), QoS: 1, PacketID: uint16(p.next%60000 + 1), Payload: payload}); err != nil {
		return 0, err
	}
	pk, err := cn.receive()
	if err != nil {
		return 0, err
	}
	ack, ok := pk.(*mqtt.Puback)
	if !ok {
		return 0, fmt.Errorf("got %v", pk.Type())
	}
	if !ack.Code.Failed() {
		p.acked = append(p.acked, p.next)
	}
	return ack.Code, nil
}

func (p *diskPublisher) connect(v mqtt.Version) *connection {
	p.t.Helper()
	cn, _, err := p.w.connect(&mqtt.Connect{Version: v, ClientID: fmt.Sprint("pub", v), CleanStart: true}, 20*time.Second)
	if err != nil {
		p.t.Fatal(err)
	}
	return cn
}

// fill publishes until it is refused.
func (p *diskPublisher) fill() {
	p.t.Helper()
	cn := p.connect(mqtt.V5)
	defer cn.conn.Close()
	for range 2 * diskBytes / diskPayload {
		code, err := p.publish(cn)
		if err != nil {
			p.t.Fatalf("version 5 was cut off: %v", err)
		}
		if code.Failed() {
			if code != mqtt.QuotaExceeded {
				p.t.Fatalf("refused with %v", code)
			}
			return
		}
	}
	p.t.Fatal("the disk does not fill")
}

// refusedBoth checks what publishers see on a full disk: version 5 a code, 3.1.1 the end of its connection.
func (p *diskPublisher) refusedBoth() {
	p.t.Helper()
	cn := p.connect(mqtt.V5)
	defer cn.conn.Close()
	if code, err := p.publish(cn); err != nil || code != mqtt.QuotaExceeded {
		p.t.Errorf("version 5: %v, %v; want 0x97", code, err)
	}
	old := p.connect(mqtt.V311)
	defer old.conn.Close()
	if code, err := p.publish(old); err == nil {
		p.t.Errorf("3.1.1 was answered %v on a full disk", code)
	}
}

// accepted publishes until a message is taken again.
func (p *diskPublisher) accepted() {
	p.t.Helper()
	cn := p.connect(mqtt.V5)
	defer cn.conn.Close()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		if code, err := p.publish(cn); err != nil {
			p.t.Fatal(err)
		} else if !code.Failed() {
			return
		}
	}
	p.t.Fatal("still refused, though there is room")
}

// drain has the sleeping session read all it has, which is all that was acknowledged.
func (p *diskPublisher) drain() {
	p.t.Helper()
	cn, ack, err := p.w.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "sleeper", SessionExpirySeconds: 3600}, time.Minute)
	if err != nil || !ack.SessionPresent {
		p.t.Fatalf("the session: %+v, %v", ack, err)
	}
	defer cn.conn.Close()
	got := map[uint32]bool{}
	for newest := uint32(0); len(p.acked) > 0 && !got[p.acked[len(p.acked)-1]]; {
		pk, err := cn.receive()
		if err != nil {
			p.t.Fatalf("after %d of %d messages: %v", len(got), len(p.acked), err)
		}
		m := pk.(*mqtt.Publish)
		n := binary.BigEndian.Uint32(m.Payload)
		if n < newest && !m.Dup {
			p.t.Errorf("message %d after %d", n, newest)
		}
		newest = max(newest, n)
		got[n] = true
		if err := cn.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: m.PacketID}}); err != nil {
			p.t.Fatal(err)
		}
	}
	for _, n := range p.acked {
		if !got[n] {
			p.t.Errorf("message %d was acknowledged and is lost", n)
		}
	}
	_ = cn.send(&mqtt.Disconnect{})
	_ = cn.out.Flush()
	p.t.Logf("%d messages were acknowledged since the last time, %d arrived", len(p.acked), len(got))
	p.acked = nil
}

func free(t *testing.T, dir string) int64 {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Bavail) * s.Bsize
}

// squeeze has somebody else take all that is left of the disk, and returns how to give it back.
func squeeze(t *testing.T, disk string) (release func()) {
	t.Helper()
	name := filepath.Join(disk, "somebody-elses")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 1<<20); ; {
		if _, err := f.Write(chunk); err != nil {
			break
		}
	}
	if left := free(t, disk); left > 1<<20 {
		t.Fatalf("%d bytes are left", left)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
	}
}

// TestAFullDiskRefusesAndGoesOnWithoutARestart fills a real small disk three times: by messages that a session then takes,
// by somebody else while the broker runs, and again with the broker killed over it.
func TestAFullDiskRefusesAndGoesOnWithoutARestart(t *testing.T) {
	disk := smallDisk(t)
	w := &world{t: t, broker: newBroker(filepath.Join(disk, "data"), "fsync", "mqtt.keep_alive_max_seconds=0")}
	if err := w.broker.start(); err != nil {
		t.Fatalf("%v\n%s", err, w.broker.printed())
	}
	defer func() {
		if t.Failed() {
			_ = w.broker.cmd.Process.Signal(syscall.SIGQUIT) // for its goroutines
			<-w.broker.done
			t.Logf("the broker printed:\n%s", w.broker.printed())
		}
		_ = w.broker.cmd.Process.Kill()
		<-w.broker.done
	}()
	p := &diskPublisher{t: t, w: w}
	sleeper, _, err := w.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "sleeper", SessionExpirySeconds: 3600}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	_ = sleeper.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "d/#", QoS: 1}}})
	if _, err := sleeper.receive(); err != nil {
		t.Fatal(err)
	}
	_ = sleeper.send(&mqtt.Disconnect{})
	_ = sleeper.out.Flush()

	p.fill()
	t.Logf("full with %d messages, %d MiB are free", len(p.acked), free(t, disk)>>20)
	if left := free(t, disk); left < 16<<20 {
		t.Errorf("the broker left %d bytes of the disk", left)
	}
	p.refusedBoth()
	p.drain()
	p.accepted()

	release := squeeze(t, disk)
	for range 30 { // with whatever the broker does in the background
		p.refusedBoth()
		<-time.After(50 * time.Millisecond)
	}
	release()
	p.accepted()
	p.drain()

	p.fill()
	release = squeeze(t, disk)
	p.refusedBoth()
	if err := w.broker.kill(); err != nil {
		t.Fatal(err)
	}
	restartOnFullDisk(t, w, release)
	p.fill()
	release = squeeze(t, disk)
	if err := w.broker.stop(stopLimit); err != nil {
		t.Error(err)
	}
	restartOnFullDisk(t, w, release)
	p.drain()
	p.accepted()
	p.drain()
	if err := w.broker.stop(stopLimit); err != nil {
		t.Error(err)
	}
	for _, alarm := range []string{`msg=alarm component=broker alarm=disk_full`} {
		if !strings.Contains(w.broker.printed(), alarm) {
			t.Errorf("the log has no %q", alarm)
		}
	}
}

// restartOnFullDisk starts the broker where it cannot run: it says so, in one line, and starts when there is room.
func restartOnFullDisk(t *testing.T, w *world, release func()) {
	t.Helper()
	if err := w.broker.start(); err == nil {
		t.Error("it starts on a full disk")
	} else if says := lastLine(w.broker.printed()); !strings.HasPrefix(says, "barid serve: data_dir: ") || !strings.Contains(says, "the disk is full") {
		t.Fatalf("a start on a full disk says %q", says)
	}
	release()
	if err := w.broker.start(); err != nil {
		t.Fatal(err)
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

//go:build e2e && linux

package hostile

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/hostile"
	"github.com/barid-mqtt/barid/mqtt"
)

// A process with few descriptors keeps some for itself: strangers take the others on every port, and the storage goes on
// opening files, a backup is made, the API answers, and the alarm comes and goes.
func TestConnectionsLeaveTheStorageItsDescriptors(t *testing.T) {
	const files = 220
	b := start(t, files)
	pair, err := hostile.NewPair(b.dial, hostile.PairOptions{Name: "few", Username: goodUser, Password: goodPassword, Durable: true, Every: 5 * time.Millisecond, QoS: 1})
	if err != nil {
		t.Fatal(err)
	}
	var held []net.Conn
	for range 2 * files {
		for _, name := range []string{"tcp", "ws", "api", "proxy"} {
			if c, err := net.Dial("tcp", b.addr[name]); err == nil {
				held = append(held, c)
			}
		}
	}
	b.await("alarm=descriptors_low")
	if u := b.usage(); u.descriptors > files-32 {
		t.Errorf("it takes %v of %d", u, files)
	}
	b.fillsItsLog()
	b.command("", "backup", filepath.Join(b.dir, "backup"), "--set", "data_dir="+filepath.Join(b.dir, "data"))
	b.answersHTTP()
	for _, c := range held {
		_ = c.Close()
	}
	b.await("alarm=descriptors_low lasted=")
	late, err := hostile.NewPair(b.dial, hostile.PairOptions{Name: "late", Username: goodUser, Password: goodPassword, Every: 5 * time.Millisecond})
	if err != nil {
		t.Fatalf("nobody is let in after it is over: %v", err)
	}
	for _, p := range []*hostile.Pair{pair, late} {
		if slowest, err := p.End(10 * time.Second); err != nil {
			t.Error(err)
		} else {
			t.Logf("%d messages, the slowest took %v", p.Got(), slowest)
		}
	}
	b.stop()
}

// await waits until the process has printed text.
func (b *broker) await(text string) {
	b.t.Helper()
	for end := time.Now().Add(40 * time.Second); !strings.Contains(b.printed(), text); <-time.After(50 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("it does not print %q", text)
		}
	}
}

// fillsItsLog publishes so much that the storage has to begin new files.
func (b *broker) fillsItsLog() {
	b.t.Helper()
	var nc net.Conn
	var p *hostile.Peer
	for end := time.Now().Add(20 * time.Second); p == nil; { // until a stranger was closed for want of patience
		var err error
		if nc, err = net.Dial("tcp", b.addr["tcp"]); err == nil {
			p, _, err = hostile.Connect(nc, &mqtt.Connect{Version: mqtt.V5, ClientID: "writer", HasUsername: true, Username: goodUser,
				HasPassword: true, Password: []byte(goodPassword), SessionExpirySeconds: 60})
		}
		if err != nil && time.Now().After(end) {
			b.t.Fatal(err)
		}
	}
	defer nc.Close()
	if err := p.Send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "pair/log", QoS: 0}}}); err != nil {
		b.t.Fatal(err)
	}
	for n := 0; n < 400; {
		if n > 0 {
			if err := p.Send(&mqtt.Publish{Topic: []byte("pair/log/x"), QoS: 1, Retain: n%10 == 0, PacketID: uint16(n), Payload: make([]byte, 200_000)}); err != nil {
				b.t.Fatal(err)
			}
		}
		pk, err := p.Receive()
		if err != nil {
			b.t.Fatalf("after %d messages: %v", n, err)
		}
		switch pk := pk.(type) {
		case *mqtt.Suback:
			n = 1
		case *mqtt.Puback:
			if pk.Code.Failed() {
				b.t.Fatalf("message %d: %v", n, pk.Code)
			}
			n++
		}
	}
	files, err := os.ReadDir(filepath.Join(b.dir, "data"))
	b.t.Logf("%d entries in the data directory, %v", len(files), err)
}

// answersHTTP asks for what anybody may ask. A connection may be closed for the one that comes after it.
func (b *broker) answersHTTP() {
	b.t.Helper()
	var last error
	for range 10 {
		answer, err := http.Get("http://" + b.addr["api"] + "/healthz")
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				b.t.Errorf("answered %d", answer.StatusCode)
			}
			return
		}
		last = err
	}
	b.t.Errorf("the API does not answer: %v", last)
}

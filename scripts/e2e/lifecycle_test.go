//go:build e2e

package e2e

import (
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

func TestStopTellsClientsAndExitsWithZero(t *testing.T) {
	b := ownBroker(t)
	conn, err := net.Dial("tcp", b.urls["tcp"].Host)
	check(t, "dialing", err)
	c := connect5On(t, conn, clean(), nil)
	check(t, "SIGTERM", b.cmd.Process.Signal(syscall.SIGTERM))
	if got := receive(t, "DISCONNECT", c.disconnected); got.ReasonCode != 0x8B {
		t.Errorf("DISCONNECT: got 0x%02X, want 0x8B, server shutting down", got.ReasonCode)
	}
	check(t, "the broker", b.wait(10*time.Second))
}

func TestReloadKeepsConnections(t *testing.T) {
	b := ownBroker(t)
	conn, err := net.Dial("tcp", b.urls["tcp"].Host)
	check(t, "dialing", err)
	received := make(chan *paho.Publish, 1)
	c := connect5On(t, conn, clean(), received)
	c.subscribe(t, paho.SubscribeOptions{Topic: "a", QoS: 1})
	check(t, "SIGHUP", b.cmd.Process.Signal(syscall.SIGHUP))
	check(t, "the broker", b.waitFor("reloaded"))
	c.publish(t, &paho.Publish{Topic: "a", QoS: 1, Payload: []byte("still here")})
	receive(t, "message", received)
}

func TestKeepAliveTimeoutPublishesTheWill(t *testing.T) {
	topic := newTopic(t)
	watcher := subscribed(t, flags(via("tcp"), "-C 1 -t", topic))
	conn, err := dial(soon(t), "tcp")
	check(t, "dialing", err)
	defer conn.Close()
	text := func(s string) string { return string([]byte{byte(len(s) >> 8), byte(len(s))}) + s }
	const willAndCleanSession, keepAliveOneSecond = "\x06", "\x00\x01"
	body := text("MQTT") + "\x04" + willAndCleanSession + keepAliveOneSecond + text("") + text(topic) + text("silent")
	_, err = io.WriteString(conn, "\x10"+string([]byte{byte(len(body))})+body)
	check(t, "CONNECT", err)
	begun := time.Now()
	check(t, "deadline", conn.SetReadDeadline(begun.Add(patience)))
	answer, err := io.ReadAll(conn) // until the broker ends it
	check(t, "reading", err)
	if string(answer) != "\x20\x02\x00\x00" {
		t.Errorf("got % x, want a CONNACK and the end", answer)
	}
	if waited := time.Since(begun); waited < 1500*time.Millisecond || waited > 5*time.Second {
		t.Errorf("ended after %v, want a little over 1.5 s", waited)
	}
	check(t, "mosquitto_sub", watcher.wait(patience))
	wantMessages(t, watcher, topic+" silent 0 0")
}

// ownBroker starts a broker for one test.
func ownBroker(t *testing.T) *broker {
	t.Helper()
	b, err := startBroker(t.TempDir())
	check(t, "starting a broker", err)
	t.Cleanup(func() {
		b.cmd.Process.Kill()
		<-b.done
		if t.Failed() {
			t.Logf("the broker printed:\n%s", b.output())
		}
	})
	return b
}

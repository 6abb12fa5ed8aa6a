//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// startGoal is how long a start may take after a kill -9, with a million messages stored.
const startGoal = time.Second

// TestStartWithAMillionMessages stores as many messages as BARID_E2E_STORED says for 1,000 sessions that are away, kills
// the broker while more come, and measures how long the next one takes until it listens.
func TestStartWithAMillionMessages(t *testing.T) {
	stored, err := strconv.Atoi(os.Getenv("BARID_E2E_STORED"))
	if err != nil {
		t.Skip("takes long: set BARID_E2E_STORED=1000000")
	}
	dir := t.TempDir()
	b, err := startBroker(dir)
	check(t, "starting", err)
	defer func() { b.cmd.Process.Kill() }()
	expiry := uint32(3600)
	for i := range 1000 {
		conn, err := net.Dial("tcp", b.urls["tcp"].Host)
		check(t, "dialing", err)
		c := connect5On(t, conn, &paho.Connect{ClientID: fmt.Sprint("away", i), KeepAlive: 30, Properties: &paho.ConnectProperties{SessionExpiryInterval: &expiry}}, nil)
		c.subscribe(t, paho.SubscribeOptions{Topic: fmt.Sprintf("site/%03d/#", i), QoS: 1})
		check(t, "leaving", c.Disconnect(&paho.Disconnect{}))
	}
	begun := time.Now()
	storeMessages(t, b, stored)
	t.Logf("%d messages of 256 bytes stored in %v", stored, time.Since(begun))
	check(t, "killing", b.cmd.Process.Kill())
	<-b.done
	for _, name := range []string{"after kill -9", "after the next kill -9"} {
		begun = time.Now()
		b, err = startBroker(dir)
		check(t, "starting again", err)
		took := time.Since(begun)
		t.Logf("%s: listens after %v", name, took)
		if stored <= 1_000_000 && took > startGoal {
			t.Errorf("%s: it took %v to start, more than %v", name, took, startGoal)
		}
		check(t, "killing", b.cmd.Process.Kill())
		<-b.done
	}
}

// storeMessages publishes with QoS 1, as fast as the broker takes it, and returns once the first n are acknowledged.
func storeMessages(t *testing.T, b *broker, n int) {
	t.Helper()
	conn, err := net.Dial("tcp", b.urls["tcp"].Host)
	check(t, "dialing", err)
	t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, "\x10\x0f\x00\x04MQTT\x04\x02\x00\x00\x00\x03pub")
	check(t, "CONNECT", err)
	in := bufio.NewReader(conn)
	answer := make([]byte, 4) // CONNACK and every PUBACK of 3.1.1
	_, err = io.ReadFull(in, answer)
	check(t, "CONNACK", err)
	go func() { // until the broker is killed
		out := bufio.NewWriterSize(conn, 64<<10)
		for i := 0; ; i++ {
			topic := fmt.Sprintf("site/%03d/t", i%1000)
			body := append([]byte{0, byte(len(topic))}, topic...)
			body = append(body, byte((i%60000+1)>>8), byte(i%60000+1))
			body = append(body, make([]byte, 256)...)
			head := []byte{0x32, byte(len(body)&0x7F | 0x80), byte(len(body) >> 7)}
			if _, err := out.Write(append(head, body...)); err != nil {
				return
			}
		}
	}()
	for i := range n {
		_, err = io.ReadFull(in, answer)
		check(t, fmt.Sprint("PUBACK ", i), err)
	}
}

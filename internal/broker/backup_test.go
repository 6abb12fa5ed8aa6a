package broker

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/admin"
	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/mqtt"
)

// newDiskBroker starts a broker on a data directory.
func newDiskBroker(t *testing.T, dir string) *Broker {
	t.Helper()
	b := newTestBroker(t, []string{"durability=fsync", "data_dir=" + dir, "listeners.tcp.bind=127.0.0.1:0", "listeners.ws="})
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	return b
}

func stopBroker(t *testing.T, b *Broker) {
	t.Helper()
	if err := b.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

var durableConnect = mqtt.Connect{Version: mqtt.V5, SessionExpirySeconds: 3600}

// resume connects a client with a session that outlives the connection.
func resume(t *testing.T, b *Broker, id string, wantSession bool) *peer {
	t.Helper()
	c := durableConnect
	c.ClientID = id
	p, ack := connect(t, b, &c)
	if ack == nil || ack.Code != mqtt.Success || ack.SessionPresent != wantSession {
		t.Fatalf("%s: CONNACK %+v, want session present %v", id, ack, wantSession)
	}
	return p
}

func sendTo(t *testing.T, p *peer, pk mqtt.Packet) {
	t.Helper()
	if err := p.send(pk); err != nil {
		t.Fatal(err)
	}
}

// exchange sends a packet and returns the answer.
func exchange[A mqtt.Packet](t *testing.T, p *peer, pk mqtt.Packet) A {
	t.Helper()
	sendTo(t, p, pk)
	return next[A](t, p)
}

// next returns the next packet, which must be of a type.
func next[A mqtt.Packet](t *testing.T, p *peer) A {
	t.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	got, err := p.receive()
	answer, ok := got.(A)
	if err != nil || !ok {
		t.Fatalf("got %+v, %v; want %T", got, err, answer)
	}
	return answer
}

// TestABackupBringsTheSameSessionsAndMessagesBack fills a broker with some of everything that is kept, restores a backup
// that was made while it runs and one that was made after it stopped, and looks for all of it.
func TestABackupBringsTheSameSessionsAndMessagesBack(t *testing.T) {
	dir := t.TempDir()
	b := newDiskBroker(t, dir)
	ids := fillForBackup(t, b)
	var running, stopped bytes.Buffer
	log := slog.New(slog.DiscardHandler)
	if err := admin.Backup(t.Context(), dir, &running, log); err != nil {
		t.Fatal(err)
	}
	stopBroker(t, b)
	if err := admin.Backup(t.Context(), dir, &stopped, log); err != nil {
		t.Fatal(err)
	}
	for name, backup := range map[string]io.Reader{"of the running broker": &running, "of the stopped broker": &stopped} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir() + "/data"
			if err := admin.Restore(t.Context(), dir, backup, log); err != nil {
				t.Fatal(err)
			}
			b := newDiskBroker(t, dir)
			defer stopBroker(t, b)
			checkRestored(t, b, ids)
		})
	}
}

// inFlight is what the session busy has under way, by packet identifier.
type inFlight struct{ unacknowledged, released uint16 }

// fillForBackup leaves these behind: a session that is away, with a hundred messages queued; one that is connected, with a
// QoS 1 and a QoS 2 message in flight to it and a QoS 2 message of its own not released; a shared group with members that
// are away; retained and delayed messages; and a will that waits.
func fillForBackup(t *testing.T, b *Broker) (ids inFlight) {
	for id, filter := range map[string]string{"away": "q/#", "busy": "f/#", "member": "$share/g/s/#"} {
		p := resume(t, b, id, false)
		p.subscribe(t, filter, mqtt.ExactlyOnce)
		if id != "busy" {
			sendTo(t, p, &mqtt.Disconnect{})
		}
	}
	dying := durableConnect
	dying.ClientID, dying.Will = "dying", &mqtt.Will{Topic: "q/will", Payload: []byte("gone"), QoS: 1, DelaySeconds: 1800}
	p, _ := connect(t, b, &dying)
	_ = p.conn.Close()

	pub := resume(t, b, "pub", false)
	id := uint16(0)
	publish := func(topic, payload string, retain bool) {
		id++
		exchange[*mqtt.Puback](t, pub, &mqtt.Publish{QoS: 1, PacketID: id, Topic: []byte(topic), Payload: []byte(payload), Retain: retain})
	}
	for i := range 100 {
		publish("q/messages", fmt.Sprint(i), false)
		publish("s/messages", fmt.Sprint(i), false)
	}
	publish("r/kept", "retained", true)
	publish("r/forgotten", "retained", true)
	publish("r/forgotten", "", true)
	publish("$delayed/3000/q/later", "delayed", false)

	busy := resume(t, b, "busy", true)
	publish("f/1", "unacknowledged", false)
	ids.unacknowledged = next[*mqtt.Publish](t, busy).PacketID
	exchange[*mqtt.Pubrec](t, pub, &mqtt.Publish{QoS: 2, PacketID: 999, Topic: []byte("f/2"), Payload: []byte("released")})
	ids.released = next[*mqtt.Publish](t, busy).PacketID
	exchange[*mqtt.Pubrel](t, busy, &mqtt.Pubrec{Ack: mqtt.Ack{PacketID: ids.released}}) // durable when it comes
	if !eventually(10*time.Second, func() bool {
		c := b.registry.get("dying")
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.link == nil && c.will != nil
	}) {
		t.Fatal("the will does not wait")
	}
	return ids
}

func checkRestored(t *testing.T, b *Broker, ids inFlight) {
	if got := b.retained.Len(); got != 1 {
		t.Errorf("%d retained messages, want 1", got)
	}
	if b.delayed.n != 1 {
		t.Errorf("%d delayed messages, want 1", b.delayed.n)
	}
	if c := b.registry.get("dying"); c == nil || c.will == nil || string(c.will.message.Payload) != "gone" {
		t.Errorf("the session with a will that waits is %+v", c)
	}

	away := resume(t, b, "away", true)
	checkQueued(t, away, "q/messages")
	if ack := exchange[*mqtt.Suback](t, away, &mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "r/#"}}}); ack.PacketID != 1 {
		t.Errorf("SUBACK %+v", ack)
	}
	if m := next[*mqtt.Publish](t, away); string(m.Topic) != "r/kept" || !m.Retain {
		t.Errorf("retained: got %+v", m)
	}
	checkQueued(t, resume(t, b, "member", true), "s/messages")

	busy := resume(t, b, "busy", true)
	if m := next[*mqtt.Publish](t, busy); m.PacketID != ids.unacknowledged || !m.Dup || string(m.Payload) != "unacknowledged" {
		t.Errorf("in flight: got %+v, want identifier %d and DUP", m, ids.unacknowledged)
	}
	if r := next[*mqtt.Pubrel](t, busy); r.PacketID != ids.released {
		t.Errorf("in flight: got %+v, want identifier %d", r, ids.released)
	}
	pub := resume(t, b, "pub", true)
	again := &mqtt.Publish{QoS: 2, PacketID: 999, Dup: true, Topic: []byte("f/2"), Payload: []byte("released")}
	exchange[*mqtt.Pubrec](t, pub, again) // known, so that it is not published again:
	exchange[*mqtt.Puback](t, pub, &mqtt.Publish{QoS: 1, PacketID: 1, Topic: []byte("f/3"), Payload: []byte("new")})
	if m := next[*mqtt.Publish](t, busy); string(m.Topic) != "f/3" {
		t.Errorf("after the restore: got %+v, want what is new", m)
	}
}

// checkQueued takes the hundred messages of a topic.
func checkQueued(t *testing.T, p *peer, topic string) {
	t.Helper()
	var got, want []string
	for i := range 100 {
		m := next[*mqtt.Publish](t, p)
		got, want = append(got, string(m.Topic)+" "+string(m.Payload)), append(want, fmt.Sprint(topic, " ", i))
		sendTo(t, p, &mqtt.Puback{Ack: mqtt.Ack{PacketID: m.PacketID}})
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// A broker whose data directory cannot hold a socket runs without one.
func TestABrokerNeedsNoAdminSocket(t *testing.T) {
	long := t.TempDir() + "/" + string(bytes.Repeat([]byte("x"), 120))
	var log bytes.Buffer
	cfg, _, err := config.Load(config.Sources{Sets: []string{"data_dir=" + long, "listeners.tcp.bind=127.0.0.1:0", "listeners.ws="}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(cfg, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	stopBroker(t, b)
	if !bytes.Contains(log.Bytes(), []byte("too long for a socket")) {
		t.Errorf("it logged %s", log.Bytes())
	}
}

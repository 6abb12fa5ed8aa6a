//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

// client5 is a connection of paho for Go, which speaks MQTT 5.
type client5 struct {
	*paho.Client
	connack      *paho.Connack
	disconnected chan *paho.Disconnect // by the broker
}

// dial opens a connection to a listener of the shared broker.
func dial(ctx context.Context, listener string) (net.Conn, error) {
	switch listener {
	case "tls":
		conn, err := (&tls.Dialer{Config: trust.client}).DialContext(ctx, "tcp", shared.urls["tls"].Host)
		return packets.NewThreadSafeConn(conn), err
	case "unix":
		return new(net.Dialer).DialContext(ctx, "unix", shared.urls["unix"].Path)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", shared.urls[listener].Host)
}

// connect5 connects and sends what the client receives to received.
func connect5(t *testing.T, listener string, packet *paho.Connect, received chan<- *paho.Publish) *client5 {
	t.Helper()
	conn, err := dial(soon(t), listener)
	check(t, "dialing", err)
	return connect5On(t, conn, packet, received)
}

func connect5On(t *testing.T, conn net.Conn, packet *paho.Connect, received chan<- *paho.Publish) *client5 {
	t.Helper()
	c := &client5{disconnected: make(chan *paho.Disconnect, 1)}
	c.Client = paho.NewClient(paho.ClientConfig{
		Conn:               conn,
		OnServerDisconnect: func(d *paho.Disconnect) { c.disconnected <- d },
		OnClientError:      func(error) {},
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			received <- p.Packet
			return true, nil
		}},
	})
	var err error
	c.connack, err = c.Connect(soon(t), packet)
	check(t, "connecting", err)
	t.Cleanup(func() { _ = c.Disconnect(&paho.Disconnect{}) }) // most tests end with the connection up, some do not
	return c
}

func (c *client5) subscribe(t *testing.T, filters ...paho.SubscribeOptions) {
	t.Helper()
	_, err := c.Subscribe(soon(t), &paho.Subscribe{Subscriptions: filters})
	check(t, "subscribing", err)
}

func (c *client5) publish(t *testing.T, p *paho.Publish) *paho.PublishResponse {
	t.Helper()
	answer, err := c.Publish(soon(t), p)
	check(t, "publishing", err)
	return answer
}

func clean() *paho.Connect { return &paho.Connect{CleanStart: true, KeepAlive: 30} }

func TestPaho5PropertiesPassUnchanged(t *testing.T) {
	for _, listener := range []string{"tcp", "tls", "unix"} {
		for qos := range byte(3) {
			t.Run(fmt.Sprintf("%s/QoS%d", listener, qos), func(t *testing.T) {
				topic := newTopic(t)
				received := make(chan *paho.Publish, 1)
				sub := connect5(t, listener, clean(), received)
				id := 77
				_, err := sub.Subscribe(soon(t), &paho.Subscribe{
					Properties:    &paho.SubscribeProperties{SubscriptionIdentifier: &id},
					Subscriptions: []paho.SubscribeOptions{{Topic: topic, QoS: 2}},
				})
				check(t, "subscribing", err)
				format, expiry := byte(1), uint32(1000)
				sent := &paho.PublishProperties{
					PayloadFormat: &format, MessageExpiry: &expiry, ContentType: "text/plain", ResponseTopic: topic + "/r",
					CorrelationData: []byte{0, 1, 255},
					User:            paho.UserProperties{{Key: "k", Value: "1"}, {Key: "k", Value: "2"}, {Key: "", Value: "ü"}},
				}
				connect5(t, listener, clean(), nil).publish(t, &paho.Publish{Topic: topic, QoS: qos, Payload: []byte("x"), Properties: sent})
				got := receive(t, "message", received)
				if got.QoS != qos || got.Topic != topic || string(got.Payload) != "x" || got.Retain {
					t.Errorf("got %+v", got)
				}
				p := got.Properties
				if p.MessageExpiry == nil || *p.MessageExpiry > expiry || *p.MessageExpiry < expiry-20 {
					t.Errorf("message expiry: got %v, want a little under %d", p.MessageExpiry, expiry)
				}
				if p.SubscriptionIdentifier == nil || *p.SubscriptionIdentifier != id {
					t.Errorf("subscription identifier: got %v", p.SubscriptionIdentifier)
				}
				if p.PayloadFormat == nil || *p.PayloadFormat != 1 || p.ContentType != sent.ContentType || p.ResponseTopic != sent.ResponseTopic ||
					!reflect.DeepEqual(p.CorrelationData, sent.CorrelationData) || !reflect.DeepEqual(p.User, sent.User) {
					t.Errorf("properties: got %+v, want %+v", p, sent)
				}
			})
		}
	}
}

func TestPaho5SubscriptionOptions(t *testing.T) {
	topic := newTopic(t)
	received := make(chan *paho.Publish, 10)
	c := connect5(t, "tcp", clean(), received)
	other := connect5(t, "tcp", clean(), nil)
	other.publish(t, &paho.Publish{Topic: topic + "/kept", QoS: 1, Retain: true, Payload: []byte("kept")})

	c.subscribe(t, paho.SubscribeOptions{Topic: topic + "/+", QoS: 1, RetainHandling: 2}) // none of what is retained
	c.subscribe(t, paho.SubscribeOptions{Topic: topic + "/+", QoS: 1, RetainHandling: 1}) // only if it were new
	c.subscribe(t, paho.SubscribeOptions{Topic: topic + "/nolocal", QoS: 1, NoLocal: true})
	c.subscribe(t, paho.SubscribeOptions{Topic: topic + "/as/published", QoS: 1, RetainAsPublished: true})
	c.publish(t, &paho.Publish{Topic: topic + "/as/published", QoS: 1, Retain: true, Payload: []byte("a")})
	if got := receive(t, "message", received); string(got.Payload) != "a" || !got.Retain {
		t.Errorf("retain as published: got %+v", got)
	}
	c.subscribe(t, paho.SubscribeOptions{Topic: topic + "/+", QoS: 1})
	if got := receive(t, "retained message", received); string(got.Payload) != "kept" || !got.Retain {
		t.Errorf("retained: got %+v", got)
	}
	other.publish(t, &paho.Publish{Topic: topic + "/kept", QoS: 1, Retain: true}) // remove it
	if got := receive(t, "message", received); len(got.Payload) != 0 || got.Retain {
		t.Errorf("removal: got %+v", got)
	}
	_, err := c.Unsubscribe(soon(t), &paho.Unsubscribe{Topics: []string{topic + "/+"}})
	check(t, "unsubscribing", err)
	c.publish(t, &paho.Publish{Topic: topic + "/nolocal", QoS: 1, Payload: []byte("own")})
	other.publish(t, &paho.Publish{Topic: topic + "/nolocal", QoS: 1, Payload: []byte("other's")})
	if got := receive(t, "message", received); string(got.Payload) != "other's" {
		t.Errorf("no local: got %+v", got)
	}
}

func TestPaho5AnswersSayWhatHappened(t *testing.T) {
	topic := newTopic(t)
	c := connect5(t, "tcp", clean(), make(chan *paho.Publish, 1))
	if c.connack.Properties == nil || c.connack.Properties.AssignedClientID == "" {
		t.Errorf("a client without an id got none: %+v", c.connack.Properties)
	}
	for qos := byte(1); qos <= 2; qos++ {
		if got := c.publish(t, &paho.Publish{Topic: topic, QoS: qos}).ReasonCode; qos == 1 && got != 0x10 {
			t.Errorf("QoS %d to nobody: got 0x%02X, want 0x10", qos, got)
		}
	}
	answer, err := c.Unsubscribe(soon(t), &paho.Unsubscribe{Topics: []string{topic}})
	check(t, "unsubscribing", err)
	if len(answer.Reasons) != 1 || answer.Reasons[0] != 0x11 {
		t.Errorf("unsubscribing from nothing: got %v, want 0x11", answer.Reasons)
	}
	c.subscribe(t, paho.SubscribeOptions{Topic: topic, QoS: 1})
	if got := c.publish(t, &paho.Publish{Topic: topic, QoS: 1}).ReasonCode; got != 0 {
		t.Errorf("QoS 1 to a subscriber: got 0x%02X", got)
	}
}

func TestPaho5SessionResumesAfterALostConnection(t *testing.T) {
	for qos := byte(1); qos <= 2; qos++ {
		t.Run(fmt.Sprintf("QoS%d", qos), func(t *testing.T) {
			topic := newTopic(t)
			expiry := uint32(600)
			packet := &paho.Connect{ClientID: fmt.Sprintf("resume%d", topics.Add(1)), Properties: &paho.ConnectProperties{SessionExpiryInterval: &expiry}}
			conn, err := dial(soon(t), "tcp")
			check(t, "dialing", err)
			first := connect5On(t, conn, packet, nil)
			if first.connack.SessionPresent {
				t.Fatal("a session before there was one")
			}
			first.subscribe(t, paho.SubscribeOptions{Topic: topic, QoS: qos})
			check(t, "cutting the connection", conn.Close())

			const count = 50
			pub := connect5(t, "tcp", clean(), nil)
			for i := range count {
				pub.publish(t, &paho.Publish{Topic: topic, QoS: qos, Payload: fmt.Append(nil, i)})
			}
			received := make(chan *paho.Publish, count)
			second := connect5(t, "tcp", packet, received)
			if !second.connack.SessionPresent {
				t.Error("the session was not present")
			}
			for i := range count {
				if got := receive(t, "message", received); string(got.Payload) != fmt.Sprint(i) {
					t.Fatalf("message %d: got %q", i, got.Payload)
				}
			}
		})
	}
}

func TestPaho5WillWaitsForItsDelayAndTheReconnectCancelsIt(t *testing.T) {
	topic := newTopic(t)
	received := make(chan *paho.Publish, 3)
	watcher := connect5(t, "tcp", clean(), received)
	watcher.subscribe(t, paho.SubscribeOptions{Topic: topic + "/#", QoS: 1})

	dies := func(id string, delay uint32) {
		t.Helper()
		expiry := uint32(600)
		conn, err := dial(soon(t), "tcp")
		check(t, "dialing", err)
		connect5On(t, conn, &paho.Connect{
			ClientID: id, CleanStart: true, Properties: &paho.ConnectProperties{SessionExpiryInterval: &expiry},
			WillMessage:    &paho.WillMessage{Topic: topic + "/" + id, Payload: []byte("will"), QoS: 1},
			WillProperties: &paho.WillProperties{WillDelayInterval: &delay, User: paho.UserProperties{{Key: "k", Value: "v"}}},
		}, nil)
		check(t, "cutting the connection", conn.Close())
	}
	back := fmt.Sprintf("back%d", topics.Add(1))
	dies(back, 2)
	connect5(t, "tcp", &paho.Connect{ClientID: back}, nil) // in time
	begun := time.Now()
	late := fmt.Sprintf("late%d", topics.Add(1))
	dies(late, 3)
	got := receive(t, "will", received)
	if got.Topic != topic+"/"+late || string(got.Payload) != "will" || got.Properties.User.Get("k") != "v" {
		t.Errorf("got %+v; the will of %s was canceled", got, back)
	}
	if waited := time.Since(begun); waited < 2*time.Second {
		t.Errorf("the will came after %v, want 3 s", waited)
	}
}

func TestPaho5ExpiredMessageIsNotDelivered(t *testing.T) {
	topic := newTopic(t)
	expiry := uint32(600)
	packet := &paho.Connect{ClientID: fmt.Sprintf("expiry%d", topics.Add(1)), Properties: &paho.ConnectProperties{SessionExpiryInterval: &expiry}}
	first := connect5(t, "tcp", packet, nil)
	first.subscribe(t, paho.SubscribeOptions{Topic: topic, QoS: 1})
	check(t, "disconnecting", first.Disconnect(&paho.Disconnect{}))
	pub := connect5(t, "tcp", clean(), nil)
	second := uint32(1)
	pub.publish(t, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte("short"), Properties: &paho.PublishProperties{MessageExpiry: &second}})
	pub.publish(t, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte("long")})
	<-time.After(2100 * time.Millisecond) // real clients, real time: the message must be a second past its expiry
	received := make(chan *paho.Publish, 2)
	connect5(t, "tcp", packet, received)
	if got := receive(t, "message", received); string(got.Payload) != "long" {
		t.Errorf("got %q", got.Payload)
	}
}

//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// url3 returns a listener's URL as paho for MQTT 3 wants it.
func url3(listener string) string {
	u := *shared.urls[listener]
	switch listener {
	case "tcp":
		u.Scheme = "tcp"
	case "tls":
		u.Scheme, u.Host = "ssl", "localhost:"+u.Port()
	case "wss":
		u.Host = "localhost:" + u.Port()
	}
	return u.String()
}

// connect3 connects paho's client for MQTT 3.1.1 and 3.1.
func connect3(t *testing.T, listener string, change func(*mqtt.ClientOptions)) mqtt.Client {
	t.Helper()
	o := mqtt.NewClientOptions().AddBroker(url3(listener)).SetTLSConfig(trust.client).SetAutoReconnect(false).
		SetProtocolVersion(4).SetConnectTimeout(patience).SetClientID(fmt.Sprintf("three%d", topics.Add(1)))
	if change != nil {
		change(o)
	}
	c := mqtt.NewClient(o)
	done(t, "connecting", c.Connect())
	t.Cleanup(func() { c.Disconnect(100) })
	return c
}

// done waits for the end of an operation.
func done(t *testing.T, doing string, token mqtt.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) {
		t.Fatalf("%s: no end within %v", doing, patience)
	}
	check(t, doing, token.Error())
}

// collect returns a handler and the messages that it gets.
func collect() (mqtt.MessageHandler, <-chan mqtt.Message) {
	received := make(chan mqtt.Message, 10_000)
	return func(_ mqtt.Client, m mqtt.Message) { received <- m }, received
}

func TestPaho3EveryTransportVersionAndQoS(t *testing.T) {
	for _, listener := range []string{"tcp", "tls", "ws", "wss", "unix"} {
		for _, version := range []uint{3, 4} {
			t.Run(fmt.Sprintf("%s/%d", listener, version), func(t *testing.T) {
				t.Parallel()
				topic := newTopic(t)
				as := func(o *mqtt.ClientOptions) { o.SetProtocolVersion(version) }
				handler, received := collect()
				sub, pub := connect3(t, listener, as), connect3(t, listener, as)
				done(t, "subscribing", sub.Subscribe(topic, 2, handler))
				for qos := range byte(3) {
					done(t, "publishing", pub.Publish(topic, qos, false, fmt.Sprint(qos)))
					got := receive(t, "message", received)
					if got.Qos() != qos || string(got.Payload()) != fmt.Sprint(qos) || got.Retained() || got.Duplicate() {
						t.Errorf("QoS %d: got %q, QoS %d", qos, got.Payload(), got.Qos())
					}
				}
				done(t, "unsubscribing", sub.Unsubscribe(topic))
			})
		}
	}
}

func TestPaho3ThousandsKeepTheirOrder(t *testing.T) {
	const rounds, batch = 20, 250 // a batch is less than the broker holds for a slow subscriber
	for qos := range byte(3) {
		t.Run(fmt.Sprintf("QoS%d", qos), func(t *testing.T) {
			topic := newTopic(t)
			handler, received := collect()
			sub, pub := connect3(t, "tcp", nil), connect3(t, "tcp", nil)
			done(t, "subscribing", sub.Subscribe(topic, qos, handler))
			for round := range rounds {
				for i := range batch {
					pub.Publish(topic, qos, false, fmt.Sprint(round*batch+i))
				}
				for i := range batch {
					if got := receive(t, "message", received); string(got.Payload()) != fmt.Sprint(round*batch+i) {
						t.Fatalf("message %d: got %q", round*batch+i, got.Payload())
					}
				}
			}
		})
	}
}

func TestPaho3LargePayload(t *testing.T) {
	topic := newTopic(t)
	handler, received := collect()
	c := connect3(t, "wss", nil)
	done(t, "subscribing", c.Subscribe(topic, 1, handler))
	payload := make([]byte, 1_000_000)
	for i := range payload {
		payload[i] = byte(i >> 8)
	}
	done(t, "publishing", c.Publish(topic, 1, false, payload))
	if got := receive(t, "message", received); string(got.Payload()) != string(payload) {
		t.Errorf("a payload of %d bytes came back changed, with %d", len(payload), len(got.Payload()))
	}
}

func TestPaho3SessionSurvivesTheConnection(t *testing.T) {
	topic := newTopic(t)
	id := fmt.Sprintf("keep%d", topics.Add(1))
	handler, received := collect()
	kept := func(o *mqtt.ClientOptions) {
		o.SetCleanSession(false).SetClientID(id).SetDefaultPublishHandler(handler)
	}
	first := connect3(t, "tcp", kept)
	done(t, "subscribing", first.Subscribe(topic, 1, handler))
	first.Disconnect(100)
	pub := connect3(t, "tcp", nil)
	for i := range 10 {
		done(t, "publishing", pub.Publish(topic, 2, false, fmt.Sprint(i)))
	}
	connect3(t, "tcp", kept)
	for i := range 10 {
		if got := receive(t, "message", received); string(got.Payload()) != fmt.Sprint(i) || got.Qos() != 1 {
			t.Fatalf("message %d: got %q, QoS %d", i, got.Payload(), got.Qos())
		}
	}
}

func TestPaho3Retained(t *testing.T) {
	topic := newTopic(t)
	pub := connect3(t, "tcp", nil)
	done(t, "publishing", pub.Publish(topic, 1, true, "kept"))
	handler, received := collect()
	sub := connect3(t, "tcp", nil)
	done(t, "subscribing", sub.Subscribe(topic+"/#", 1, handler))
	if got := receive(t, "retained message", received); string(got.Payload()) != "kept" || !got.Retained() {
		t.Errorf("got %q, retained %t", got.Payload(), got.Retained())
	}
	done(t, "removing", pub.Publish(topic, 1, true, ""))
	if got := receive(t, "removal", received); len(got.Payload()) != 0 || got.Retained() {
		t.Errorf("got %q, retained %t", got.Payload(), got.Retained())
	}
}

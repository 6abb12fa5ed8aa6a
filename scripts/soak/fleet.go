package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

const (
	consumers     = 3                // services with a session of their own, each of which gets everything
	workers       = 3                // members of a shared group
	sessionExpiry = 3600             // seconds
	answerTimeout = 60 * time.Second // for an acknowledgement, over a restart too
	settleTimeout = 90 * time.Second // for the last messages to arrive
)

// fleet is devices that publish, lose their connections and come back, and services that consume.
type fleet struct {
	url    *url.URL
	ledger *ledger
	cancel context.CancelFunc
	wg     sync.WaitGroup
	stops  []context.CancelFunc
}

// newFleet connects everybody. It runs until finish.
func newFleet(ctx context.Context, o options, addr string) (*fleet, error) {
	f := &fleet{url: &url.URL{Scheme: "mqtt", Host: addr}, ledger: newLedger(consumers + 1)}
	ctx, f.cancel = context.WithCancel(ctx)
	for i := range consumers {
		if err := f.consume(ctx, fmt.Sprintf("service-%d", i), "fleet/+/telemetry", func(k key) { f.ledger.arrive(i, k) }); err != nil {
			return nil, err
		}
	}
	for i := range workers {
		if err := f.consume(ctx, fmt.Sprintf("worker-%d", i), "$share/workers/fleet/+/telemetry", func(k key) { f.ledger.arrive(consumers, k) }); err != nil {
			return nil, err
		}
	}
	every := time.Duration(float64(o.devices) / o.perSecond * float64(time.Second))
	for i := range o.devices {
		random := rand.New(rand.NewPCG(o.seed, uint64(i)))
		f.wg.Go(func() { f.device(ctx, fmt.Sprintf("device-%03d", i), every, random) })
	}
	return f, nil
}

// config is a client with a session that outlives its connections.
func (f *fleet) config(id string) autopaho.ClientConfig {
	return autopaho.ClientConfig{
		ServerUrls: []*url.URL{f.url}, KeepAlive: 30, SessionExpiryInterval: sessionExpiry,
		ConnectTimeout: 10 * time.Second, ReconnectBackoff: func(int) time.Duration { return 200 * time.Millisecond },
		ClientConfig: paho.ClientConfig{ClientID: id, PacketTimeout: answerTimeout},
	}
}

// consume connects a service and subscribes, once: its session keeps the subscription.
func (f *fleet) consume(ctx context.Context, id, filter string, got func(key)) error {
	cfg := f.config(id)
	subscribed := make(chan error, 1)
	cfg.OnConnectionUp = func(m *autopaho.ConnectionManager, ack *paho.Connack) {
		if ack.SessionPresent {
			return
		}
		_, err := m.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: 2}}})
		select {
		case subscribed <- err:
		default:
		}
	}
	cfg.OnPublishReceived = []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
		if p.Packet.Retain {
			return true, nil
		}
		var m telemetry
		if err := json.Unmarshal(p.Packet.Payload, &m); err == nil && m.QoS > 0 {
			got(key{m.Device, m.Number})
		}
		return true, nil
	}}
	own, stop := context.WithCancel(context.Background()) // services go on when the devices have stopped
	if _, err := autopaho.NewConnection(own, cfg); err != nil {
		stop()
		return err
	}
	f.stops = append(f.stops, stop)
	select {
	case err := <-subscribed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// telemetry is what a device sends.
type telemetry struct {
	Device string `json:"device"`
	Number uint64 `json:"number"`
	QoS    byte   `json:"qos"`
	Filler string `json:"filler"`
}

// device publishes, and now and then loses its connection for a while.
func (f *fleet) device(ctx context.Context, id string, every time.Duration, random *rand.Rand) {
	var number uint64
	for ctx.Err() == nil {
		own, stop := context.WithCancel(ctx)
		cfg := f.config(id)
		cfg.WillMessage = &paho.WillMessage{Topic: "fleet/" + id + "/state", Payload: []byte("gone"), QoS: 1, Retain: true}
		m, err := autopaho.NewConnection(own, cfg)
		if err == nil && m.AwaitConnection(own) == nil {
			f.publishState(own, m, id)
			for range 20 + random.IntN(200) {
				if !sleep(own, time.Duration(float64(every)*(0.5+random.Float64()))) {
					break
				}
				number++
				f.publish(own, m, key{id, number}, byte(random.IntN(3)), random.IntN(400))
			}
			if random.IntN(2) == 0 && ctx.Err() == nil {
				leave, cancel := context.WithTimeout(own, answerTimeout)
				_ = m.Disconnect(leave)
				cancel()
			}
		}
		stop() // without DISCONNECT half of the time: the will is published
		sleep(ctx, time.Duration(random.IntN(10))*time.Second)
	}
}

func (f *fleet) publishState(ctx context.Context, m *autopaho.ConnectionManager, id string) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, _ = m.Publish(ctx, &paho.Publish{Topic: "fleet/" + id + "/state", QoS: 1, Retain: true, Payload: []byte("here")})
}

// publish sends one message and waits for its acknowledgement. One that does not come says nothing.
func (f *fleet) publish(ctx context.Context, m *autopaho.ConnectionManager, k key, qos byte, size int) {
	payload, err := json.Marshal(telemetry{k.device, k.number, qos, strings.Repeat("x", size)})
	if err != nil {
		panic(err) // of a struct of strings and numbers
	}
	p := &paho.Publish{Topic: "fleet/" + k.device + "/telemetry", QoS: qos, Payload: payload}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if qos == 0 {
		_, _ = m.Publish(ctx, p)
		return
	}
	f.ledger.publish(k, qos)
	if answer, err := m.Publish(ctx, p); err != nil || answer == nil || answer.ReasonCode >= 0x80 {
		f.ledger.abandon(k)
		return
	}
	f.ledger.acknowledge(k)
}

// finish stops the devices, waits for what is on its way, and returns what was not kept.
func (f *fleet) finish() []string {
	f.cancel()
	f.wg.Wait()
	for end := time.Now().Add(settleTimeout); f.ledger.waiting() > 0 && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
	for _, stop := range f.stops {
		stop()
	}
	return f.ledger.close()
}

// sleep waits, and reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

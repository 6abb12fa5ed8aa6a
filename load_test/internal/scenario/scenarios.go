package scenario

import (
	"context"
	"time"

	"github.com/barid-mqtt/barid/load_test/internal/wire"
	"github.com/barid-mqtt/barid/mqtt"
)

// Scenario is a load with a name.
type Scenario struct {
	Name  string
	About string
	Load  Load
	// Durability is what Barid is started with to run it: memory, os or fsync. Peers that have such a choice get the
	// nearest.
	Durability string
	// Keys are the metrics that say who is better, the most telling first.
	Keys []string
	// Goal is what Barid means to reach, for the report; "" if nothing was said.
	Goal string
	run  func(ctx context.Context, e *Env) (*Result, error)
}

// Run runs it against e.Target with e.Load, which is s.Load or what a user made of it.
func (s *Scenario) Run(ctx context.Context, e *Env) (*Result, error) {
	if err := e.Load.check(); err != nil {
		return nil, err
	}
	r, err := s.run(ctx, e)
	if err != nil {
		return nil, err
	}
	r.Scenario, r.Broker = s.Name, e.Broker
	return r, nil
}

// Find returns a scenario by name.
func Find(name string) (Scenario, bool) {
	for _, s := range All() {
		if s.Name == name {
			return s, true
		}
	}
	return Scenario{}, false
}

// base is what scenarios have in common.
func base() Load {
	return Load{
		Groups: 1, Topics: GroupTopic, PayloadBytes: 256, Version: mqtt.V311, Transport: "mqtt",
		Warmup: time.Second, Duration: 5 * time.Second,
	}
}

// nap is how long the generator sleeps between rounds where many messages are under way.
const nap = 100 * time.Microsecond

var (
	throughput = []string{MetricCPU, MetricRate}
	paced      = []string{MetricCPU, MetricP99}
)

// All returns all scenarios, in the order of the report.
func All() []Scenario {
	var all []Scenario
	all = append(all, fanIn()...)
	all = append(all, fanOut()...)
	all = append(all, pairs()...)
	all = append(all, kept()...)
	all = append(all, connections()...)
	all = append(all, neighbours()...)
	all = append(all, suite()...)
	return all
}

func fanIn() []Scenario {
	in := base()
	in.Publishers, in.Subscribers, in.Groups, in.Topics = 50, 5, 5, TopicPattern
	in.Window, in.Refill, in.Nap = 256, 128, nap
	one := in
	one.OneWrite = true
	acked := in
	acked.Subscribers, acked.Groups = 10, 10
	acked.QoS, acked.Window, acked.Refill = mqtt.AtLeastOnce, 50, 1
	exact := acked
	exact.QoS = mqtt.ExactlyOnce
	device := in
	device.Publishers, device.Window, device.Refill, device.Rate, device.OneWrite = 1000, 0, 0, 10_000, true
	device.Burst, device.Nap = time.Millisecond, 0
	spread := device
	spread.Burst = 0
	device1 := device
	device1.QoS = mqtt.AtLeastOnce
	return []Scenario{
		{Name: "fan-in", About: "50 publishers to 5 subscribers, QoS 0, many messages a write", Load: in,
			Keys: throughput, Goal: "≤ 0.45 s CPU per million; ≥ 12× Mosquitto", run: traffic},
		{Name: "fan-in-one", About: "the same, one message a write", Load: one,
			Keys: throughput, Goal: "≤ 2.6 s CPU per million", run: traffic},
		{Name: "fan-in-qos1", About: "50 publishers to 10 subscribers, QoS 1, 50 in flight each", Load: acked,
			Keys: throughput, Goal: "≤ 0.9 s CPU per million; ≥ 8× Mosquitto", run: traffic},
		{Name: "fan-in-qos2", About: "the same, QoS 2", Load: exact,
			Keys: throughput, Goal: "≥ 1 M/s", run: traffic},
		{Name: "devices", About: "1,000 devices, 10,000 messages/s in all, ten at a time each millisecond, QoS 0, to 5 subscribers; open loop", Load: device,
			Keys: paced, Goal: "≤ 5.5 s CPU per million, p99 ≤ 0.5 ms", run: traffic},
		{Name: "devices-qos1", About: "the same, QoS 1", Load: device1,
			Keys: paced, Goal: "≤ 8 s CPU per million, p99 ≤ 0.5 ms", run: traffic},
		{Name: "devices-spread", About: "as devices, evenly spread: a message each 100 µs, which a broker is woken up for", Load: spread,
			Keys: paced, run: traffic},
	}
}

func fanOut() []Scenario {
	out := base()
	out.Publishers, out.Subscribers, out.Window, out.Nap = 1, 500, 100, nap
	wide := out
	wide.Subscribers, wide.PayloadBytes, wide.Window = 1000, 128, 32
	thousand := wide
	thousand.Window, thousand.Nap = 1, 0
	return []Scenario{
		{Name: "fan-out", About: "1 publisher to 500 subscribers, QoS 0, 100 messages under way", Load: out,
			Keys: throughput, Goal: "≤ 0.25 s CPU per million", run: traffic},
		{Name: "fan-out-1k-w1", About: "1 publisher to 1,000 subscribers, 128 B, QoS 0, 1 message under way", Load: thousand,
			Keys: throughput, Goal: "≥ 2× Mosquitto", run: traffic},
		{Name: "fan-out-1k-w32", About: "the same, 32 messages under way", Load: wide,
			Keys: throughput, Goal: "≥ 20× Mosquitto", run: traffic},
	}
}

func pairs() []Scenario {
	p := base()
	p.Publishers, p.Subscribers, p.Groups = 500, 500, 500
	p.QoS, p.Window = mqtt.AtLeastOnce, 1
	wide := p
	wide.Window, wide.Nap = 16, nap
	return []Scenario{
		{Name: "p2p-w1", About: "500 pairs, QoS 1, 1 message under way each", Load: p,
			Keys: throughput, Goal: "≥ 1.15× Mosquitto", run: traffic},
		{Name: "p2p-w16", About: "the same, 16 messages under way each", Load: wide,
			Keys: throughput, Goal: "≥ 8× Mosquitto", run: traffic},
	}
}

// suite has the scenarios of the Open MQTT Benchmark Suite, by its names: QoS 1, 16 bytes, open loops. In its names
// come publishers (fanout, sharedsub) or topics, subscribers, and messages a second in and out.
func suite() []Scenario {
	s := base()
	s.QoS, s.PayloadBytes = mqtt.AtLeastOnce, wire.StampBytes
	p2p := func(n int) Load {
		l := s
		l.Publishers, l.Subscribers, l.Groups, l.Rate = n, n, n, float64(n)
		return l
	}
	fan := func(pubs, subs int, rate float64) Load {
		l := s
		l.Publishers, l.Subscribers, l.Rate, l.Topics = pubs, subs, rate, TopicEach
		return l
	}
	shared := func(pubs, subs int) Load {
		l := s
		l.Publishers, l.Subscribers, l.Rate, l.Topics = pubs, subs, float64(pubs), TopicPattern
		l.Share, l.Version = true, mqtt.V5
		return l
	}
	return []Scenario{
		{Name: "p2p-1K-1K-1K-1K", About: "1,000 pairs, 1,000 messages/s in all", Load: p2p(1000), Keys: paced, run: traffic},
		{Name: "fanout-1-1K-1-1K", About: "1 message a second to 1,000 subscribers", Load: fan(1, 1000, 1), Keys: paced, run: traffic},
		{Name: "sharedsub-1K-5-1K-1K", About: "1,000 publishers, 1,000 messages/s, 5 members of a shared subscription, MQTT 5",
			Load: shared(1000, 5), Keys: paced, run: traffic},
		{Name: "fanout-5-1000-5-250K", About: "5 publishers, 250 messages/s, to 1,000 subscribers each: 250,000/s", Load: fan(5, 1000, 250),
			Keys: paced, Goal: "250,000/s, p99 ≤ 15 ms", run: traffic},
		{Name: "p2p-50K-50K-50K-50K", About: "50,000 pairs: needs 100,000 descriptors at each end", Load: p2p(50_000), Keys: paced, run: traffic},
		{Name: "sharedsub-50K-500-50K-50K", About: "50,000 publishers, 500 members: needs 50,500 descriptors at each end", Load: shared(50_000, 500),
			Keys: paced, run: traffic},
		{Name: "conn-tcp-10K-100", About: "10,000 connections at 100 a second, then idle", Load: crowdOf(10_000, 100),
			Keys: []string{MetricConnCPU, MetricP99, MetricPerConn}, run: hold},
		{Name: "conn-tcp-1M-5K", About: "1,000,000 connections at 5,000 a second: needs as many descriptors at each end", Load: crowdOf(1_000_000, 5000),
			Keys: []string{MetricConnCPU, MetricP99, MetricPerConn}, run: hold},
	}
}

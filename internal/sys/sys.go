// Package sys is the $SYS tree: what the broker tells of itself as topics, under the names that Mosquitto uses, so that
// tools made for those work.
package sys

import (
	"math"
	"strconv"
	"time"

	"github.com/barid-mqtt/barid/internal/metrics"
)

// Prefix begins all topics of the tree.
const Prefix = "$SYS/broker/"

// State is what is counted elsewhere, at one time.
type State struct {
	Version       string
	Started       time.Time
	Connected     int64
	Sessions      int64 // connected or not
	Subscriptions int64
	Shared        int64 // groups of shared subscriptions
	Retained      int64
	StoreMessages int64 // retained, queued and in flight
	StoreBytes    int64
	HeapBytes     int64
}

// Tree makes the topics' values and remembers what it needs for averages and maxima. It is not safe for concurrent use.
type Tree struct {
	m            *metrics.Metrics
	maxConnected int64
	maxHeap      int64
	loads        []load
}

// load is a moving average of what a counter rises by in a minute.
type load struct {
	name    string
	counter interface{ Load() int64 }
	last    int64
	average [3]float64 // over 1, 5 and 15 minutes
}

var spans = [3]struct {
	name    string
	minutes float64
}{{"1min", 1}, {"5min", 5}, {"15min", 15}}

// New makes a tree over the counters of m.
func New(m *metrics.Metrics) *Tree {
	return &Tree{m: m, loads: []load{
		{name: "messages/received", counter: &m.PacketsReceived},
		{name: "messages/sent", counter: &m.PacketsSent},
		{name: "publish/received", counter: &m.PublishReceived},
		{name: "publish/sent", counter: &m.PublishSent},
		{name: "bytes/received", counter: &m.BytesReceived},
		{name: "bytes/sent", counter: &m.BytesSent},
		{name: "connections", counter: &m.Connects},
		{name: "sockets", counter: &m.Sockets},
	}}
}

// Update takes in what happened since the last Update, elapsed ago, and calls publish with every topic and its value.
func (t *Tree) Update(now time.Time, elapsed time.Duration, s State, publish func(topic, value string)) {
	put := func(name string, n int64) { publish(Prefix+name, strconv.FormatInt(n, 10)) }
	m := t.m
	t.maxConnected = max(t.maxConnected, s.Connected)
	t.maxHeap = max(t.maxHeap, s.HeapBytes)
	publish(Prefix+"version", "barid version "+s.Version)
	publish(Prefix+"uptime", strconv.FormatInt(int64(now.Sub(s.Started)/time.Second), 10)+" seconds")
	away := max(0, s.Sessions-s.Connected)
	put("clients/total", s.Sessions)
	put("clients/connected", s.Connected)
	put("clients/active", s.Connected)
	put("clients/disconnected", away)
	put("clients/inactive", away)
	put("clients/maximum", t.maxConnected)
	put("clients/expired", m.SessionsExpired.Load())
	put("messages/received", m.PacketsReceived.Load())
	put("messages/sent", m.PacketsSent.Load())
	put("messages/stored", s.StoreMessages)
	put("store/messages/count", s.StoreMessages)
	put("store/messages/bytes", s.StoreBytes)
	put("publish/messages/received", m.PublishReceived.Load())
	put("publish/messages/sent", m.PublishSent.Load())
	put("publish/messages/dropped", m.DroppedTotal())
	put("publish/bytes/received", m.PublishBytesReceived.Load())
	put("publish/bytes/sent", m.PublishBytesSent.Load())
	put("bytes/received", m.BytesReceived.Load())
	put("bytes/sent", m.BytesSent.Load())
	put("subscriptions/count", s.Subscriptions)
	put("shared_subscriptions/count", s.Shared)
	put("retained messages/count", s.Retained)
	put("heap/current", s.HeapBytes)
	put("heap/maximum", t.maxHeap)
	t.updateLoads(elapsed, publish)
}

// updateLoads moves the averages on, each forgetting the past with its own span.
func (t *Tree) updateLoads(elapsed time.Duration, publish func(topic, value string)) {
	minutes := elapsed.Minutes()
	if minutes <= 0 {
		return
	}
	for i := range t.loads {
		l := &t.loads[i]
		n := l.counter.Load()
		rate := float64(n-l.last) / minutes
		l.last = n
		for j, span := range spans {
			keep := math.Exp(-minutes / span.minutes)
			l.average[j] = rate + keep*(l.average[j]-rate)
			publish(Prefix+"load/"+l.name+"/"+span.name, strconv.FormatFloat(l.average[j], 'f', 2, 64))
		}
	}
}

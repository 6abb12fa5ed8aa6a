package sys

import (
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/metrics"
)

func collect(t *Tree, now time.Time, elapsed time.Duration, s State) map[string]string {
	got := make(map[string]string)
	t.Update(now, elapsed, s, func(topic, value string) { got[topic] = value })
	return got
}

func TestTheTreeHasMosquittosTopics(t *testing.T) {
	start := time.Unix(1000, 0)
	m := new(metrics.Metrics)
	m.PublishReceived[1].Add(7)
	got := collect(New(m), start.Add(90*time.Second), 10*time.Second, State{
		Version: "1.2", Started: start, Connected: 2, Sessions: 5, Subscriptions: 3, Retained: 4, HeapBytes: 99,
	})
	for topic, want := range map[string]string{
		"version": "barid version 1.2", "uptime": "90 seconds",
		"clients/total": "5", "clients/connected": "2", "clients/disconnected": "3", "clients/maximum": "2",
		"clients/active": "2", "clients/inactive": "3", "clients/expired": "0",
		"messages/received": "0", "messages/sent": "0", "messages/stored": "0",
		"publish/messages/received": "7", "publish/messages/sent": "0", "publish/messages/dropped": "0",
		"publish/bytes/received": "0", "publish/bytes/sent": "0", "bytes/received": "0", "bytes/sent": "0",
		"store/messages/count": "0", "store/messages/bytes": "0", "subscriptions/count": "3",
		"shared_subscriptions/count": "0", "retained messages/count": "4", "heap/current": "99", "heap/maximum": "99",
	} {
		if got[Prefix+topic] != want {
			t.Errorf("%s = %q, want %q", topic, got[Prefix+topic], want)
		}
	}
	for _, kind := range []string{"messages/received", "messages/sent", "publish/received", "publish/sent",
		"bytes/received", "bytes/sent", "connections", "sockets"} {
		for _, span := range []string{"1min", "5min", "15min"} {
			if _, ok := got[Prefix+"load/"+kind+"/"+span]; !ok {
				t.Errorf("load/%s/%s is missing", kind, span)
			}
		}
	}
}

func TestLoadsApproachASteadyRate(t *testing.T) {
	m := new(metrics.Metrics)
	tree := New(m)
	now := time.Unix(1000, 0)
	var got map[string]string
	for range 6 * 60 {
		m.PublishReceived[1].Add(100) // 600 a minute
		now = now.Add(10 * time.Second)
		got = collect(tree, now, 10*time.Second, State{})
	}
	if v := got[Prefix+"load/publish/received/1min"]; v != "600.00" {
		t.Errorf("1min = %s after an hour of 600 a minute", v)
	}
	if v := got[Prefix+"load/publish/received/15min"]; v < "580" || v > "600" {
		t.Errorf("15min = %s after an hour of 600 a minute", v)
	}
}

func TestMaximaStay(t *testing.T) {
	tree := New(new(metrics.Metrics))
	collect(tree, time.Unix(1, 0), time.Second, State{Connected: 9, HeapBytes: 8})
	got := collect(tree, time.Unix(2, 0), time.Second, State{Connected: 1, HeapBytes: 1})
	if got[Prefix+"clients/maximum"] != "9" || got[Prefix+"heap/maximum"] != "8" {
		t.Errorf("maxima fell: %v %v", got[Prefix+"clients/maximum"], got[Prefix+"heap/maximum"])
	}
}

package router

import (
	"sync/atomic"
	"testing"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage/memory"
	"github.com/barid-mqtt/barid/mqtt"
)

// counting is a durable subscriber that counts how often it is looked at.
type counting struct {
	fake
	looked *atomic.Int64
}

func (c *counting) Durable() bool { c.looked.Add(1); return true }

// A publisher does not look at the thousands of sleeping sessions that its message is for: it stops at the first that has
// it stored.
func TestPublishingStopsAtTheFirstWhoSleeps(t *testing.T) {
	r := newRig(memory.Options{})
	defer r.close()
	const sleepers = 5000
	var looked atomic.Int64
	for i := range sleepers {
		c := &counting{fake: fake{seq: uint64(i + 1), durable: true}, looked: &looked}
		e := NewEntry(c, r.subscribe(&c.fake, "elsewhere", 1).Subscription())
		r.Add("news/#", e)
		r.SetPresent("news/#", e, false)
	}
	here := &fake{seq: sleepers + 1}
	r.subscribe(here, "news/+", 0)
	publish := func(qos mqtt.QoS) (mqtt.ReasonCode, bool) {
		looked.Store(0)
		b := conn.NewBatch()
		code, waits, err := r.Publish(b, Publication{Message: &message.Message{Topic: "news/1", Payload: []byte("m"), QoS: qos}})
		if err != nil {
			t.Fatal(err)
		}
		return code, waits
	}
	if code, waits := publish(1); code != mqtt.Success || !waits {
		t.Errorf("a message for who sleeps is not stored: code %v", code)
	}
	if n := looked.Load(); n > 100 {
		t.Errorf("%d of %d were looked at", n, sleepers)
	}
	if code, waits := publish(0); code != mqtt.Success || waits || looked.Load() > 100 {
		t.Errorf("QoS 0: code %v, stored %v, %d were looked at", code, waits, looked.Load())
	}
	if got := here.got(); len(got) != 2 {
		t.Errorf("who is connected got %q", got)
	}
	if n := r.metrics.Dropped(message.DropOffline); n < sleepers-100 {
		t.Errorf("QoS 0 was dropped for %d who sleep", n)
	}
}

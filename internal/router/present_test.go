package router

import (
	"testing"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage/memory"
	"github.com/barid-mqtt/barid/mqtt"
)

// counting is a durable subscriber that counts how often it is looked at.
type counting struct {
	fake
	looked *int
}

func (c *counting) Durable() bool { *c.looked++; return true }

// A publisher does not look at the thousands of sleeping sessions that its message is for: it stops at the first that has
// it stored.
func TestPublishingStopsAtTheFirstWhoSleeps(t *testing.T) {
	r := newRig(memory.Options{})
	defer r.close()
	const sleepers = 5000
	looked := 0
	for i := range sleepers {
		c := &counting{fake: fake{seq: uint64(i + 1), durable: true}, looked: &looked}
		e := NewEntry(c, r.subscribe(&c.fake, "elsewhere", 1).Subscription())
		r.Add("news/#", e)
		r.SetPresent("news/#", e, false)
	}
	here := &fake{seq: sleepers + 1}
	r.subscribe(here, "news/+", 0)
	publish := func(qos mqtt.QoS) (mqtt.ReasonCode, bool) {
		looked = 0
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
	if looked > 100 {
		t.Errorf("%d of %d were looked at", looked, sleepers)
	}
	if code, waits := publish(0); code != mqtt.Success || waits || looked > 100 {
		t.Errorf("QoS 0: code %v, stored %v, %d were looked at", code, waits, looked)
	}
	if got := here.got(); len(got) != 2 {
		t.Errorf("who is connected got %q", got)
	}
	if n := r.metrics.Dropped(message.DropOffline); n < sleepers-100 {
		t.Errorf("QoS 0 was dropped for %d who sleep", n)
	}
}

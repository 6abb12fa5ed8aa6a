package broker

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

// What waits for a consumer is under the limits of sessions.

func TestOfWhatWaitsForAConsumerTheOldestIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "session.queue_max_messages=10").with(parkSoon)
		defer w.close()
		w.consume(t, "c", latest, nil)
		all := tell(t, w, "a/", 0, 50)
		pause(3 * time.Minute)
		if got := texts(w.take(t, "c", 100)); !slices.Equal(got, all[40:]) {
			t.Errorf("left are %q", got)
		}
		if n := w.b.metrics.Dropped(message.DropQueueFull); n != 40 {
			t.Errorf("%d were dropped for that", n)
		}
	})
}

func TestWhatAConsumerWouldHaveToHoldIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "session.queue_max_messages=10", "session.on_full=reject")
		defer w.close()
		w.consume(t, "c", latest, nil)
		taken, code := 0, mqtt.Success
		for range 100 {
			var err error
			if _, code, err = w.b.Inject(context.Background(), Outgoing{Topic: "a/1", QoS: 1}); err != nil {
				t.Fatal(err)
			}
			if code.Failed() {
				break
			}
			taken++
			pause(time.Second) // what waits is counted a moment later
		}
		if code != mqtt.QuotaExceeded || taken < 10 || taken > 12 {
			t.Errorf("%d were taken, then came %v", taken, code)
		}
		w.ack(t, "c", w.take(t, "c", 100))
		pause(2 * time.Second)
		if _, code, err := w.b.Inject(context.Background(), Outgoing{Topic: "a/1", QoS: 1}); err != nil || code.Failed() {
			t.Errorf("once there is room: %v, %v", code, err)
		}
	})
}

func TestWhatWaitsTooLongForAConsumerIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "session.queue_max_seconds=60")
		defer w.close()
		w.consume(t, "c", latest, nil)
		tell(t, w, "a/", 0, 5)
		pause(2 * time.Minute)
		late := tell(t, w, "a/", 5, 5)
		if got := texts(w.take(t, "c", 100)); !slices.Equal(got, late) {
			t.Errorf("left are %q", got)
		}
		if n := w.b.metrics.Dropped(message.DropQueueAge); n != 5 {
			t.Errorf("%d were dropped for that", n)
		}
	})
}

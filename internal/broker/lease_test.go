package broker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
)

// A lease that was given anew is not ended by what is left of the one before.
func TestALeaseGivenAnewOutlastsTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.consume(t, "c", latest, nil) // leases are for 30 s
		tell(t, w, "a/", 0, 1)
		first := w.take(t, "c", 1)
		pause(10*time.Second + 500*time.Millisecond)
		releaseOne(w.b.consumers.get("c"), &first[0])
		if again := w.take(t, "c", 1); len(again) != 1 || again[0].Deliveries != 2 {
			t.Fatalf("released, it is given again as %v", again)
		}
		pause(25 * time.Second) // the first lease would have ended
		if early := w.poll(t, "c", 1, 0); len(early) != 0 {
			t.Fatalf("given out while somebody has it: %v", early)
		}
		pause(6 * time.Second)
		if late := w.poll(t, "c", 1, 0); len(late) != 1 || late[0].Deliveries != 3 {
			t.Errorf("after the second lease: %v", late)
		}
	})
}

// Nor does a release that comes late end the lease of who has it now.
func TestALateReleaseLeavesTheLeaseOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.consume(t, "c", latest, nil)
		tell(t, w, "a/", 0, 1)
		first := w.take(t, "c", 1)
		pause(31*time.Second + 500*time.Millisecond)
		if second := w.take(t, "c", 1); len(second) != 1 || second[0].Deliveries != 2 {
			t.Fatalf("after its lease it is given again as %v", second)
		}
		releaseOne(w.b.consumers.get("c"), &first[0])
		if third := w.poll(t, "c", 1, 0); len(third) != 0 {
			t.Errorf("the lease of another was released: %v", third)
		}
		if unknown, err := w.b.Acknowledge(t.Context(), "c", []message.Position{first[0].Position}); err != nil || len(unknown) > 0 {
			t.Errorf("acknowledged: %v, %v", unknown, err)
		}
	})
}

func releaseOne(c *consumer, l *Leased) {
	c.group.mu.Lock()
	defer c.group.mu.Unlock()
	c.release(l, false)
}

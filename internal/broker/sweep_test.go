package broker

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/state"
)

// A session may take what was parked for it while a sweep looks for bodies that nobody needs: its deliveries are then no
// longer parked, and were not in flight a moment before.
func TestASweepKeepsWhatIsTakenMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.opts = []Option{parkSoon}
		w.restart()
		defer w.close()
		away(t, w, "c", "t")
		sendNumbered(t, w, 0, repeated(5, "t")...)
		sendNumbered(t, w, 5, "elsewhere")
		pause(5 * time.Second)
		parked := func() (n int) {
			for range w.engine.Scan(t.Context(), state.Parked) {
				n++
			}
			return n
		}
		if parked() == 0 {
			t.Fatal("nothing was parked")
		}
		var got []int
		take := func(prefix []byte) {
			if !bytes.Equal(prefix, state.Parked) {
				return
			}
			w.engine.scans.Store(nil)
			c := w.resume(t, "c")
			for range 5 {
				_, n := numberOf(expectPublish(t, c).Payload)
				got = append(got, n) // and not acknowledged
			}
			pause(time.Second)
		}
		w.engine.scans.Store(&take)
		if err := w.b.sweep(); err != nil {
			t.Fatal(err)
		}
		wantNumbers(t, "before", got, upTo(0, 5))
		pause(time.Second)
		if n := parked(); n != 0 {
			t.Errorf("%d are parked still", n)
		}
		w.crash()
		wantNumbers(t, "after a crash", w.resume(t, "c").numbers(t), upTo(0, 5))
	})
}

// Of the places that are not used, few are taken for used, and others in the next sweep; of those that are, none is missing.
func TestUsedPlaces(t *testing.T) {
	const n = 100_000
	place := func(i int) message.Position { return message.Position{Block: uint64(i / 50), Index: uint32(i % 50)} }
	var wrong [2][]int
	for sweep := range wrong {
		u := newUsedPlaces(n)
		for i := 0; i < 2*n; i += 2 {
			u.add(place(i))
		}
		for i := range 2 * n {
			switch has := u.has(place(i)); {
			case i%2 == 0 && !has:
				t.Fatalf("%v is missing", place(i))
			case i%2 == 1 && has:
				wrong[sweep] = append(wrong[sweep], i)
			}
		}
		if len(wrong[sweep]) > n/50 {
			t.Errorf("%d of %d are taken for used", len(wrong[sweep]), n)
		}
	}
	if both := slices.DeleteFunc(wrong[0], func(i int) bool { return !slices.Contains(wrong[1], i) }); len(both) > n/500 {
		t.Errorf("%d are taken for used twice", len(both))
	}
}

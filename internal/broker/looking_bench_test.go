package broker

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// BenchmarkLooking is what it costs to look at a broker with many sessions that sleep: a scrape, a round of the alarms, and
// pages of the API's lists. Subscriptions are left out: they are counted as they change.
func BenchmarkLooking(b *testing.B) {
	sessions := setting("BARID_BENCH_SESSIONS", 100_000)
	w := newTestBroker(b, []string{"durability=memory", "session.queue_max_messages=1000"})
	for i := range sessions {
		w.registry.put(w.newClient(fmt.Sprintf("device-%07d", i), true))
	}
	b.Cleanup(func() {
		if err := w.Stop(context.Background()); err != nil {
			b.Error(err)
		}
	})
	b.Run("levels", func(b *testing.B) {
		for b.Loop() {
			if l := w.Levels(); l.DurableAway != int64(sessions) {
				b.Fatal(l)
			}
		}
	})
	b.Run("detail", func(b *testing.B) {
		for b.Loop() {
			w.Detail(50)
		}
	})
	b.Run("alarms", func(b *testing.B) {
		for now := time.Now(); b.Loop(); now = now.Add(lagInterval) {
			w.watchLag(now)
		}
	})
	b.Run("clients", func(b *testing.B) {
		for b.Loop() {
			if page, total := w.Clients(func(*ClientInfo) bool { return true }, 0, 100); len(page) != 100 || total != sessions {
				b.Fatal("there are others")
			}
		}
	})
	b.Run("subscriptions", func(b *testing.B) {
		for b.Loop() {
			w.Subscriptions(func(*SubscriptionInfo) bool { return true })
		}
	})
}

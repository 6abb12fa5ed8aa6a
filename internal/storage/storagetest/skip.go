package storagetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/summary"
	"github.com/barid-mqtt/barid/mqtt"
)

// skipHidesNothing asks for random filters at random places of a log of a few megabytes.
func skipHidesNothing(t *testing.T, s *suite) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 20 {
		for range 300 {
			u := storage.Unit{Records: []storage.Record{{Message: &message.Message{Topic: SkipTopic(random), Payload: make([]byte, 1000)}}}}
			if err := s.Submit(0, u, func(message.Position, error) {}); err != nil {
				t.Fatal(err)
			}
		}
		s.mustCommit(storage.Unit{})
	}
	CheckSkip(t, s.Engine, random, 300)
	if err := s.Trim(context.Background(), 0, message.Position{Block: s.Health().Next.Block / 2}); err != nil {
		t.Fatal(err)
	}
	CheckSkip(t, s.Engine, random, 100)
}

// SkipTopic makes a topic for CheckSkip.
func SkipTopic(random *rand.Rand) string {
	return fmt.Sprintf("site/%d/%c", random.IntN(1000), 'a'+rune(random.IntN(3)))
}

// CheckSkip reads an engine n times for random filters, and fails if anything that is for them is missing. It returns how
// many records were left out.
func CheckSkip(t testing.TB, e storage.Engine, random *rand.Rand, n int) (skipped int) {
	t.Helper()
	ctx := context.Background()
	h := e.Health()
	blocks, _, err := e.Read(ctx, 0, h.First, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		id := random.IntN(1500)
		filter := []string{fmt.Sprintf("site/%d/#", id), fmt.Sprintf("site/%d/a", id), fmt.Sprintf("+/%d/b", id), "site/+/a", "other/#", "#"}[random.IntN(6)]
		from := message.Position{Block: h.First.Block + random.Uint64N(h.Next.Block-h.First.Block+1), Index: uint32(random.IntN(3))}
		before := h.First.Block + random.Uint64N(h.Next.Block-h.First.Block+100)
		got := readFor(t, e, from, 1<<random.IntN(20), before, filter)
		for _, b := range blocks {
			for i, r := range b.Records {
				pos := message.Position{Block: b.Seq, Index: uint32(i)}
				switch {
				case pos.Less(from):
				case got[pos] == nil && (b.Seq >= before || mqtt.MatchTopic(filter, r.Message.Topic)):
					t.Fatalf("%s from %v, before %d: %s at %v is missing", filter, from, before, r.Message.Topic, pos)
				case got[pos] == nil:
					skipped++
				case got[pos].Topic != r.Message.Topic || len(got[pos].Payload) != len(r.Message.Payload):
					t.Fatalf("%s at %v is %s for who asks for %s", r.Message.Topic, pos, got[pos].Topic, filter)
				}
			}
		}
	}
	if gone := (message.Position{Block: h.First.Block - 1}); gone.Block > 0 {
		var trimmed *storage.TrimmedError
		if _, _, err := e.ReadFor(ctx, 0, gone, 1, h.Next.Block, summary.Ask([]string{"other"})); !errors.As(err, &trimmed) {
			t.Errorf("from %v, which is gone: %v", gone, err)
		}
	}
	return skipped
}

// readFor reads from a place to the log's end for a filter.
func readFor(t testing.TB, e storage.Engine, from message.Position, maxBytes int, before uint64, filter string) map[message.Position]*message.Message {
	t.Helper()
	got := make(map[message.Position]*message.Message)
	last := from
	for {
		blocks, next, err := e.ReadFor(context.Background(), 0, from, maxBytes, before, summary.Ask([]string{filter}))
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks {
			for i, r := range b.Records {
				pos := message.Position{Block: b.Seq, Index: uint32(i)}
				if pos.Less(from) || r.Message == nil {
					continue
				}
				if pos.Less(last) || got[pos] != nil || !pos.Less(next) {
					t.Fatalf("%v after %v, of a read up to %v", pos, last, next)
				}
				got[pos], last = r.Message, pos
			}
		}
		if next == from {
			return got
		}
		if next.Less(from) {
			t.Fatalf("from %v it goes on at %v", from, next)
		}
		from = next
	}
}

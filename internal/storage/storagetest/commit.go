package storagetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

func doneInOrder(t *testing.T, s *suite) {
	const n = 3000
	var order []int // done is called by one goroutine at a time, and the last call is before the receive
	last := make(chan struct{})
	var previous message.Position
	for i := range n {
		u := storage.Unit{}
		switch i % 3 {
		case 0:
			u = unit(fmt.Sprint("t/", i))
		case 1:
			u.Ops = []storage.Op{put(fmt.Sprint("k/", i), "v")}
		}
		err := s.Submit(0, u, func(p message.Position, err error) {
			if err != nil {
				t.Errorf("unit %d: %v", i, err)
			}
			if p.Less(previous) {
				t.Errorf("unit %d: %v after %v", i, p, previous)
			}
			previous = p
			order = append(order, i)
			if i == n-1 {
				close(last)
			}
		})
		if err != nil {
			t.Fatalf("Submit: %v", err)
		}
	}
	receive(t, last, "the last done")
	if len(order) != n || !slices.IsSorted(order) {
		t.Fatalf("%d calls of done for %d units, in order: %v", len(order), n, slices.IsSorted(order))
	}
}

// doneBeforeTail has calls of done that give way to the tail's goroutine before they leave their mark.
func doneBeforeTail(t *testing.T, s *suite) {
	const n = 500
	var mu sync.Mutex
	calls := make(map[string]int, n)
	var early atomic.Int64
	seen := make(chan struct{})
	count := 0
	stop := s.Tail(0, message.Position{}, func(b storage.Block) {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range b.Records {
			if calls[r.Message.Topic] != 1 {
				early.Add(1)
			}
		}
		if count += len(b.Records); count == n {
			close(seen)
		}
	})
	defer stop()
	for _, topic := range numbered("t", n) {
		err := s.Submit(0, unit(topic), func(message.Position, error) {
			for range 100 {
				runtime.Gosched()
			}
			mu.Lock()
			defer mu.Unlock()
			calls[topic]++
		})
		if err != nil {
			t.Fatalf("Submit: %v", err)
		}
	}
	receive(t, seen, "the tail's last record")
	if early.Load() != 0 {
		t.Errorf("the tail saw %d of %d records before their one call of done", early.Load(), n)
	}
}

func atomicUnits(t *testing.T, s *suite) {
	ctx := context.Background()
	old, err := s.Claim(ctx, "c")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Claim(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	whole := unit("a", "b", "c")
	whole.Ops = []storage.Op{put("k1", "1"), put("k2", "2")}
	failing := unit("x", "y")
	failing.Ops = []storage.Op{put("k1", "wrong"), remove("k2")}
	failing.ClientID, failing.Fence = "c", old

	outcomes := []<-chan outcome{s.submit(whole), s.submit(failing), s.submit(unit("d"))}
	first, second, third := receive(t, outcomes[0], "done"), receive(t, outcomes[1], "done"), receive(t, outcomes[2], "done")
	if first.err != nil || third.err != nil || !errors.Is(second.err, storage.ErrFenced) {
		t.Fatalf("outcomes: %v, %v, %v", first.err, second.err, third.err)
	}
	got := s.readAll(message.Position{}, 1<<20)
	checkTopics(t, got, []string{"a", "b", "c", "d"})
	for i, r := range got[:3] {
		if r.position.Block != first.position.Block || r.position.Index != first.position.Index+uint32(i) {
			t.Errorf("record %d of a unit at %v is at %v", i, first.position, r.position)
		}
	}
	s.checkValue("k1", "1")
	s.checkValue("k2", "2")
}

// barriers checks units without records: they wait for what is before them and say where the next record will be.
func barriers(t *testing.T, s *suite) {
	var outcomes []<-chan outcome
	for i := range 300 {
		if i%2 == 0 {
			outcomes = append(outcomes, s.submit(unit(fmt.Sprint("t/", i), "t")))
		} else {
			outcomes = append(outcomes, s.submit(storage.Unit{}))
		}
	}
	var previous outcome
	for i, c := range outcomes {
		o := receive(t, c, "done")
		if o.err != nil {
			t.Fatalf("unit %d: %v", i, o.err)
		}
		switch {
		case i%2 == 1 && !previous.position.Next().Less(o.position):
			t.Fatalf("barrier %d at %v is not after the two records from %v on", i, o.position, previous.position)
		case i%2 == 0 && o.position.Less(previous.position):
			t.Fatalf("unit %d at %v is before the barrier at %v", i, o.position, previous.position)
		}
		previous = o
	}
	if got := len(s.readAll(message.Position{}, 1<<20)); got != 300 {
		t.Errorf("%d records in the log, not 300", got)
	}
	end := s.mustCommit(storage.Unit{})
	if got := s.readAll(end, 1<<20); len(got) != 0 {
		t.Errorf("a barrier at %v is followed by %v", end, got[0].position)
	}
	next := s.mustCommit(unit("after"))
	checkTopics(t, s.readAll(end, 1<<20), []string{"after"})
	if next.Less(end) {
		t.Errorf("a record at %v is before the barrier at %v", next, end)
	}
}

func busy(t *testing.T, s *suite) {
	const size, limit = 256 << 10, 256 << 20
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	defer open() // before Close, which waits for done
	if err := s.Submit(0, unit("first"), func(message.Position, error) { <-gate }); err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, size)
	var submitted, done atomic.Int64
	var err error
	for total := 0; err == nil; total += size {
		if total > limit {
			t.Fatalf("%d bytes are queued behind a done that blocks, and Submit is not busy", total)
		}
		u := storage.Unit{Records: []storage.Record{{Message: &message.Message{Topic: "t", Payload: payload}}}}
		err = s.Submit(0, u, func(_ message.Position, err error) {
			if err != nil {
				t.Errorf("done: %v", err)
			}
			done.Add(1)
		})
		if err == nil {
			submitted.Add(1)
		}
	}
	if !errors.Is(err, storage.ErrBusy) {
		t.Fatalf("Submit: %v, not ErrBusy", err)
	}
	if h := s.Health(); h.QueueBytes < size {
		t.Errorf("the full queue has %d bytes by Health", h.QueueBytes)
	}
	open()
	for err = storage.ErrBusy; errors.Is(err, storage.ErrBusy); {
		c := make(chan outcome, 1)
		if err = s.Submit(0, storage.Unit{}, func(p message.Position, err error) { c <- outcome{p, err} }); err == nil {
			receive(t, c, "done after the queue was full")
		}
	}
	if err != nil || submitted.Load() != done.Load() {
		t.Errorf("after ErrBusy: %v; %d units submitted, %d done", err, submitted.Load(), done.Load())
	}
}

func closeCommits(t *testing.T, s *suite) {
	const n = 500
	var done, tailed atomic.Int64
	s.Tail(0, message.Position{}, func(b storage.Block) { tailed.Add(int64(len(b.Records))) })
	for _, topic := range numbered("t", n) {
		err := s.Submit(0, unit(topic), func(_ message.Position, err error) {
			if err == nil {
				done.Add(1)
			}
		})
		if err != nil {
			t.Fatalf("Submit: %v", err)
		}
	}
	s.close()
	if done.Load() != n || tailed.Load() != n {
		t.Errorf("of %d units, %d were done and %d came to the tail before Close returned", n, done.Load(), tailed.Load())
	}
}

func closedErrors(t *testing.T, s *suite) {
	ctx := context.Background()
	s.write("a")
	s.close()
	s.close() // a second Close is no error
	_, _, readErr := s.Read(ctx, 0, message.Position{}, 100)
	_, getErr := s.Get(ctx, []byte("k"))
	_, claimErr := s.Claim(ctx, "c")
	_, sizeErr := s.Size(ctx, 0, message.Position{})
	var scanErr error
	for _, err := range s.Scan(ctx, nil) {
		scanErr = err
	}
	for name, err := range map[string]error{
		"Submit": s.Submit(0, unit("b"), func(message.Position, error) { t.Error("done was called after Close") }),
		"Read":   readErr, "Get": getErr, "Claim": claimErr, "Scan": scanErr, "Size": sizeErr,
		"Trim":     s.Trim(ctx, 0, message.Position{Block: 1}),
		"Snapshot": s.Snapshot(ctx, discard{}),
	} {
		if !errors.Is(err, storage.ErrClosed) {
			t.Errorf("%s after Close: %v, not ErrClosed", name, err)
		}
	}
	s.Tail(0, message.Position{}, func(storage.Block) { t.Error("a tail of a closed engine was called") })()
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

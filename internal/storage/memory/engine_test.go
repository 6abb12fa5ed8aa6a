package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

var background = context.Background()

func start(t testing.TB, o Options) *Engine {
	e := New(o)
	t.Cleanup(func() { e.Close() })
	return e
}

func record(topic string, payloadBytes int) storage.Record {
	return storage.Record{Message: &message.Message{Topic: topic, Payload: make([]byte, payloadBytes)}}
}

// commit submits a unit and waits for its outcome.
func commit(t testing.TB, e *Engine, u storage.Unit) (message.Position, error) {
	t.Helper()
	type outcome struct {
		position message.Position
		err      error
	}
	c := make(chan outcome, 1)
	if err := e.Submit(0, u, func(p message.Position, err error) { c <- outcome{p, err} }); err != nil {
		return message.Position{}, err
	}
	o := <-c
	return o.position, o.err
}

func mustCommit(t testing.TB, e *Engine, u storage.Unit) message.Position {
	t.Helper()
	p, err := commit(t, e, u)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheLogForgetsItsOldestBlocks(t *testing.T) {
	e := start(t, Options{LogMaxBytes: 10_000})
	for i := range 100 {
		mustCommit(t, e, storage.Unit{Records: []storage.Record{record(fmt.Sprint(i), 1000)}})
	}
	h := e.Health()
	if h.LogBytes > 10_000 || h.LogBytes < 8_000 || h.Blocks < 8 || h.First.Block != 101-uint64(h.Blocks) {
		t.Errorf("%+v", h)
	}
	_, _, err := e.Read(background, 0, message.Position{Block: 50}, 1)
	var trimmed *storage.TrimmedError
	if !errors.As(err, &trimmed) || trimmed.First != h.First {
		t.Errorf("Read of what was forgotten: %v", err)
	}
	mustCommit(t, e, storage.Unit{Records: []storage.Record{record("large", 100_000)}})
	if h := e.Health(); h.Blocks != 1 {
		t.Errorf("of a log whose newest block is larger than its limit, %d blocks are left", h.Blocks)
	}
}

func TestTheLogRejectsAtItsLimit(t *testing.T) {
	limit := 3 * recordsBytes([]storage.Record{record("t", 1000)})
	e := start(t, Options{LogLimitRejects: true, LogRejectBytes: limit})
	u := storage.Unit{Records: []storage.Record{record("t", 1000)}, Ops: []storage.Op{{Key: []byte("k"), Value: []byte("v")}}}
	var errs []error
	var group sync.WaitGroup
	for range 5 { // some of them in one block
		group.Add(1)
		err := e.Submit(0, u, func(_ message.Position, err error) {
			errs = append(errs, err)
			group.Done()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	group.Wait()
	if want := []error{nil, nil, nil, storage.ErrFull, storage.ErrFull}; !slices.Equal(errs, want) {
		t.Errorf("outcomes are %v, not %v", errs, want)
	}
	if h := e.Health(); h.LogBytes != limit {
		t.Errorf("the log has %d bytes of %d", h.LogBytes, limit)
	}
	mustCommit(t, e, storage.Unit{Ops: u.Ops})
	if err := e.Trim(background, 0, message.MaxPosition); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, e, u)
}

// TestBlocksAreHeldForATail fills a log that forgets at once, with a tail that does not take its blocks.
func TestBlocksAreHeldForATail(t *testing.T) {
	const limit = 50_000
	e := start(t, Options{LogMaxBytes: 1, MaxQueueBytes: limit})
	gate := make(chan struct{})
	var got []string
	stop := e.Tail(0, message.Position{}, func(b storage.Block) {
		<-gate
		for _, r := range b.Records {
			got = append(got, r.Message.Topic)
		}
	})
	written := 0
	var err error
	for ; err == nil && written < 1000; written++ {
		_, err = commit(t, e, storage.Unit{Records: []storage.Record{record(fmt.Sprint(written), 1000)}})
	}
	written--
	if !errors.Is(err, storage.ErrBusy) || e.held.Load() <= limit || e.held.Load() > limit+2000 {
		t.Errorf("after %d records, %d bytes are held: %v", written, e.held.Load(), err)
	}
	mustCommit(t, e, storage.Unit{}) // what has no records makes nothing worse
	close(gate)
	for {
		if _, err = commit(t, e, storage.Unit{Records: []storage.Record{record("last", 0)}}); !errors.Is(err, storage.ErrBusy) {
			break
		}
	}
	e.Close()
	stop()
	if err != nil || len(got) != written+1 {
		t.Fatalf("the tail got %d records of %d, %v", len(got), written+1, err)
	}
	for i, topic := range got[:written] {
		if topic != fmt.Sprint(i) {
			t.Fatalf("record %d is %q", i, topic)
		}
	}
	if held := e.held.Load(); held != 0 || len(e.log.entries) != 1 {
		t.Errorf("%d bytes and %d blocks are held for nobody", held, len(e.log.entries))
	}
}

func TestATailThatStopsLetsGo(t *testing.T) {
	e := start(t, Options{})
	entered := make(chan struct{}, 100)
	gate := make(chan struct{})
	stop := e.Tail(0, message.Position{}, func(storage.Block) { entered <- struct{}{}; <-gate })
	for range 10 {
		mustCommit(t, e, storage.Unit{Records: []storage.Record{record("t", 100)}})
	}
	<-entered
	if err := e.Trim(background, 0, message.MaxPosition); err != nil {
		t.Fatal(err)
	}
	if e.held.Load() == 0 {
		t.Error("nothing is held for a tail that is behind")
	}
	close(gate)
	stop()
	if e.held.Load() != 0 || len(e.log.entries) != 0 {
		t.Errorf("%d bytes are held for a tail that has stopped", e.held.Load())
	}
}

func TestBlocksKeepToTheirSize(t *testing.T) {
	const max = 10_000
	e := start(t, Options{MaxBlockBytes: max})
	gate := make(chan struct{})
	if err := e.Submit(0, storage.Unit{}, func(message.Position, error) { <-gate }); err != nil {
		t.Fatal(err)
	}
	last := make(chan struct{})
	for i := range 101 {
		payload := 1000
		if i == 50 {
			payload = 3 * max
		}
		err := e.Submit(0, storage.Unit{Records: []storage.Record{record("t", payload)}}, func(message.Position, error) {
			if i == 100 {
				close(last)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	close(gate)
	<-last
	blocks, _, err := e.Read(background, 0, message.Position{}, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if size := recordsBytes(b.Records); size > max && len(b.Records) > 1 {
			t.Errorf("a block of %d records has %d bytes", len(b.Records), size)
		}
	}
	if len(blocks) < 13 || len(blocks) > 17 {
		t.Errorf("%d blocks", len(blocks))
	}
}

func TestTheEndOfTheLastBlockIsTheEndOfTheLog(t *testing.T) {
	e := start(t, Options{})
	p := mustCommit(t, e, storage.Unit{Records: []storage.Record{record("t", 0)}})
	if blocks, next, err := e.Read(background, 0, p.Next(), 1); len(blocks) != 0 || next.Less(p.Next()) || err != nil {
		t.Errorf("%d blocks, %v, %v", len(blocks), next, err)
	}
}

func TestAUnitLargerThanTheQueueIsTaken(t *testing.T) {
	e := start(t, Options{MaxQueueBytes: 1000})
	mustCommit(t, e, storage.Unit{Records: []storage.Record{record("t", 5000)}})
}

// TestClaimIsBetweenBlocks claims while units of the old owner commit: after Claim has returned, none may any more.
func TestClaimIsBetweenBlocks(t *testing.T) {
	e := start(t, Options{})
	for range 50 {
		old, err := e.Claim(background, "c")
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		group.Go(func() {
			for range 200 {
				u := storage.Unit{ClientID: "c", Fence: old, Records: []storage.Record{record("t", 0)}}
				if err := e.Submit(0, u, func(message.Position, error) {}); err != nil {
					t.Error(err)
				}
			}
		})
		if _, err := e.Claim(background, "c"); err != nil {
			t.Fatal(err)
		}
		before := e.Health().Next
		group.Wait()
		mustCommit(t, e, storage.Unit{})
		if after := e.Health().Next; after != before {
			t.Fatalf("after a claim, blocks of the old owner from %v to %v", before, after)
		}
	}
}

func TestClaimsAreForgottenOneGenerationAtATime(t *testing.T) {
	const limit = 100
	c := claims{limit: limit}
	first := c.next("first")
	for i := range limit {
		c.next(fmt.Sprint(i))
	}
	if c.newest("first") != first {
		t.Error("a claim was forgotten after one generation")
	}
	second := c.next("first")
	for i := range limit - 1 {
		c.next(fmt.Sprint("other", i))
	}
	if c.newest("first") != second || second <= first {
		t.Errorf("the newest claim is %d, not %d", c.newest("first"), second)
	}
	if n := len(c.young) + len(c.old); n > 2*limit {
		t.Errorf("%d claims are kept", n)
	}
}

func TestWrongLane(t *testing.T) {
	e := start(t, Options{})
	if err := e.Submit(1, storage.Unit{}, func(message.Position, error) { t.Error("done was called") }); err == nil {
		t.Error("Submit to a lane that does not exist")
	}
	if _, _, err := e.Read(background, 1, message.Position{}, 1); err == nil {
		t.Error("Read from a lane that does not exist")
	}
	if err := e.Trim(background, 1, message.MaxPosition); err == nil {
		t.Error("Trim of a lane that does not exist")
	}
	e.Tail(1, message.Position{}, nil)()
}

func TestSubmitAllocatesNothing(t *testing.T) {
	e := start(t, Options{MaxQueueBytes: 1 << 30})
	u := storage.Unit{Records: []storage.Record{record("t", 100)}}
	gate := make(chan struct{})
	entered := make(chan struct{})
	if err := e.Submit(0, storage.Unit{}, func(message.Position, error) { close(entered); <-gate }); err != nil {
		t.Fatal(err)
	}
	<-entered // the committer stands still, so that only Submit is measured
	e.queueMu.Lock()
	e.queue = slices.Grow(e.queue, 2000)
	e.queueMu.Unlock()
	done := func(message.Position, error) {}
	allocs := testing.AllocsPerRun(1000, func() {
		if err := e.Submit(0, u, done); err != nil {
			t.Error(err)
		}
	})
	close(gate)
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// BenchmarkSubmit has publishers with a window of 64 units of one record each; ns/op is a unit from Submit to done.
func BenchmarkSubmit(b *testing.B) {
	for _, publishers := range []int{1, 50} {
		b.Run(fmt.Sprint(publishers, "publishers"), func(b *testing.B) {
			e := New(Options{LogMaxBytes: 64 << 20})
			u := storage.Unit{Records: []storage.Record{record("site/42/temperature", 256)}}
			b.ReportAllocs()
			var left atomic.Int64
			left.Store(int64(b.N))
			var group sync.WaitGroup
			for range publishers {
				group.Go(func() {
					window := make(chan struct{}, 64)
					done := func(message.Position, error) { <-window }
					for left.Add(-1) >= 0 {
						window <- struct{}{}
						for e.Submit(0, u, done) != nil {
							continue
						}
					}
				})
			}
			group.Wait()
			e.Close()
		})
	}
}

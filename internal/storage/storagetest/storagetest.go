// Package storagetest is the conformance suite of storage engines: what package storage says of an Engine, as tests.
// Every engine runs it:
//
//	func TestConformance(t *testing.T) {
//		storagetest.Run(t, func(t *testing.T) storage.Engine { return memory.New(memory.Options{}) })
//	}
package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

// patience is how long a test waits for what must come: it only ever passes when an engine is broken.
const patience = 30 * time.Second

// Run runs the suite. open returns a new, empty engine whose log has no limit and whose queue holds at most 64 MiB; the
// suite closes it. Nothing of an engine may run on after Close.
func Run(t *testing.T, open func(t *testing.T) storage.Engine) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s *suite)
	}{
		{"DoneIsCalledInTheOrderOfSubmit", doneInOrder},
		{"DoneIsCalledOnceAndBeforeTheTail", doneBeforeTail},
		{"AUnitIsAtomic", atomicUnits},
		{"ABarrierTakesItsTurn", barriers},
		{"PositionsRiseAndAreReadable", positions},
		{"ReadStopsAtMaxBytes", readMaxBytes},
		{"ReadGoesOnAtEveryPosition", readEverywhere},
		{"AMessageIsReadAsItWasWritten", messageFields},
		{"ReadForLeavesOutNothingThatIsAskedFor", skipHidesNothing},
		{"TailHasNoGapUnderLoad", tailUnderLoad},
		{"TailStartsAtAnOldPosition", tailFromOld},
		{"TailStartsAtAComingPosition", tailFromComing},
		{"TailStopsAndNeverCallsAgain", tailStop},
		{"ASlowTailHoldsUpNobodyAndMissesNothing", slowTail},
		{"TrimForgetsWholeBlocks", trim},
		{"GetAndScan", getAndScan},
		{"ScanFromStartsThere", scanFrom},
		{"SizeMeasuresFromAPosition", size},
		{"OpsApplyInOrder", opsInOrder},
		{"ScanWhileCommitting", scanWhileCommitting},
		{"ClaimsFenceOlderUnits", fences},
		{"ClaimsOfOneClientLeaveOthersAlone", fencesPerClient},
		{"SubmitIsBusyWhenTheQueueIsFull", busy},
		{"CloseCommitsWhatWasSubmitted", closeCommits},
		{"AClosedEngineSaysSo", closedErrors},
		{"HealthCounts", health},
		{"SnapshotWhileCommitting", snapshot},
		{"ACancelledContextIsHeeded", cancelled},
		{"EverythingAtOnce", everythingAtOnce},
	} {
		t.Run(c.name, func(t *testing.T) {
			ignore := goleak.IgnoreCurrent()
			s := &suite{t: t, Engine: open(t)}
			defer goleak.VerifyNone(t, ignore)
			defer s.close()
			c.test(t, s)
		})
	}
}

// suite is an engine under test with what all tests need.
type suite struct {
	storage.Engine
	t *testing.T
}

func (s *suite) close() {
	if err := s.Close(); err != nil {
		s.t.Errorf("Close: %v", err)
	}
}

// outcome is what done was called with.
type outcome struct {
	position message.Position
	err      error
}

// submit queues a unit and returns a channel that gets its outcome.
func (s *suite) submit(u storage.Unit) <-chan outcome {
	s.t.Helper()
	c := make(chan outcome, 1)
	if err := s.Submit(0, u, func(p message.Position, err error) { c <- outcome{p, err} }); err != nil {
		s.t.Fatalf("Submit: %v", err)
	}
	return c
}

// commit submits a unit, waits for it and returns its outcome.
func (s *suite) commit(u storage.Unit) outcome {
	s.t.Helper()
	return receive(s.t, s.submit(u), "done")
}

// mustCommit is commit for a unit that must not fail.
func (s *suite) mustCommit(u storage.Unit) message.Position {
	s.t.Helper()
	o := s.commit(u)
	if o.err != nil {
		s.t.Fatalf("done: %v", o.err)
	}
	return o.position
}

// write commits records with these topics, each as a unit and a block of its own, and returns their positions.
func (s *suite) write(topics ...string) []message.Position {
	s.t.Helper()
	all := make([]message.Position, 0, len(topics))
	for _, topic := range topics {
		all = append(all, s.mustCommit(unit(topic)))
	}
	return all
}

// readAll reads the log from a position to its end, maxBytes at a time.
func (s *suite) readAll(from message.Position, maxBytes int) []read {
	s.t.Helper()
	var all []read
	for {
		blocks, next, err := s.Read(context.Background(), 0, from, maxBytes)
		if err != nil {
			s.t.Fatalf("Read(%v): %v", from, err)
		}
		if len(blocks) == 0 {
			return all
		}
		for _, b := range blocks {
			all = append(all, flatten(b, from)...)
		}
		if !from.Less(next) {
			s.t.Fatalf("Read(%v) goes on at %v", from, next)
		}
		from = next
	}
}

// read is one record as it was read.
type read struct {
	position message.Position
	record   storage.Record
}

// flatten returns a block's records that are not before from.
func flatten(b storage.Block, from message.Position) []read {
	var all []read
	for i, r := range b.Records {
		if p := (message.Position{Block: b.Seq, Index: uint32(i)}); !p.Less(from) {
			all = append(all, read{p, r})
		}
	}
	return all
}

func topicsOf(reads []read) []string {
	topics := make([]string, 0, len(reads))
	for _, r := range reads {
		topics = append(topics, r.record.Message.Topic)
	}
	return topics
}

// tailed collects what a tail is given.
type tailed struct {
	mu      sync.Mutex
	changed *sync.Cond
	all     []read
	lastSeq uint64
	wrong   error
}

// tail starts a tail that collects, and stops it at the end of the test.
func (s *suite) tail(from message.Position) *tailed {
	t := &tailed{}
	t.changed = sync.NewCond(&t.mu)
	s.t.Cleanup(s.Tail(0, from, t.take))
	return t
}

func (t *tailed) take(b storage.Block) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b.Seq <= t.lastSeq {
		t.wrong = errors.Join(t.wrong, fmt.Errorf("block %d after block %d", b.Seq, t.lastSeq))
	}
	t.lastSeq = b.Seq
	t.all = append(t.all, flatten(b, message.Position{})...)
	t.changed.Broadcast()
}

// wait returns the records once there are n.
func (t *tailed) wait(tb testing.TB, n int) []read {
	tb.Helper()
	var late bool
	timer := time.AfterFunc(patience, func() {
		t.mu.Lock()
		late = true
		t.mu.Unlock()
		t.changed.Broadcast()
	})
	defer timer.Stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.all) < n && !late {
		t.changed.Wait()
	}
	if len(t.all) < n {
		tb.Fatalf("the tail got %d records, not %d", len(t.all), n)
	}
	if t.wrong != nil {
		tb.Fatal(t.wrong)
	}
	return slices.Clone(t.all)
}

func receive[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v := <-c:
		return v
	case <-timer.C:
		t.Fatalf("%s: nothing came", what)
		panic("unreachable")
	}
}

// unit makes a unit with one record for each topic.
func unit(topics ...string) storage.Unit {
	var u storage.Unit
	for _, topic := range topics {
		u.Records = append(u.Records, storage.Record{Message: &message.Message{Topic: topic, Payload: []byte("payload of " + topic)}})
	}
	return u
}

func put(key, value string) storage.Op { return storage.Op{Key: []byte(key), Value: []byte(value)} }

func remove(key string) storage.Op { return storage.Op{Key: []byte(key)} }

func numbered(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s/%05d", prefix, i)
	}
	return all
}

func checkTopics(t testing.TB, got []read, want []string) {
	t.Helper()
	if topics := topicsOf(got); !slices.Equal(topics, want) {
		t.Fatalf("records are\n\t%q, not\n\t%q", topics, want)
	}
}

package badger

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/pkg/vfs"
)

func openMem(t *testing.T, o Options) (*vfs.Mem, *Engine) {
	mem := vfs.NewMem(1)
	o.Dir, o.FS, o.state = "/data", mem, t.TempDir()
	return mem, open(t, o)
}

// TestAFailedWriteIsAnsweredFromTheLog fails one write or sync. The engine opens the log again and finds the block, or
// does not; either way the answer is what a reader sees, and what came before and comes after is there.
func TestAFailedWriteIsAnsweredFromTheLog(t *testing.T) {
	answers := map[bool]int{}
	for _, op := range []vfs.Op{vfs.OpWrite, vfs.OpSync} {
		for seed := range uint64(12) {
			mem := vfs.NewMem(seed)
			o := Options{Dir: "/data", FS: mem, state: t.TempDir()}
			e := open(t, o)
			write(t, e, "before")
			mem.FailOnce(0, op, syscall.EIO)
			_, err := commit(t, e, storage.Unit{Records: []storage.Record{record("doubt", 5000)}, Ops: []storage.Op{put("k", "v")}})
			if err != nil && (!errors.Is(err, ErrPoisoned) || !errors.Is(err, syscall.EIO)) {
				t.Errorf("%v: %v", op, err)
			}
			write(t, e, "after")
			if h := e.Health(); h.Err != nil {
				t.Errorf("%v: after it went well again: %v", op, h.Err)
			}
			want := []string{"before", "doubt", "after"}
			if err != nil {
				want = []string{"before", "after"}
			}
			answers[err == nil]++
			for range 2 {
				if got := topics(readAll(t, e, 1)); !slices.Equal(got, want) {
					t.Errorf("%v, seed %d: records are %q, not %q", op, seed, got, want)
				}
				if _, ok := scanAll(t, e)["k"]; ok != (err == nil) {
					t.Errorf("%v, seed %d: the key is there: %v; the answer was %v", op, seed, ok, err)
				}
				mem.Crash(seed)
				e.Close()
				e = open(t, o)
			}
			closeEngine(t, e)
		}
	}
	if answers[true] == 0 || answers[false] == 0 {
		t.Errorf("the answers were %v: the test needs other seeds", answers)
	}
}

// TestAPoisonedEngineFailsUnitsUntilItIsWell keeps the disk from coming back.
func TestAPoisonedEngineFailsUnitsUntilItIsWell(t *testing.T) {
	mem, e := openMem(t, Options{})
	write(t, e, "before")
	mem.FailAfter(0, vfs.OpAny, syscall.EIO)
	var outcomes []<-chan outcome
	for range 20 {
		outcomes = append(outcomes, submit(t, e, storage.Unit{Records: []storage.Record{record("lost", 0)}}), submit(t, e, storage.Unit{}))
	}
	for i, c := range outcomes {
		if o := <-c; !errors.Is(o.err, ErrPoisoned) {
			t.Errorf("unit %d: %v", i, o.err)
		}
	}
	if h := e.Health(); !errors.Is(h.Err, syscall.EIO) {
		t.Errorf("Health says %v", h.Err)
	}
	if err := e.Reopen(background); !errors.Is(err, syscall.EIO) {
		t.Errorf("Reopen on a bad disk: %v", err)
	}
	if got, err := e.Get(background, []byte("k")); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Get: %q, %v", got, err)
	}
	mem.Heal()
	if err := e.Reopen(background); err != nil {
		t.Fatal(err)
	}
	write(t, e, "after")
	got := topics(readAll(t, e, 1))
	got = slices.DeleteFunc(got, func(topic string) bool { return topic == "lost" }) // the block in doubt may be there
	if h := e.Health(); h.Err != nil || !slices.Equal(got, []string{"before", "after"}) {
		t.Errorf("after Reopen: %q, %v", got, h.Err)
	}
}

func TestAFullDiskRefusesAndGoesOn(t *testing.T) {
	mem, e := openMem(t, Options{ReserveBytes: 64 << 10, SegmentBytes: 16 << 10, CheckpointBytes: 1 << 30})
	const capacity = 512 << 10
	mem.SetCapacity(capacity)
	stored := 0
	var err error
	for ; err == nil && stored < 1000; stored++ {
		_, err = commit(t, e, storage.Unit{Records: []storage.Record{record(fmt.Sprint(stored), 1000)}})
	}
	stored--
	if !errors.Is(err, storage.ErrFull) || stored < 300 {
		t.Fatalf("after %d records: %v", stored, err)
	}
	mustCommit(t, e, storage.Unit{Ops: []storage.Op{put("k", "v")}}) // the lower half of the reserve is for ops
	mustCommit(t, e, storage.Unit{})
	var opErr error
	for i := 0; opErr == nil && i < 1000; i++ {
		_, opErr = commit(t, e, storage.Unit{Ops: []storage.Op{put("k", string(make([]byte, 1000)))}})
	}
	if !errors.Is(opErr, storage.ErrFull) {
		t.Errorf("ops on a full disk: %v", opErr)
	}
	next := mustCommit(t, e, storage.Unit{})
	if h := e.Health(); h.Err != nil || next != h.Next || int(h.Blocks) != stored {
		t.Errorf("a barrier on a full disk is at %v; %+v", next, h)
	}
	if err := errors.Join(e.Trim(background, 0, message.MaxPosition), e.checkpoint(), e.truncate()); err != nil {
		t.Fatal(err)
	}
	if p := write(t, e, "again"); p != next {
		t.Errorf("after space came back, a record is at %v, not %v", p, next)
	}
}

func TestTheLogRejectsAtItsLimit(t *testing.T) {
	_, e := openMem(t, Options{LogLimitRejects: true, LogRejectBytes: 10_000})
	var err error
	stored := 0
	for ; err == nil && stored < 100; stored++ {
		_, err = commit(t, e, storage.Unit{Records: []storage.Record{record("t", 1000)}})
	}
	if h := e.Health(); !errors.Is(err, storage.ErrFull) || stored < 6 || h.LogBytes > 10_000 {
		t.Errorf("after %d records, %d bytes: %v", stored, h.LogBytes, err)
	}
	if err := e.Trim(background, 0, message.Position{Block: 4}); err != nil {
		t.Fatal(err)
	}
	write(t, e, "t")
}

func TestTheLogForgetsItsOldestBlocks(t *testing.T) {
	_, e := openMem(t, Options{LogMaxBytes: 20_000, SegmentBytes: 4 << 10})
	for range 200 {
		mustCommit(t, e, storage.Unit{Records: []storage.Record{record("t", 1000)}})
		mustCommit(t, e, storage.Unit{Ops: []storage.Op{put("k", "v")}})
	}
	if err := e.forgetOldest(); err != nil {
		t.Fatal(err)
	}
	h := e.Health()
	if h.LogBytes > 20_000 || h.LogBytes < 18_000 || h.Next.Block != 201 {
		t.Errorf("%+v", h)
	}
	var trimmed *storage.TrimmedError
	if _, _, err := e.Read(background, 0, message.Position{Block: h.First.Block - 1}, 1); !errors.As(err, &trimmed) || trimmed.First != h.First {
		t.Errorf("a read of what was forgotten: %v", err)
	}
	if n := len(readAll(t, e, 1)); int64(n) != h.Blocks {
		t.Errorf("%d records are left of %d", n, h.Blocks)
	}
	mustCommit(t, e, storage.Unit{Records: []storage.Record{record("large", 100_000)}})
	if err := e.forgetOldest(); err != nil || e.Health().Blocks != 1 {
		t.Errorf("of a log whose newest block is larger than its limit, %d blocks are left, %v", e.Health().Blocks, err)
	}
}

// TestBlocksAreHeldForATail trims behind a tail that does not move.
func TestBlocksAreHeldForATail(t *testing.T) {
	_, e := openMem(t, Options{MaxQueueBytes: 20_000, SegmentBytes: 4 << 10, CacheBytes: 1, RecentBytes: 1})
	gate := make(chan struct{})
	var got []string
	stop := e.Tail(0, message.Position{}, func(b storage.Block) {
		<-gate
		got = append(got, b.Records[0].Message.Topic)
	})
	var want []string
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		topic := fmt.Sprint(i)
		c := make(chan error, 1)
		err = e.Submit(0, storage.Unit{Records: []storage.Record{record(topic, 1000)}}, func(_ message.Position, err error) { c <- err })
		if err != nil {
			break
		}
		if err := <-c; err != nil {
			t.Fatal(err)
		}
		want = append(want, topic)
		if err := errors.Join(e.Trim(background, 0, message.MaxPosition), e.checkpoint(), e.truncate()); err != nil {
			t.Fatal(err)
		}
	}
	if !errors.Is(err, storage.ErrBusy) || len(want) < 15 {
		t.Errorf("after %d records: %v", len(want), err)
	}
	mustCommit(t, e, storage.Unit{Ops: []storage.Op{put("k", "v")}}) // what has no records makes nothing worse
	close(gate)
	closeEngine(t, e)
	stop()
	if !slices.Equal(got, want) {
		t.Errorf("the tail got %d records of %d", len(got), len(want))
	}
	if e.held.Load() != 0 {
		t.Errorf("%d bytes are held for nobody", e.held.Load())
	}
}

// TestATailAtTheLogsEndHoldsNothing opens a log that is larger than what may be held, follows it from its end, and trims
// all of it, as a session does that comes back after a restart and takes its messages.
func TestATailAtTheLogsEndHoldsNothing(t *testing.T) {
	o := Options{Dir: t.TempDir(), MaxQueueBytes: 20_000}
	e := open(t, o)
	for range 50 {
		mustCommit(t, e, storage.Unit{Records: []storage.Record{record("t", 1000)}})
	}
	closeEngine(t, e)
	e = open(t, o)
	for _, from := range []message.Position{e.Health().Next, {Block: 40}, {Block: 1 << 40}} {
		gate, read := make(chan struct{}), make(chan struct{}, 100)
		defer e.Tail(0, from, func(storage.Block) { <-gate; read <- struct{}{} })()
		close(gate)
		for range int(max(0, int64(e.Health().Next.Block)-int64(from.Block))) {
			<-read
		}
	}
	if err := e.Trim(background, 0, message.MaxPosition); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); e.held.Load() != 0 && time.Now().Before(end); {
		runtime.Gosched() // a tail has had its last block once the function has returned
	}
	if held := e.held.Load(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
	write(t, e, "after")
	closeEngine(t, e)
}

func TestWhatCouldNeverBeWrittenIsRefused(t *testing.T) {
	_, e := openMem(t, Options{})
	for name, u := range map[string]storage.Unit{
		"key":   {Ops: []storage.Op{put(string(make([]byte, maxKeyBytes+1)), "v")}},
		"value": {Ops: []storage.Op{put("k", string(make([]byte, maxValueBytes+1)))}},
	} {
		if err := e.Submit(0, u, func(message.Position, error) { t.Error("done was called") }); err == nil {
			t.Errorf("a %s that is too long", name)
		}
	}
	largest := put(string(make([]byte, maxKeyBytes)), string(make([]byte, maxValueBytes)))
	mustCommit(t, e, storage.Unit{Ops: []storage.Op{largest}})
	if err := e.checkpoint(); err != nil { // the state has taken it
		t.Fatal(err)
	}
	if value, err := e.Get(background, largest.Key); err != nil || len(value) != maxValueBytes || e.overlay.bytes() != 0 {
		t.Errorf("%d bytes, %v", len(value), err)
	}
	if e.Submit(1, storage.Unit{}, nil) == nil {
		t.Error("Submit to a lane that does not exist")
	}
}

// TestManyChangesInOneUnit is more than one transaction of Badger takes.
func TestManyChangesInOneUnit(t *testing.T) {
	_, e := openMem(t, Options{})
	var u storage.Unit
	for i := range 30_000 {
		u.Ops = append(u.Ops, put(fmt.Sprint("k/", i), "v"))
	}
	mustCommit(t, e, u)
	if err := e.checkpoint(); err != nil {
		t.Fatal(err)
	}
	if n := len(scanAll(t, e)); n != 30_000 || e.overlay.bytes() != 0 {
		t.Errorf("%d keys", n)
	}
}

func TestOldValuesGiveTheirSpaceBack(t *testing.T) {
	_, e := openMem(t, Options{})
	for i := range 1200 { // 120 MB of which 1 MB is left
		mustCommit(t, e, storage.Unit{Ops: []storage.Op{put(fmt.Sprint("k/", i%10), string(make([]byte, 100_000)))}})
		if err := e.applySome(true); err != nil && !errors.Is(err, errNothing) {
			t.Fatal(err)
		}
	}
	for range 10 {
		mustCommit(t, e, storage.Unit{Ops: []storage.Op{put("k", "v")}})
		if err := e.checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(scanAll(t, e)); n != 11 {
		t.Errorf("%d keys", n)
	}
	sizes, err := listing(e.options.state)
	if err != nil {
		t.Fatal(err)
	}
	var old int64
	for name, size := range sizes {
		if strings.HasSuffix(name, ".vlog") && size < 2*valueLogBytes { // the newest is as long as it may get
			old += size
		}
	}
	if old > collectBytes {
		t.Errorf("%d bytes in old value logs: %v", old, sizes)
	}
}

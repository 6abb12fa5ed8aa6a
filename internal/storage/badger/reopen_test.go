package badger

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/pkg/vfs"
)

func TestEverythingIsThereAfterClose(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	e := open(t, o)
	write(t, e, numbered("t", 20)...)
	for i := range 10 {
		mustCommit(t, e, storage.Unit{Ops: []storage.Op{put(fmt.Sprint("k/", i), "v"), {Key: []byte("k/3")}}})
	}
	mustCommit(t, e, storage.Unit{Records: []storage.Record{record("u", 1), record("v", 1)}, Ops: []storage.Op{put("large", string(make([]byte, 100_000)))}})
	if err := e.Trim(background, 0, message.Position{Block: 6}); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, e, storage.Unit{Ops: []storage.Op{put("empty", "")}}) // and the trim with it
	token, err := e.Claim(background, "c")
	if err != nil {
		t.Fatal(err)
	}
	records, keys, health := readAll(t, e, 1<<20), scanAll(t, e), healthOf(e)
	for range 3 {
		closeEngine(t, e)
		e = open(t, o)
		if got := readAll(t, e, 1); !slices.Equal(got, records) {
			t.Fatalf("records %v became %v", records, got)
		}
		if got := scanAll(t, e); !maps.Equal(got, keys) {
			t.Fatalf("keys %v became %v", slices.Sorted(maps.Keys(keys)), slices.Sorted(maps.Keys(got)))
		}
		if got := healthOf(e); got != health {
			t.Errorf("health %+v became %+v", health, got)
		}
		again, err := e.Claim(background, "c")
		if err != nil || again <= token {
			t.Errorf("token %d after %d, %v", again, token, err)
		}
		token = again
	}
	var tailed []uint64
	stop := e.Tail(0, message.Position{Block: 20}, func(b storage.Block) { tailed = append(tailed, b.Seq) })
	if p := write(t, e, "next"); p != health.Next {
		t.Errorf("the log goes on at %v, not %v", p, health.Next)
	}
	closeEngine(t, e)
	stop()
	if !slices.Equal(tailed, []uint64{20, 21, 22}) {
		t.Errorf("the tail got blocks %v", tailed)
	}
}

// TestBlocksWithoutRecordsTakeNoPlaceInTheLog mixes ops and records in blocks of their own, and reads at random.
func TestBlocksWithoutRecordsTakeNoPlaceInTheLog(t *testing.T) {
	o := Options{Dir: t.TempDir(), CacheBytes: 1, RecentBytes: 1, SegmentBytes: 16 << 10, Sync: SyncKernel}
	e := open(t, o)
	const n = 400
	for i := range n {
		if p := write(t, e, fmt.Sprint(i)); p != (message.Position{Block: uint64(i + 1)}) {
			t.Fatalf("record %d is at %v", i, p)
		}
		for j := range i * 7 % 5 {
			p := mustCommit(t, e, storage.Unit{Ops: []storage.Op{put("k", fmt.Sprint(j))}})
			if p != (message.Position{Block: uint64(i + 2)}) {
				t.Fatalf("ops after record %d are at %v", i, p)
			}
		}
	}
	check := func() {
		t.Helper()
		for i := range n {
			sequence := uint64(i*97%n + 1)
			blocks, _, err := e.Read(background, 0, message.Position{Block: sequence}, 1)
			if err != nil || len(blocks) != 1 || blocks[0].Seq != sequence || blocks[0].Records[0].Message.Topic != fmt.Sprint(sequence-1) {
				t.Fatalf("block %d: %v, %v", sequence, blocks, err)
			}
		}
	}
	check()
	closeEngine(t, e)
	e = open(t, o)
	check()
	check() // with what the index has learned
	if len(readAll(t, e, 1<<20)) != n {
		t.Error("not all records are there")
	}
}

func TestALostStateIsMadeAgainFromTheLog(t *testing.T) {
	o := Options{Dir: t.TempDir(), SegmentBytes: 16 << 10}
	e := open(t, o)
	for i := range 300 {
		mustCommit(t, e, storage.Unit{Records: []storage.Record{record("t", 100)}, Ops: []storage.Op{put(fmt.Sprint("k/", i%40), fmt.Sprint(i))}})
	}
	keys := scanAll(t, e)
	closeEngine(t, e)
	if err := os.RemoveAll(filepath.Join(o.Dir, stateName)); err != nil {
		t.Fatal(err)
	}
	e = open(t, o)
	if got := scanAll(t, e); !maps.Equal(got, keys) {
		t.Errorf("keys %v became %v", keys, got)
	}
	if err := e.Trim(background, 0, message.MaxPosition); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.checkpoint(), e.truncate()); err != nil {
		t.Fatal(err)
	}
	if first := e.disk.Load().First(); first < 100 {
		t.Fatalf("after a checkpoint the log on disk begins with block %d", first)
	}
	closeEngine(t, e)
	if err := os.RemoveAll(filepath.Join(o.Dir, stateName)); err != nil {
		t.Fatal(err)
	}
	if e, err := Open(o); err == nil {
		e.Close()
		t.Error("a log that does not reach back to the state's place was opened")
	}
}

func TestFilesGoOnceTrimmedAndCheckpointed(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir(), SegmentBytes: 16 << 10, Sync: SyncKernel, CacheBytes: 1, RecentBytes: 1})
	for _, topic := range numbered("t", 1000) {
		write(t, e, topic)
		mustCommit(t, e, storage.Unit{Ops: []storage.Op{put("k", topic)}})
	}
	before := len(e.disk.Load().Segments())
	for _, c := range []struct {
		trim uint64
		most int // segments that are left
	}{{0, before}, {500, before/2 + 2}, {1001, 1}} {
		if err := e.Trim(background, 0, message.Position{Block: c.trim}); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(e.checkpoint(), e.truncate()); err != nil {
			t.Fatal(err)
		}
		if n := len(e.disk.Load().Segments()); n > c.most || n < c.most-3 {
			t.Errorf("trimmed before block %d, %d of %d segments are left, not about %d", c.trim, n, before, c.most)
		}
		first := e.firstOnDisk()
		oldest, err := e.headerOf(first)
		if err != nil {
			t.Fatal(err)
		}
		if at, err := e.locate(oldest.header.seq, new([]byte)); oldest.header.seq < 1001 && (err != nil || at.disk > first+1) {
			t.Errorf("block %d is at %+v on a disk that begins with %d, %v", oldest.header.seq, at, first, err)
		}
		if got := len(readAll(t, e, 1<<16)); got != 1001-max(1, int(c.trim)) {
			t.Errorf("trimmed before block %d, %d records are left", c.trim, got)
		}
	}
}

func TestASecondEngineIsRefused(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	e := open(t, o)
	if second, err := Open(o); !errors.Is(err, ErrInUse) {
		t.Errorf("a second engine: %v, %v", second, err)
	}
	write(t, e, "t")
	closeEngine(t, e)
	closeEngine(t, open(t, o))
}

func TestVersionOfTheDirectory(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	closeEngine(t, open(t, o))
	name := filepath.Join(o.Dir, versionName)
	if text, err := os.ReadFile(name); err != nil || string(text) != "barid data 1\n" {
		t.Errorf("VERSION says %q, %v", text, err)
	}
	for text, newer := range map[string]int{"barid data 2\n": 2, "barid data 17": 17, "": 0, "barid data x": 0, "barid data 0": 0, "other 1": 0} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(o)
		var version *VersionError
		if err == nil || errors.As(err, &version) != (newer > 0) || newer > 0 && version.Version != newer {
			t.Errorf("VERSION with %q: %v", text, err)
		}
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); err == nil {
		t.Error("a directory with data and no version was opened")
	}
}

func TestADirectoryThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: file}); err == nil {
		t.Error("a file was opened as a data directory")
	}
	mem := vfs.NewMem(1)
	mem.FailAfter(0, vfs.OpCreate, os.ErrPermission)
	if _, err := Open(Options{Dir: "/data", FS: mem, state: t.TempDir()}); !errors.Is(err, os.ErrPermission) {
		t.Errorf("a read-only directory: %v", err)
	}
}

// TestSequencesAreNotUsedTwice has a log that lost its end, as SyncKernel and a power cut may do, beside a state that
// knows of it.
func TestSequencesAreNotUsedTwice(t *testing.T) {
	mem := vfs.NewMem(1)
	o := Options{Dir: "/data", FS: mem, state: t.TempDir(), Sync: SyncKernel}
	e := open(t, o)
	write(t, e, numbered("t", 10)...)
	mustCommit(t, e, storage.Unit{Ops: []storage.Op{put("k", "v")}})
	next := e.Health().Next
	mem.Crash(3) // the log on disk has lost something
	e.Close()
	e = open(t, o)
	left := len(readAll(t, e, 1))
	if left == 10 {
		t.Fatal("nothing was lost: the test needs another seed")
	}
	tail := make(chan uint64, 20)
	stop := e.Tail(0, message.Position{Block: uint64(left) + 1}, func(b storage.Block) { tail <- b.Seq })
	if p := write(t, e, "after"); p.Less(next) {
		t.Errorf("after %d of 10 records, the next is at %v, before %v", left, p, next)
	} else if got := <-tail; got != p.Block {
		t.Errorf("a tail from the gap begins with block %d, not %d", got, p.Block)
	}
	stop()
	if blocks, _, err := e.Read(background, 0, message.Position{Block: uint64(left) + 1}, 1); err != nil || len(blocks) != 1 {
		t.Errorf("a read from the gap: %v, %v", blocks, err)
	}
	if got := scanAll(t, e); !reflect.DeepEqual(got, map[string]string{"k": "v"}) {
		t.Errorf("keys are %v", got)
	}
}

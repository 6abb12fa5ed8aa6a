package badger

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

func snapshotOf(t testing.TB, e *Engine) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := e.Snapshot(background, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sample fills an engine with some of everything.
func sample(t testing.TB, e *Engine) {
	for i := range 50 {
		write(t, e, fmt.Sprint("t/", i))
		mustCommit(t, e, storage.Unit{Ops: []storage.Op{put(fmt.Sprint("k/", i%20), fmt.Sprint(i)), {Key: []byte("k/7")}, put("empty", "")}})
		if i == 25 {
			if err := e.applySome(true); err != nil && !errors.Is(err, errNothing) {
				t.Fatal(err)
			}
		}
	}
	mustCommit(t, e, storage.Unit{Ops: []storage.Op{put("large", string(make([]byte, 200_000)))}})
	if err := e.Trim(background, 0, message.Position{Block: 10}); err != nil {
		t.Fatal(err)
	}
}

func restored(t testing.TB, stream []byte) *Engine {
	t.Helper()
	o := Options{Dir: t.TempDir()}
	if err := Restore(o, iotest.HalfReader(bytes.NewReader(stream))); err != nil {
		t.Fatal(err)
	}
	return open(t, o)
}

func TestRestoreBringsEverythingBack(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir()})
	sample(t, e)
	token, err := e.Claim(background, "c")
	if err != nil {
		t.Fatal(err)
	}
	got := restored(t, snapshotOf(t, e))
	if a, b := healthOf(e), healthOf(got); a != b {
		t.Errorf("health %+v became %+v", a, b)
	}
	if a, b := readAll(t, e, 1<<20), readAll(t, got, 1<<20); !slices.Equal(a, b) {
		t.Errorf("records %v became %v", a, b)
	}
	if a, b := scanAll(t, e), scanAll(t, got); !maps.Equal(a, b) {
		t.Errorf("keys %v became %v", a, b)
	}
	if again, err := got.Claim(background, "c"); err != nil || again <= token {
		t.Errorf("token %d after %d, %v", again, token, err)
	}
	if a, b := write(t, e, "next"), write(t, got, "next"); a != b {
		t.Errorf("the log goes on at %v, not %v", b, a)
	}
	twice := restored(t, snapshotOf(t, got))
	if a, b := readAll(t, got, 1<<20), readAll(t, twice, 1<<20); !slices.Equal(a, b) {
		t.Errorf("records %v became %v", a, b)
	}
}

func TestRestoreOfWhatHasNoRecords(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir(), SegmentBytes: 4 << 10})
	if h := restored(t, snapshotOf(t, e)).Health(); h.Blocks != 0 || h.Next.Block != 1 {
		t.Errorf("of an empty engine: %+v", h)
	}
	sample(t, e)
	if err := errors.Join(e.Trim(background, 0, message.MaxPosition), e.checkpoint(), e.truncate()); err != nil {
		t.Fatal(err)
	}
	got := restored(t, snapshotOf(t, e))
	if a, b := healthOf(e), healthOf(got); a != b {
		t.Errorf("health %+v became %+v", a, b)
	}
	if a, b := scanAll(t, e), scanAll(t, got); !maps.Equal(a, b) {
		t.Errorf("keys %v became %v", a, b)
	}
}

// TestASnapshotHasWhatTheStateLacks keeps the applier from applying, with no record in the log.
func TestASnapshotHasWhatTheStateLacks(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir()})
	mustCommit(t, e, storage.Unit{Ops: []storage.Op{put("old", "v")}})
	e.applying.Lock()
	for i := range 3 {
		mustCommit(t, e, storage.Unit{Ops: []storage.Op{put(fmt.Sprint("k/", i), "v")}})
	}
	stream, want := snapshotOf(t, e), scanAll(t, e)
	e.applying.Unlock()
	if got := scanAll(t, restored(t, stream)); len(want) != 4 || !maps.Equal(got, want) {
		t.Errorf("keys %v became %v", want, got)
	}
}

// TestASnapshotIsOfOneMoment takes snapshots while pairs of a record and a key are written: they must agree.
func TestASnapshotIsOfOneMoment(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir(), Sync: SyncKernel, SegmentBytes: 64 << 10, CheckpointBytes: 32 << 10})
	ended := make(chan struct{})
	var group sync.WaitGroup
	defer group.Wait()
	defer close(ended)
	group.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-ended:
				return
			default:
			}
			topic := fmt.Sprint(i)
			u := storage.Unit{Records: []storage.Record{record(topic, 100)}, Ops: []storage.Op{put("last", topic), put(fmt.Sprint("k/", i), "v")}}
			mustCommit(t, e, u)
		}
	})
	for range 3 {
		write(t, e, "between")
		got := restored(t, snapshotOf(t, e))
		records, keys := topics(readAll(t, got, 1<<20)), scanAll(t, got)
		records = slices.DeleteFunc(records, func(topic string) bool { return topic == "between" })
		if len(records) == 0 {
			continue // the writer had no turn
		}
		if keys["last"] != records[len(records)-1] || len(keys) != len(records)+1 {
			t.Fatalf("%d records, %d keys, the last is %q", len(records), len(keys), keys["last"])
		}
	}
}

func TestRestoreRefusesWhatIsNotWhole(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir()})
	write(t, e, "a", "b")
	mustCommit(t, e, storage.Unit{Ops: []storage.Op{put("k", "v")}})
	if err := e.checkpoint(); err != nil {
		t.Fatal(err)
	}
	stream := snapshotOf(t, e)
	for i := 0; i < len(stream); i += 1 + len(stream)/40 {
		broken := bytes.Clone(stream)
		broken[i] ^= 0x10
		for name, b := range map[string][]byte{"cut off": stream[:i], "changed": broken} {
			o := Options{Dir: t.TempDir()}
			if err := Restore(o, bytes.NewReader(b)); !errors.Is(err, ErrSnapshot) {
				t.Errorf("%s at byte %d of %d: %v", name, i, len(stream), err)
			}
			if i > 40 {
				if e, err := Open(o); err == nil {
					t.Errorf("%s at byte %d of %d: what was restored in part was opened", name, i, len(stream))
					e.Close()
				}
			}
		}
	}
	used := Options{Dir: t.TempDir()}
	closeEngine(t, open(t, used))
	if err := Restore(used, bytes.NewReader(stream)); err == nil {
		t.Error("a directory with data was restored into")
	}
}

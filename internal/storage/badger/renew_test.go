package badger

import (
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/pkg/vfs"
)

// TestAStateThatCouldNotBeSyncedIsOpenedAgain has syncs of the state fail for a while. There is no checkpoint meanwhile,
// the log keeps what the state may have lost, and Health says why; afterwards checkpoints go on without a restart, and
// nothing is missing, neither then nor after a power cut.
func TestAStateThatCouldNotBeSyncedIsOpenedAgain(t *testing.T) {
	var broken atomic.Bool
	mem := vfs.NewMem(1)
	o := Options{Dir: "/data", FS: mem, state: t.TempDir(), SegmentBytes: 4 << 10, stateSync: func() error {
		if broken.Load() {
			return syscall.EIO
		}
		return nil
	}}
	e := open(t, o)
	want := map[string]string{}
	write := func(round, n int) {
		for i := range n {
			key, value := fmt.Sprintf("k%d", i), fmt.Sprintf("%d/%d", round, i)
			mustCommit(t, e, storage.Unit{Ops: []storage.Op{put(key, value)}})
			want[key] = value
		}
	}
	write(0, 20)
	if err := e.checkpoint(); err != nil {
		t.Fatal(err)
	}
	good := e.position().checkpoint
	broken.Store(true)
	for round := range 3 {
		write(round+1, 50)
		if err := e.checkpoint(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("a checkpoint whose sync fails: %v", err)
		}
		if err := e.truncate(); err != nil {
			t.Fatal(err)
		}
		if p := e.position(); p.checkpoint != good || e.disk.Load().First() > good+1 {
			t.Fatalf("the checkpoint went from %d to %d, and the log begins with %d", good, p.checkpoint, e.disk.Load().First())
		}
		if h := e.Health(); !errors.Is(h.Err, syscall.EIO) {
			t.Errorf("Health says %v", h.Err)
		}
	}
	lost := new(changes) // what the kernel could not write
	for i := range 30 {
		lost.Set(fmt.Sprintf("k%d", i), nil)
	}
	e.applying.Lock()
	if err := e.state.apply(lost, e.applied); err != nil {
		t.Fatal(err)
	}
	e.applying.Unlock()
	broken.Store(false)
	write(9, 10)
	e.checkpoints.Lock()
	e.renewAt = time.Time{}
	e.checkpoints.Unlock()
	if err := e.checkpoint(); err != nil {
		t.Fatalf("when syncs work again: %v", err)
	}
	if p := e.position(); p.checkpoint <= good || e.Health().Err != nil {
		t.Errorf("checkpoint %d after %d, %v", p.checkpoint, good, e.Health().Err)
	}
	if got := scanAll(t, e); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	write(10, 10)
	mem.Crash(7)
	e.Close()
	e = open(t, o)
	if got := scanAll(t, e); !maps.Equal(got, want) {
		t.Errorf("after a power cut: got %v, want %v", got, want)
	}
	closeEngine(t, e)
}

// TestWhatAFailedSyncLostIsWrittenAnew takes away what the state got since its last checkpoint, also a removal, as a kernel
// may that could not write it.
func TestWhatAFailedSyncLostIsWrittenAnew(t *testing.T) {
	_, e := openMem(t, Options{})
	mustCommit(t, e, storage.Unit{Ops: []storage.Op{put("old", "1"), put("gone", "1")}})
	if err := e.checkpoint(); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, e, storage.Unit{Ops: []storage.Op{put("old", "2"), put("new", "2"), {Key: []byte("gone")}}})
	if err := e.applySome(true); err != nil {
		t.Fatal(err)
	}
	lost := new(changes)
	lost.Set("old", []byte("1"))
	lost.Set("gone", []byte("1"))
	lost.Set("new", nil)
	if err := e.state.apply(lost, e.applied); err != nil {
		t.Fatal(err)
	}
	e.checkpoints.Lock()
	e.state.failed = true
	e.checkpoints.Unlock()
	if err := e.checkpoint(); err != nil {
		t.Fatal(err)
	}
	if got, want := scanAll(t, e), map[string]string{"old": "2", "new": "2"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestTheStateWaitsForRoom fills the disk below what Badger needs. Commits of what is in the reserve fail, nothing is
// written to the state, and all is well when there is room.
func TestTheStateWaitsForRoom(t *testing.T) {
	mem, e := openMem(t, Options{ReserveBytes: 64 << 10, SegmentBytes: 16 << 10})
	mustCommit(t, e, storage.Unit{Ops: []storage.Op{put("k", "v")}})
	mem.SetCapacity(0)
	if h := e.Health(); h.Full {
		t.Error("full before anybody looked")
	}
	if err := e.applySome(true); !errors.Is(err, storage.ErrFull) && !errors.Is(err, errNothing) {
		t.Errorf("the state was written on a full disk: %v", err)
	}
	if _, err := commit(t, e, storage.Unit{Records: []storage.Record{record("t", 10)}}); !errors.Is(err, storage.ErrFull) {
		t.Errorf("a record on a full disk: %v", err)
	}
	if h := e.Health(); !h.Full || h.FreeBytes != 0 || h.ReserveBytes != 64<<10 {
		t.Errorf("%+v", h)
	}
	mem.SetCapacity(-1)
	write(t, e, "t")
	if h := e.Health(); h.Full {
		t.Errorf("%+v", h)
	}
	if err := e.checkpoint(); err != nil || scanAll(t, e)["k"] != "v" {
		t.Errorf("the state with room: %v", err)
	}
}

package badger

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

// What was read of the state's tables is given back to the kernel, and is all there afterwards.
func TestPagesOfTablesAreGivenBack(t *testing.T) {
	if mappedBytes() == 0 {
		t.Skip("the system does not say what is mapped")
	}
	e, err := Open(Options{Dir: t.TempDir(), Sync: SyncKernel, ReserveBytes: -1, keepPages: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	const keys, valueBytes = 16_000, 1500
	value := bytes.Repeat([]byte("v"), valueBytes)
	for from := 0; from < keys; from += 1000 {
		var u storage.Unit
		for i := from; i < from+1000; i++ {
			u.Ops = append(u.Ops, storage.Op{Key: fmt.Appendf(nil, "key-%06d", i), Value: value})
		}
		done := make(chan error, 1)
		if err := e.Submit(0, u, func(_ message.Position, err error) { done <- err }); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if err := e.checkpoint(); err != nil {
		t.Fatal(err)
	}
	scan := func() {
		n := 0
		for kv, err := range e.Scan(t.Context(), []byte("key-")) {
			if err != nil || !bytes.Equal(kv.Value, value) {
				t.Fatalf("%s: %d bytes, %v", kv.Key, len(kv.Value), err)
			}
			n++
		}
		if n != keys {
			t.Fatalf("%d keys, want %d", n, keys)
		}
	}
	dir, err := filepath.EvalSymlinks(e.state.dir)
	if err != nil {
		t.Fatal(err)
	}
	scan()
	resident := func() (sum, tables int64) {
		names, release := e.state.pinTables()
		defer release()
		for name := range names {
			sum += residentOf(t, filepath.Join(dir, name))
		}
		return sum, int64(len(names))
	}
	for tries := 0; ; tries++ { // a compaction may have replaced what was read
		if sum, _ := resident(); sum >= keys*valueBytes/2 {
			break
		}
		if scan(); tries == 100 {
			t.Fatal("a scan brings no tables into memory")
		}
	}
	// Whoever looks comes to a page in each table, and the kernel brings what is around it, too.
	const around = 64 << 10
	for tries := 0; ; tries++ { // a compaction may be reading, or have tables that come and go
		e.releasePages(dir)
		sum, tables := resident()
		if sum <= tables*around {
			break
		}
		if tries == 100 {
			t.Fatalf("%d bytes of %d tables are in memory still", sum, tables)
		}
	}
	scan()
}

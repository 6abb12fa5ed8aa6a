package badger

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, o Options) *Engine {
	t.Helper()
	e, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func TestConformance(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Engine { return open(t, Options{Dir: t.TempDir()}) })
}

func TestConformanceWithSmallBlocks(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Engine {
		return open(t, Options{Dir: t.TempDir(), Sync: SyncKernel, MaxQueueBytes: 1 << 20, MaxBlockBytes: 1, CacheBytes: 20_000,
			SegmentBytes: 64 << 10, CheckpointBytes: 32 << 10})
	})
}

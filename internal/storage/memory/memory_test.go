package memory

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Engine { return New(Options{}) })
}

func TestConformanceWithSmallBlocks(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Engine {
		return New(Options{MaxQueueBytes: 1 << 20, MaxBlockBytes: 1})
	})
}

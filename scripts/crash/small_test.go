//go:build e2e

package crash

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// small are sizes of the program, and how small they are in a second build of it: there sessions are parked, parked
// bodies swept, and segments, summaries and checkpoints begun anew all the time, and not after tens of megabytes. Nothing
// but the sizes and intervals differs.
var small = map[string]map[string]string{
	"internal/broker/engine.go": {"const trimBytes = 1 << 20": "const trimBytes = 1"},
	"internal/broker/timers.go": {"const timerTick = time.Second\n": "const timerTick = 50 * time.Millisecond\n"},
	"internal/broker/grown.go":  {"const trimInterval = time.Minute\n": "const trimInterval = 300 * time.Millisecond\n"},
	"internal/broker/park.go": {
		"\tpassShare = 10\n":              "\tpassShare = 1\n",
		"\tparkBytes = 64 << 20\n":        "\tparkBytes = 16 << 10\n",
		"\tparkGain = 2\n":                "\tparkGain = 0\n",
		"\tsweepInterval = time.Minute\n": "\tsweepInterval = 300 * time.Millisecond\n",
	},
	"internal/broker/pass.go": {
		"\tparkUnitOps = 2000\n":     "\tparkUnitOps = 20\n",
		"\tpassErrands = 16 << 10\n": "\tpassErrands = 2\n",
		"\tpassRecords = 48 << 10\n": "\tpassRecords = 100\n",
	},
	"internal/storage/badger/engine.go": {
		"{&o.SegmentBytes, 32 << 20}":    "{&o.SegmentBytes, 64 << 10}",
		"{&o.CheckpointBytes, 64 << 20}": "{&o.CheckpointBytes, 128 << 10}",
		"{&o.CacheBytes, 8 << 20}":       "{&o.CacheBytes, 64 << 10}",
		"{&o.RecentBytes, 8 << 20}":      "{&o.RecentBytes, 64 << 10}",
	},
	"internal/storage/badger/summaries.go": {
		"\trunBytes  = 256 << 10\n": "\trunBytes  = 4 << 10\n",
		"\tspanBytes = 16 << 20\n":  "\tspanBytes = 64 << 10\n",
		"\tsummaryStep = 1 << 20\n": "\tsummaryStep = 4 << 10\n",
		"\tsummaryGap = 64 << 20\n": "\tsummaryGap = 128 << 10\n",
	},
	"internal/storage/badger/claims.go": {"\tclaimsKept = 1 << 20\n": "\tclaimsKept = 8\n"},
	"internal/storage/badger/apply.go": {
		"\toverlayUrgent = 1 << 20": "\toverlayUrgent = 8 << 10",
		"\toverlayLimit  = 8 << 20": "\toverlayLimit  = 64 << 10",
	},
}

// buildSmall builds the program with small sizes, once.
var buildSmall = sync.OnceValues(func() (string, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(program)
	replace := make(map[string]string)
	for name, sizes := range small {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return "", err
		}
		for usual, other := range sizes {
			if strings.Count(string(text), usual) != 1 {
				return "", fmt.Errorf("%s does not say %q once: say in small what it is now", name, usual)
			}
			text = []byte(strings.Replace(string(text), usual, other, 1))
		}
		file := filepath.Join(dir, strings.ReplaceAll(name, "/", "-"))
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, name)] = file
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		return "", err
	}
	built := filepath.Join(dir, "barid-small")
	if out, err := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", built, root).CombinedOutput(); err != nil {
		return "", fmt.Errorf("building with small sizes: %w\n%s", err, out)
	}
	return built, nil
})

// smallProgram is the program with small sizes.
func smallProgram(t *testing.T) string {
	built, err := buildSmall()
	if err != nil {
		t.Fatal(err)
	}
	return built
}

func TestCrashesWithSmallSizes(t *testing.T) {
	n := seed(t)
	w := newWorld(t, []string{"os", "fsync"}[n/2%2], n)
	w.broker.program = smallProgram(t)
	mustKeepItsPromises(t, w, 10*time.Second, 8)
}

func TestCrashesOfConsumersWithSmallSizes(t *testing.T) {
	s := newShop(t, "os")
	s.broker.program = smallProgram(t)
	mustKeepConsumers(t, s, 5*time.Second, 4)
}

//go:build e2e && linux

// Package hostile puts the built program under siege. Strangers and users of the broker send it thousands of streams that
// are broken, slow, endless or meant to make it hold more than it can, on every port it has; what they are is in
// internal/hostile. Meanwhile
//
//   - a pair of well-behaved clients loses nothing, and its messages take hardly longer than before,
//   - nobody gets or says what its rules do not allow, and nobody without credentials gets anything,
//   - the process's memory and descriptors stay within bounds, and come back when it is over, with its goroutines,
//   - it logs no error and does not panic.
//
// BARID_HOSTILE_STREAMS is how many streams are sent, a few hundred by default; BARID_HOSTILE_SEED repeats the choices of
// an earlier run, though not its timing.
package hostile

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// program is the built barid.
var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "barid-hostile")
		if err != nil {
			fmt.Fprintln(os.Stderr, "hostile:", err)
			return 1
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "barid")
		if out, err := exec.Command("go", "build", "-o", program, "../..").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "hostile: building: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

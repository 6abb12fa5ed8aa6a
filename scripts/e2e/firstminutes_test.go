//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The first minutes with a clone go through, step by step, with what was built before.
func TestTheFirstMinutes(t *testing.T) {
	cmd := exec.Command("bash", "../first-minutes.sh")
	cmd.Env = append(os.Environ(), "KEEP_CACHE=1")
	said, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(said), "a consumer over curl") || !strings.Contains(string(said), "\nall ") {
		t.Errorf("%v\n%s", err, said)
	}
}

package cli

import (
	"path/filepath"
	"strings"
	"testing"
)

// The command that the banner proposes may end in a log, so it shows no secret that the last one had.
func TestProposedCommandShowsNoSecret(t *testing.T) {
	for _, args := range [][]string{
		{"--set", "auth.jwt.secret=hunter2"}, {"--set=auth.jwt.secret=hunter2"}, {"-set=api.admin.password=hunter2"}, {"--set", "auth.http.headers=A: hunter2"},
	} {
		if got := openingCommand(args, "x"); strings.Contains(got, "hunter2") || !strings.Contains(got, "=********") {
			t.Errorf("%q became %s", args, got)
		}
	}
	if got := openingCommand([]string{"--set", "mqtt.max_qos=1"}, "x"); !strings.Contains(got, "mqtt.max_qos=1") {
		t.Errorf("what is no secret became %s", got)
	}
}

func TestPasswdMakesItsFile(t *testing.T) {
	for _, kind := range [][]string{nil, {"--scram"}} {
		file := filepath.Join(t.TempDir(), "users")
		args := append(append([]string{"passwd"}, kind...), "-b", file, "alice", "secret")
		if status, _, stderr := barid(t, "", args...); status != 0 {
			t.Errorf("%q: status %d, %s", args, status, stderr)
		}
	}
}

package badger

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// TestAFileThatAKilledProcessJustMadeDoesNotMatter leaves the files that a process leaves which is killed when it has
// made a file of the state and not yet given it its size.
func TestAFileThatAKilledProcessJustMadeDoesNotMatter(t *testing.T) {
	for _, name := range []string{"00099.mem", "000099.vlog"} {
		o := Options{Dir: t.TempDir()}
		e := open(t, o)
		write(t, e, "a", "b")
		want := scanAll(t, e)
		closeEngine(t, e)
		if err := os.WriteFile(filepath.Join(o.stateDir(), name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		e, err := Open(o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := scanAll(t, e); !maps.Equal(got, want) || len(readAll(t, e, 1)) != 2 {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
		closeEngine(t, e)
	}
}

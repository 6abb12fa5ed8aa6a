package filewatch

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

const tick = time.Second

// world is a watched file in a directory of its own, in virtual time.
type world struct {
	t     *testing.T
	dir   string
	calls int
	clock time.Time // of the files: their times are those of the real clock otherwise
}

func watch(t *testing.T, prepare func(w *world) string, then func(w *world)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, dir: dir, clock: time.Unix(1_000_000, 0)}
		watcher := New(tick)
		defer watcher.Stop()
		watcher.Add(prepare(w), func() { w.calls++ })
		then(w)
	})
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name, text string) string {
	w.t.Helper()
	name = w.path(name)
	w.clock = w.clock.Add(time.Minute)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Chtimes(name, w.clock, w.clock); err != nil {
		w.t.Fatal(err)
	}
	return name
}

func (w *world) link(target, name string) string {
	w.t.Helper()
	name = w.path(name)
	if err := os.Symlink(target, name+".new"); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		w.t.Fatal(err)
	}
	return name
}

// wait lets some ticks pass and checks how many calls there were in all.
func (w *world) wait(ticks int, calls int) {
	w.t.Helper()
	time.Sleep(time.Duration(ticks) * tick) // virtual
	synctest.Wait()
	if w.calls != calls {
		w.t.Fatalf("%d calls, not %d", w.calls, calls)
	}
}

func TestNewContentIsReportedOnce(t *testing.T) {
	watch(t, func(w *world) string { return w.write("f", "one") }, func(w *world) {
		w.wait(3, 0)
		w.write("f", "two")
		w.wait(3, 1)
		w.wait(3, 1)
		w.write("f", "three")
		w.wait(3, 2)
	})
}

func TestTouchingAFileIsNoChange(t *testing.T) {
	watch(t, func(w *world) string { return w.write("f", "one") }, func(w *world) {
		w.write("f", "one")
		w.wait(3, 0)
	})
}

func TestAFileThatIsBeingWrittenIsNotReported(t *testing.T) {
	watch(t, func(w *world) string { return w.write("f", "one") }, func(w *world) {
		for i := range 10 {
			w.write("f", "one, two"[:i%8])
			w.wait(1, 0)
		}
		w.write("f", "two")
		w.wait(2, 1)
	})
}

func TestAFileThatVanishesAndComesBack(t *testing.T) {
	watch(t, func(w *world) string { return w.write("f", "one") }, func(w *world) {
		if err := os.Remove(w.path("f")); err != nil {
			t.Fatal(err)
		}
		w.wait(3, 0)
		w.write("f", "one")
		w.wait(3, 0)
		w.write("f", "two")
		w.wait(3, 1)
	})
}

func TestAFileThatIsNotThereYet(t *testing.T) {
	watch(t, func(w *world) string { return w.path("f") }, func(w *world) {
		w.wait(3, 0)
		w.write("f", "one")
		w.wait(3, 1)
	})
}

// Kubernetes mounts file → ..data/file, ..data → ..2026_1, and swaps ..data.
func TestASwappedSymbolicLink(t *testing.T) {
	watch(t, func(w *world) string {
		for i, dir := range []string{"..one", "..two"} {
			if err := os.Mkdir(w.path(dir), 0o700); err != nil {
				t.Fatal(err)
			}
			w.write(dir+"/f", []string{"one", "two"}[i])
		}
		w.link("..one", "..data")
		return w.link("..data/f", "f")
	}, func(w *world) {
		w.wait(3, 0)
		w.link("..two", "..data")
		w.wait(3, 1)
	})
}

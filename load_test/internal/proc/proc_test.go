package proc

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	line := "42 (a b) c) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 7 8 20 0 5 0 100 1000000 25 18446744073709551615"
	u, err := parseStat([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Usage{CPU: 2 * time.Second, RSSBytes: 25 * int64(os.Getpagesize())}); u != want {
		t.Errorf("got %+v, want %+v", u, want)
	}
	for _, bad := range []string{"", "42 (a", "42 (a) S 1 2 3", line[:20] + ") S x x x x x x x x x x x x x x x x x x x x x x x"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestReadSeesThisProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	begun := time.Now()
	before, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// The work is reading, until enough of it is seen: how long that takes is up to what else the machine does.
	after, used := before, time.Duration(0)
	for used < 50*time.Millisecond && time.Since(begun) < time.Minute {
		if after, err = Read(os.Getpid()); err != nil {
			t.Fatal(err)
		}
		used = after.CPU - before.CPU
	}
	took := time.Since(begun)
	if most := took*time.Duration(runtime.NumCPU()) + 20*time.Millisecond; used < 50*time.Millisecond || used > most {
		t.Errorf("%v of work took %v of processor time", took, used)
	}
	if after.FDs < 3 || after.RSSBytes < 1<<20 {
		t.Errorf("got %+v", after)
	}
	if _, err := Read(1 << 30); err == nil {
		t.Error("a process that is not there uses something")
	}
}

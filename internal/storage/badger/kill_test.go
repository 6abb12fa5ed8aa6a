package badger

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

// The variables that make the test program a victim on a directory, and have it only store so many records.
const (
	victimDir    = "BARID_TEST_VICTIM"
	victimStores = "BARID_TEST_STORES"
)

const victims = 8 // publishers in a victim

// beVictim publishes until it is killed, and prints what was acknowledged.
func beVictim(dir string) {
	n, err := strconv.Atoi(os.Getenv(victimStores))
	o := Options{Dir: dir}
	if err != nil {
		o.SegmentBytes, o.CheckpointBytes = 256<<10, 128<<10
	}
	e, err := Open(o)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	if n > 0 {
		store(e, n)
	}
	var mu sync.Mutex // a line is printed whole
	for p := range victims {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d/%d/%d", os.Getpid(), p, i)
				u := storage.Unit{Records: []storage.Record{record(id, 300)}, Ops: []storage.Op{
					put(fmt.Sprint("last/", p), id), put(fmt.Sprint("large/", p, "/", i%5), id+strings.Repeat("x", 3000)),
				}}
				acked := make(chan error, 1)
				if err := e.Submit(0, u, func(_ message.Position, err error) { acked <- err }); err != nil {
					panic(err)
				}
				if err := <-acked; err != nil {
					panic(err)
				}
				mu.Lock()
				fmt.Println(id)
				mu.Unlock()
			}
		}()
	}
	select {}
}

// store stores n records of 256 B, each with a change of one of 10,000 keys, says so and waits to be killed.
func store(e *Engine, n int) {
	var group sync.WaitGroup
	for i := range n {
		group.Add(1)
		u := storage.Unit{Records: []storage.Record{record(fmt.Sprint("site/", i%1000), 256)},
			Ops: []storage.Op{put(fmt.Sprint("session/", i%10_000), strings.Repeat("s", 40))}}
		for e.Submit(0, u, func(message.Position, error) { group.Done() }) != nil {
			runtime.Gosched()
		}
	}
	group.Wait()
	fmt.Println("stored")
	select {}
}

// TestNothingAcknowledgedIsLostByKill kills a process that publishes, some times over on one directory, and looks at
// what it left: every record that it printed, in order for each publisher, at most one more for each, and keys that
// agree with the records.
func TestNothingAcknowledgedIsLostByKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	var acked []string
	for range 5 {
		acked = append(acked, runVictim(t, dir, 50+random.IntN(1500), 0)...)
		e := open(t, Options{Dir: dir, SegmentBytes: 256 << 10, CheckpointBytes: 128 << 10})
		checkVictim(t, topics(readAll(t, e, 1<<20)), scanAll(t, e), acked)
		if t.Failed() {
			return
		}
		closeEngine(t, e)
	}
}

// runVictim kills a victim after it printed n lines, and returns all that it printed.
func runVictim(t testing.TB, dir string, n, stores int) (acked []string) {
	victim := exec.Command(os.Args[0])
	victim.Env = append(os.Environ(), victimDir+"="+dir)
	if stores > 0 {
		victim.Env = append(victim.Env, victimStores+"="+strconv.Itoa(stores))
	}
	victim.Stderr = os.Stderr
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		acked = append(acked, lines.Text())
		if len(acked) == n {
			if err := victim.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := victim.Wait(); err == nil || len(acked) < n {
		t.Fatalf("the victim ended by itself after %d records: %v, %q", len(acked), err, acked)
	}
	return acked
}

// BenchmarkOpenAfterKill opens a directory with a million stored records whose process was killed.
func BenchmarkOpenAfterKill(b *testing.B) {
	dir := b.TempDir()
	runVictim(b, dir, 1, 1_000_000)
	for i := 0; b.Loop(); i++ {
		e, err := Open(Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if h := e.Health(); i == 0 {
			b.Logf("%d bytes in %d blocks, %d bytes after the checkpoint", h.LogBytes, h.Blocks, e.position().unkept)
		}
		e.Close() // from here on there is nothing to replay: only the first is what the name says
		b.StartTimer()
	}
}

func checkVictim(t *testing.T, got []string, keys map[string]string, acked []string) {
	t.Helper()
	sorted := slices.Sorted(slices.Values(got))
	if unique := slices.Compact(slices.Clone(sorted)); len(unique) != len(sorted) {
		t.Errorf("%d records are there twice", len(sorted)-len(unique))
	}
	for _, id := range acked {
		if _, found := slices.BinarySearch(sorted, id); !found {
			t.Errorf("%s was acknowledged and is not there", id)
		}
	}
	type publisher struct{ pid, number int }
	next := map[publisher]int{}
	last := map[string]string{}
	for _, id := range got {
		var p publisher
		var i int
		if _, err := fmt.Sscanf(id, "%d/%d/%d", &p.pid, &p.number, &i); err != nil || i != next[p] {
			t.Errorf("%s where record %d of its publisher was to come (%v)", id, next[p], err)
		}
		next[p]++
		last[fmt.Sprint("last/", p.number)] = id
		last[fmt.Sprint("large/", p.number, "/", i%5)] = id + strings.Repeat("x", 3000)
	}
	if more := len(got) - len(acked); more < 0 || more > 5*victims {
		t.Errorf("%d records are there and %d were acknowledged", len(got), len(acked))
	}
	for key, value := range last {
		if keys[key] != value {
			t.Errorf("%s is %.30q, not %.30q", key, keys[key], value)
		}
	}
	if len(keys) != len(last) {
		t.Errorf("%d keys, not %d", len(keys), len(last))
	}
}

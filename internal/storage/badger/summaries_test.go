package badger

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/storage/storagetest"
	"github.com/barid-mqtt/barid/internal/summary"
)

// smallSummaries has spans of a few blocks.
func smallSummaries(dir string) Options {
	return Options{Dir: dir, runBytes: 8 << 10, spanBytes: 64 << 10, summaryStep: 1, RecentBytes: 32 << 10}
}

func writeTopics(t testing.TB, e *Engine, random *rand.Rand, n int) {
	t.Helper()
	for range n {
		var u storage.Unit
		for range 1 + random.IntN(4) {
			u.Records = append(u.Records, record(storagetest.SkipTopic(random), random.IntN(2000)))
		}
		if o := <-submit(t, e, u); o.err != nil {
			t.Fatal(o.err)
		}
	}
}

// awaitSummaries waits until all of the log but the newest run has summaries.
func awaitSummaries(t testing.TB, e *Engine) {
	t.Helper()
	for range 1000 {
		s := &e.summaries
		s.mu.Lock()
		next := s.newest.next
		s.mu.Unlock()
		if size, err := e.Size(background, 0, message.Position{Block: next}); err == nil && size < 3*e.options.runBytes {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the log was not summarized")
}

// Whatever the log and its summaries went through, nothing is hidden, and much is skipped.
func TestSkipHidesNothingOverRestartsAndTrims(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	for range 4 {
		e := open(t, smallSummaries(dir))
		writeTopics(t, e, random, 300)
		awaitSummaries(t, e)
		if skipped := storagetest.CheckSkip(t, e, random, 300); skipped < 10_000 {
			t.Errorf("only %d records were left out", skipped)
		}
		first, next := e.Health().First.Block, e.Health().Next.Block
		if err := e.Trim(background, 0, message.Position{Block: first + (next-first)/3}); err != nil {
			t.Fatal(err)
		}
		if err := e.checkpoint(); err != nil {
			t.Fatal(err)
		}
		if err := e.truncate(); err != nil {
			t.Fatal(err)
		}
		storagetest.CheckSkip(t, e, random, 300)
		for _, s := range spansOf(t, dir) {
			if s.next <= e.Health().First.Block {
				t.Errorf("the summary of %d to %d is still there, and the log begins with %d", s.first, s.next, e.Health().First.Block)
			}
		}
		closeEngine(t, e)
	}
}

func spansOf(t testing.TB, dir string) (all []span) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, summariesName))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		s, ok := parseSpanName(entry.Name())
		if !ok {
			t.Fatalf("%s among the summaries", entry.Name())
		}
		all = append(all, s)
	}
	return all
}

// Files that are damaged, of another version, or say something of blocks that the log does not have are not believed.
func TestSummariesThatAreNotOfTheLogAreForgotten(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	e := open(t, smallSummaries(dir))
	writeTopics(t, e, random, 400)
	awaitSummaries(t, e)
	next := e.Health().Next.Block
	closeEngine(t, e)
	files := spansOf(t, dir)
	if len(files) < 4 {
		t.Fatalf("%d files", len(files))
	}
	name := func(s span) string { return (&Engine{options: Options{Dir: dir}}).spanName(s) }
	change := func(s span, from, to int) {
		b, err := os.ReadFile(name(s))
		if err != nil {
			t.Fatal(err)
		}
		clear(b[from:min(to, len(b)-4)])
		if err := os.WriteFile(name(s), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	change(files[0], 8, 9)    // version
	change(files[1], 36, 100) // content
	if err := os.Truncate(name(files[2]), 30); err != nil {
		t.Fatal(err)
	}
	// As if a power cut had taken the log's end: blocks that come there now are not those of the summary.
	denies := span{first: next - 5, next: next + 200, runs: []run{{next: next + 200, summary: make([]byte, 64)}}}
	if err := os.WriteFile(name(denies), denies.encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	e = open(t, smallSummaries(dir))
	writeTopics(t, e, random, 100)
	awaitSummaries(t, e)
	storagetest.CheckSkip(t, e, random, 1000)
	if slices.ContainsFunc(spansOf(t, dir), func(s span) bool { return s.first == denies.first && s.next == denies.next }) {
		t.Error("a summary of blocks that the log does not have is still there")
	}
}

// A reader for one topic in a thousand reads few blocks of many.
func TestMostBlocksAreSkippedForOneTopicOfManyThousand(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir(), CacheBytes: 1, RecentBytes: 1, runBytes: 64 << 10, MaxBlockBytes: 32 << 10, summaryStep: 64 << 10})
	const n = 40_000
	for i := range n {
		topic := fmt.Sprintf("site/%d/temperature", i/4)
		if err := e.Submit(0, storage.Unit{Records: []storage.Record{record(topic, 256)}}, func(message.Position, error) {}); err != nil {
			t.Fatal(err)
		}
	}
	<-submit(t, e, storage.Unit{})
	awaitSummaries(t, e)
	before, found := e.reads.Load(), 0
	q := summary.Ask([]string{"site/777/#", "+/5000/temperature"})
	for from := (message.Position{}); ; {
		blocks, next, err := e.ReadFor(background, 0, from, 1, 1<<40, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks {
			for _, r := range b.Records {
				if r.Message != nil && (r.Message.Topic == "site/777/temperature" || r.Message.Topic == "site/5000/temperature") {
					found++
				}
			}
		}
		if next == from {
			break
		}
		from = next
	}
	if all, read := e.Health().Blocks, e.reads.Load()-before; found != 8 || read > all/5 {
		t.Errorf("%d messages, and %d blocks of %d were read", found, read, all)
	}
}

package badger

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/storage/storagetest"
)

var background = context.Background()

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		beVictim(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, o Options) *Engine {
	t.Helper()
	e, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func closeEngine(t testing.TB, e *Engine) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func record(topic string, payloadBytes int) storage.Record {
	return storage.Record{Message: &message.Message{Topic: topic, Payload: make([]byte, payloadBytes)}}
}

func put(key, value string) storage.Op { return storage.Op{Key: []byte(key), Value: []byte(value)} }

type outcome struct {
	position message.Position
	err      error
}

// submit queues a unit and returns a channel that gets its outcome.
func submit(t testing.TB, e *Engine, u storage.Unit) <-chan outcome {
	t.Helper()
	c := make(chan outcome, 1)
	if err := e.Submit(0, u, func(p message.Position, err error) { c <- outcome{p, err} }); err != nil {
		t.Fatalf("Submit: %v", err)
	}
	return c
}

func commit(t testing.TB, e *Engine, u storage.Unit) (message.Position, error) {
	t.Helper()
	o := <-submit(t, e, u)
	return o.position, o.err
}

func mustCommit(t testing.TB, e *Engine, u storage.Unit) message.Position {
	t.Helper()
	p, err := commit(t, e, u)
	if err != nil {
		t.Fatalf("done: %v", err)
	}
	return p
}

// write commits records with these topics, each as a block of its own, and returns the last position.
func write(t testing.TB, e *Engine, topics ...string) (last message.Position) {
	t.Helper()
	for _, topic := range topics {
		last = mustCommit(t, e, storage.Unit{Records: []storage.Record{record(topic, 100)}})
	}
	return last
}

func numbered(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s/%05d", prefix, i)
	}
	return all
}

// logged is a record with its place.
type logged struct {
	position message.Position
	topic    string
}

// readAll reads the log from its first position to its end.
func readAll(t testing.TB, e *Engine, maxBytes int) []logged {
	t.Helper()
	var all []logged
	for from := e.Health().First; ; {
		blocks, next, err := e.Read(background, 0, from, maxBytes)
		if err != nil {
			t.Fatalf("Read(%v): %v", from, err)
		}
		if len(blocks) == 0 {
			return all
		}
		for _, b := range blocks {
			for i, r := range b.Records {
				all = append(all, logged{message.Position{Block: b.Seq, Index: uint32(i)}, r.Message.Topic})
			}
		}
		from = next
	}
}

func topics(all []logged) []string {
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].topic
	}
	return names
}

// healthOf is an engine's health but for what others leave of the disk.
func healthOf(e *Engine) storage.Health {
	h := e.Health()
	h.FreeBytes = 0
	return h
}

func scanAll(t testing.TB, e *Engine) map[string]string {
	t.Helper()
	all := map[string]string{}
	for kv, err := range e.Scan(background, nil) {
		if err != nil {
			t.Fatalf("Scan: %v", err)
		}
		all[string(kv.Key)] = string(kv.Value)
	}
	return all
}

func TestConformance(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Engine { return open(t, Options{Dir: t.TempDir()}) })
}

func TestConformanceWithSmallBlocks(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Engine {
		return open(t, Options{Dir: t.TempDir(), Sync: SyncKernel, MaxQueueBytes: 1 << 20, MaxBlockBytes: 1, CacheBytes: 20_000, RecentBytes: 20_000,
			SegmentBytes: 64 << 10, CheckpointBytes: 32 << 10})
	})
}

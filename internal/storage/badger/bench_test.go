package badger

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/pkg/vfs"
	"github.com/barid-mqtt/barid/pkg/wal"
)

// BenchmarkPublish has publishers that each wait for their record, 256 B and fsync, before they submit the next; ns/op
// is a record. With ops, each record changes a key of its publisher too, as QoS 2 does.
func BenchmarkPublish(b *testing.B) {
	for _, c := range []struct {
		publishers, ops int
	}{{1, 0}, {100, 0}, {1000, 0}, {1000, 1}} {
		b.Run(fmt.Sprint(c.publishers, "publishers/", c.ops, "ops"), func(b *testing.B) {
			benchmarkPublish(b, c.publishers, c.ops, Options{Dir: b.TempDir()})
		})
	}
}

func benchmarkPublish(b *testing.B, publishers, ops int, o Options) {
	e := open(b, o)
	payload := make([]byte, 256)
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var group sync.WaitGroup
	for p := range publishers {
		group.Go(func() {
			acked := make(chan struct{}, 1)
			done := func(_ message.Position, err error) {
				if err != nil {
					b.Error(err)
				}
				acked <- struct{}{}
			}
			m := &message.Message{Topic: fmt.Sprint("site/", p, "/temperature"), Payload: payload, QoS: 1, ClientID: fmt.Sprint("client-", p)}
			u := storage.Unit{ClientID: m.ClientID, Records: []storage.Record{{Message: m}}}
			for range ops {
				u.Ops = append(u.Ops, storage.Op{Key: []byte("inbound/" + m.ClientID), Value: payload[:32]})
			}
			for left.Add(-1) >= 0 {
				if err := e.Submit(0, u, done); err != nil {
					b.Error(err)
					return
				}
				<-acked
			}
		})
	}
	group.Wait()
	b.StopTimer()
	blocks := e.position().disk
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(b.N)/float64(blocks), "msg/block")
}

// BenchmarkDisk is the log on disk alone, with as much in a block as so many publishers put there.
func BenchmarkDisk(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprint(n, "records"), func(b *testing.B) {
			disk, err := wal.Open(wal.Options{FS: vfs.OS(), Dir: b.TempDir(), Sync: true, SegmentBytes: 32 << 20})
			if err != nil {
				b.Fatal(err)
			}
			defer disk.Close()
			block := make([]byte, n*310)
			for b.Loop() {
				if _, err := disk.Append(block); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// BenchmarkDrain reads stored records from disk: what sessions that come back do.
func BenchmarkDrain(b *testing.B) {
	e := open(b, Options{Dir: b.TempDir(), Sync: SyncKernel})
	const n = 200_000
	payload := make([]byte, 256)
	var group sync.WaitGroup
	for i := range n {
		m := &message.Message{Topic: fmt.Sprint("site/", i%1000, "/temperature"), Payload: payload, QoS: 1, ClientID: "client"}
		group.Add(1)
		u := storage.Unit{Records: []storage.Record{{Message: m}}}
		for e.Submit(0, u, func(message.Position, error) { group.Done() }) != nil {
			continue
		}
	}
	group.Wait()
	b.ReportAllocs()
	records := 0
	for b.Loop() {
		e.cache = newCache(e.options.CacheBytes)
		for from := (message.Position{}); ; {
			blocks, next, err := e.Read(b.Context(), 0, from, 1<<20)
			if err != nil {
				b.Fatal(err)
			}
			if len(blocks) == 0 {
				break
			}
			for _, block := range blocks {
				records += len(block.Records)
			}
			from = next
		}
	}
	b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "msg/s")
}

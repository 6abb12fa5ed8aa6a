package wal

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/pkg/vfs"
)

func BenchmarkAppend(b *testing.B) {
	for _, synced := range []bool{true, false} {
		for _, n := range []int{256, 16 << 10, 256 << 10} {
			b.Run(fmt.Sprintf("sync=%v/%dB", synced, n), func(b *testing.B) {
				l := mustOpen(b, Options{FS: vfs.OS(), Dir: b.TempDir(), Sync: synced})
				p := payloadOf(1, n)
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if _, err := l.Append(p); err != nil {
						b.Fatal(err)
					}
					if i%4096 == 4095 { // keep the disk from filling up
						if err := l.TruncateBefore(l.Next() - 1); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}

func filled(b *testing.B, blocks, n int) *Log {
	b.Helper()
	l := mustOpen(b, Options{FS: vfs.OS(), Dir: b.TempDir()})
	p := payloadOf(1, n)
	for range blocks {
		if _, err := l.Append(p); err != nil {
			b.Fatal(err)
		}
	}
	return l
}

func BenchmarkReadRandom(b *testing.B) {
	for n, blocks := range map[int]int{256: 400_000, 256 << 10: 1000} {
		b.Run(fmt.Sprintf("%dB", n), func(b *testing.B) {
			l := filled(b, blocks, n)
			rng := rand.New(rand.NewPCG(1, 1))
			var buf []byte
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				p, err := l.Read(1+rng.Uint64N(uint64(blocks)), buf)
				if err != nil {
					b.Fatal(err)
				}
				buf = p
			}
		})
	}
}

func BenchmarkScan(b *testing.B) {
	for n, blocks := range map[int]int{256: 400_000, 256 << 10: 1000} {
		b.Run(fmt.Sprintf("%dB", n), func(b *testing.B) {
			l := filled(b, blocks, n)
			b.SetBytes(int64(n) * int64(blocks))
			b.ReportAllocs()
			for b.Loop() {
				if err := l.Scan(1, func(uint64, []byte) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpen opens a log of a million blocks, after its process was killed.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{256, 4096} {
		b.Run(fmt.Sprintf("1Mx%dB", n), func(b *testing.B) {
			l := filled(b, 1_000_000, n)
			o := l.o
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
			var slowest time.Duration
			for b.Loop() {
				start := time.Now()
				l, err := Open(o)
				slowest = max(slowest, time.Since(start))
				if err != nil || l.Next() != 1_000_001 {
					b.Fatal(l.Next(), err)
				}
				_ = l.Close()
			}
			b.ReportMetric(slowest.Seconds()*1000, "slowest-ms")
		})
	}
}

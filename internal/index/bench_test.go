package index

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

const million = 1_000_000

// device stands for a session: the index holds pointers.
type device struct{ _ int64 }

// mixedFilter is filter number i of a fleet: of ten, eight are exact, one has '+' and one has '#'.
func mixedFilter(i int) string {
	switch i % 10 {
	case 8:
		return fmt.Sprintf("dev/+/state/%d", i)
	case 9:
		return fmt.Sprintf("site/%d/#", i)
	}
	return fmt.Sprintf("dev/%d/cmd", i)
}

// mixedTopic is a topic that filter number i matches.
func mixedTopic(i int) string {
	switch i % 10 {
	case 8:
		return fmt.Sprintf("dev/%d/state/%d", i/2, i)
	case 9:
		return fmt.Sprintf("site/%d/room/3", i)
	}
	return fmt.Sprintf("dev/%d/cmd", i)
}

// fleet is built once: it takes a second.
var fleet = sync.OnceValue(func() *Index[*device] {
	x := New[*device]()
	d := new(device)
	for i := range million {
		x.Add(mixedFilter(i), d)
	}
	return x
})

// coldTopics are more than the caches hold the paths of, in random order.
var coldTopics = sync.OnceValue(func() []string {
	rng := rand.New(rand.NewPCG(1, 2))
	topics := make([]string, 1<<20)
	for i := range topics {
		topics[i] = mixedTopic(rng.IntN(million))
	}
	return topics
})

func BenchmarkMatchCold(b *testing.B) {
	x, topics := fleet(), coldTopics()
	var buf [16]*device
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if len(x.Match(topics[i&(len(topics)-1)], buf[:0])) != 1 {
			b.Fatal("not one match")
		}
		i++
	}
}

// BenchmarkMatchPresentCold is the same by MatchPresent, which is what a PUBLISH is matched with.
func BenchmarkMatchPresentCold(b *testing.B) {
	x, topics := fleet(), coldTopics()
	var buf [16]*device
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if found, absent := x.MatchPresent(topics[i&(len(topics)-1)], buf[:0]); len(found) != 1 || absent != 0 {
			b.Fatal("not one match")
		}
		i++
	}
}

func BenchmarkMatchPresentHot(b *testing.B) {
	x := fleet()
	for _, i := range []int{7, 8, 9} {
		topic := mixedTopic(i)
		b.Run(mixedFilter(i), func(b *testing.B) {
			var buf [16]*device
			b.ReportAllocs()
			for b.Loop() {
				if found, _ := x.MatchPresent(topic, buf[:0]); len(found) != 1 {
					b.Fatal("not one match")
				}
			}
		})
	}
}

// BenchmarkMatchPresentOfMany matches a filter that a million have of whom ten are present.
func BenchmarkMatchPresentOfMany(b *testing.B) {
	x := New[*device]()
	devices := make([]device, million)
	for i := range devices {
		x.Add("news/+", &devices[i])
	}
	for i := range devices { // after there are many, since where there are few it makes no difference
		x.SetPresent("news/+", &devices[i], i < 10)
	}
	var buf [16]*device
	b.ReportAllocs()
	for b.Loop() {
		if found, absent := x.MatchPresent("news/today", buf[:0]); len(found) != 10 || absent != million-10 {
			b.Fatal(len(found), absent)
		}
	}
}

func BenchmarkMatchHot(b *testing.B) {
	x := fleet()
	for _, i := range []int{7, 8, 9} {
		topic := mixedTopic(i)
		b.Run(mixedFilter(i), func(b *testing.B) {
			var buf [16]*device
			b.ReportAllocs()
			for b.Loop() {
				if len(x.Match(topic, buf[:0])) != 1 {
					b.Fatal("not one match")
				}
			}
		})
	}
}

// BenchmarkMatchChurn matches random topics while another goroutine adds and removes as fast as it can.
func BenchmarkMatchChurn(b *testing.B) {
	x, topics := fleet(), coldTopics()
	stop, changes := make(chan struct{}), make(chan int)
	go func() {
		d, n := new(device), 0
		rng := rand.New(rand.NewPCG(3, 4))
		for {
			select {
			case <-stop:
				changes <- n
				return
			default:
			}
			filter := mixedFilter(rng.IntN(2 * million))
			x.Add(filter, d)
			x.Remove(filter, d)
			n += 2
		}
	}()
	var buf [16]*device
	i := 0
	for b.Loop() {
		x.Match(topics[i&(len(topics)-1)], buf[:0])
		i++
	}
	close(stop)
	b.ReportMetric(float64(<-changes)/b.Elapsed().Seconds(), "changes/s")
}

func BenchmarkAdd(b *testing.B) {
	d := new(device)
	filters := make([]string, million)
	for i := range filters {
		filters[i] = mixedFilter(i)
	}
	x := New[*device]()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i == len(filters) {
			x, i = New[*device](), 0
		}
		x.Add(filters[i], d)
		i++
	}
}

// BenchmarkAddRemove adds a second value to a random filter of a million and removes it again.
func BenchmarkAddRemove(b *testing.B) {
	x, d := fleet(), new(device)
	rng := rand.New(rand.NewPCG(5, 6))
	b.ReportAllocs()
	for b.Loop() {
		filter := mixedFilter(rng.IntN(million))
		x.Add(filter, d)
		x.Remove(filter, d)
	}
}

// BenchmarkBytesPerSubscription reports the heap that a million subscriptions take, strings included.
func BenchmarkBytesPerSubscription(b *testing.B) {
	kinds := map[string]func(int) string{
		"mixed":      mixedFilter,
		"exact":      func(i int) string { return fmt.Sprintf("dev/%d/cmd", i) },
		"wildcard":   func(i int) string { return fmt.Sprintf("site/%d/#", i) },
		"two-a-node": func(i int) string { return fmt.Sprintf("site/%d/+/%c", i/2, 'a'+i%2) },
		"one-filter": func(int) string { return "broadcast/all" },
		"ten-each":   func(i int) string { return fmt.Sprintf("room/%d", i/10) },
	}
	for kind, filter := range kinds {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				devices := make([]device, million)
				before := heap()
				x := New[*device]()
				for i := range devices {
					x.Add(filter(i), &devices[i])
				}
				b.ReportMetric(float64(heap()-before)/million, "B/subscription")
				for i := range devices {
					x.Remove(filter(i), &devices[i])
				}
				b.ReportMetric(float64(int64(heap())-int64(before))/million, "B/removed")
				runtime.KeepAlive(x)
				runtime.KeepAlive(devices)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkFanOut matches a topic with a thousand subscribers, of one filter and of a filter each.
func BenchmarkFanOut(b *testing.B) {
	for _, shape := range []string{"exact", "wildcard"} {
		b.Run(shape, func(b *testing.B) {
			x := New[*device]()
			for range 1000 {
				x.Add(map[string]string{"exact": "news/today", "wildcard": "news/+"}[shape], new(device))
			}
			buf := make([]*device, 0, 1000)
			b.ReportAllocs()
			for b.Loop() {
				if len(x.Match("news/today", buf)) != 1000 {
					b.Fatal("not all")
				}
			}
		})
	}
}

// BenchmarkManyOfOneFilter adds a subscriber to a filter that has so many, and removes another.
func BenchmarkManyOfOneFilter(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			x := New[*device]()
			devices := make([]device, n)
			for i := range devices {
				x.Add("news/today", &devices[i])
			}
			rng := rand.New(rand.NewPCG(7, 8))
			b.ReportAllocs()
			for b.Loop() {
				d := &devices[rng.IntN(n)]
				x.Remove("news/today", d)
				x.Add("news/today", d)
			}
		})
	}
}

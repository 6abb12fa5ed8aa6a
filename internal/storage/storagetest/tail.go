package storagetest

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

// tailUnderLoad has tails from the start, and others that begin in the middle of the load.
func tailUnderLoad(t *testing.T, s *suite) {
	const publishers, each = 4, 500
	early := s.tail(message.Position{})
	var late [2]*tailed
	var group sync.WaitGroup
	for p := range publishers {
		group.Go(func() {
			for i := range each {
				s.submitRetrying(unit(fmt.Sprintf("%d/%d", p, i)))
				if p < len(late) && i == each/2 {
					late[p] = s.tail(message.Position{})
				}
			}
		})
	}
	group.Wait()
	want := early.wait(t, publishers*each)
	checkTopics(t, s.readAll(message.Position{}, 1<<16), topicsOf(want))
	for _, l := range late {
		checkTopics(t, l.wait(t, len(want)), topicsOf(want))
	}
	next := make(map[string]int)
	for _, r := range want {
		var p string
		var i int
		if _, err := fmt.Sscanf(r.record.Message.Topic, "%1s/%d", &p, &i); err != nil || i != next[p] {
			t.Fatalf("publisher %s: record %d where %d was to come (%v)", p, i, next[p], err)
		}
		next[p]++
	}
}

// submitRetrying submits a unit whose outcome nobody waits for, as often as it takes.
func (s *suite) submitRetrying(u storage.Unit) {
	for {
		err := s.Submit(0, u, func(_ message.Position, err error) {
			if err != nil {
				s.t.Errorf("done: %v", err)
			}
		})
		if err == nil {
			return
		}
		if err != storage.ErrBusy {
			s.t.Errorf("Submit: %v", err)
			return
		}
	}
}

func tailFromOld(t *testing.T, s *suite) {
	topics := numbered("t", 100)
	at := s.write(topics...)
	for _, i := range []int{0, 1, 50, 99} {
		got := s.tail(at[i]).wait(t, 100-i)
		checkTopics(t, got[len(got)-(100-i):], topics[i:])
		if got[0].position.Block != at[i].Block {
			t.Errorf("a tail from %v begins with block %d", at[i], got[0].position.Block)
		}
	}
}

func tailFromComing(t *testing.T, s *suite) {
	s.write("a")
	tailed := s.tail(s.Health().Next)
	never := s.tail(message.Position{Block: math.MaxUint64})
	s.write("b", "c")
	checkTopics(t, tailed.wait(t, 2), []string{"b", "c"})
	checkTopics(t, never.wait(t, 0), nil)
}

func tailStop(t *testing.T, s *suite) {
	entered, leave := make(chan struct{}), make(chan struct{})
	var calls atomic.Int64
	stop := s.Tail(0, message.Position{}, func(storage.Block) {
		if calls.Add(1) == 1 {
			close(entered)
			<-leave
		}
	})
	s.write("a", "b", "c")
	receive(t, entered, "the tail's first block")
	stopped := make(chan struct{})
	go func() {
		stop()
		close(stopped)
	}()
	s.write("d") // commits go on while stop waits
	select {
	case <-stopped:
		t.Error("stop returned while fn was running")
	default:
	}
	close(leave)
	receive(t, stopped, "stop")
	before := calls.Load()
	other := s.tail(message.Position{})
	s.write("e")
	checkTopics(t, other.wait(t, 5), []string{"a", "b", "c", "d", "e"})
	if calls.Load() != before {
		t.Error("a stopped tail was called")
	}
	stop() // a second time is no harm
}

func slowTail(t *testing.T, s *suite) {
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	slow := &tailed{}
	slow.changed = sync.NewCond(&slow.mu)
	stop := s.Tail(0, message.Position{}, func(b storage.Block) {
		<-gate
		slow.take(b)
	})
	defer stop()
	defer open()
	topics := numbered("t", 300)
	fast := s.tail(message.Position{})
	s.write(topics...)
	checkTopics(t, fast.wait(t, 300), topics)
	open()
	checkTopics(t, slow.wait(t, 300), topics)
}

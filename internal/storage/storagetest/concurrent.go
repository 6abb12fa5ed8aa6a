package storagetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

// everythingAtOnce calls all methods from several goroutines, for the race detector, and checks what can be checked
// then: each publisher's counter in the store is where its last unit left it, and a tail that was there all along got
// every record, though others trimmed the log.
func everythingAtOnce(t *testing.T, s *suite) {
	const publishers, each = 4, 400
	var done atomic.Int64
	ended := make(chan struct{})
	var others, group sync.WaitGroup
	tailed := s.tail(message.Position{})
	for _, work := range []func(context.Context, *suite){scanOnce, readAndTrimOnce, tailOnce, claimOnce} {
		others.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
					work(context.Background(), s)
				}
			}
		})
	}
	for p := range publishers {
		group.Go(func() {
			for i := range each {
				u := unit(fmt.Sprintf("%d/%d", p, i))
				u.Ops = []storage.Op{put(fmt.Sprint("count/", p), fmt.Sprint(i))}
				s.submitCounting(u, &done)
			}
		})
	}
	group.Wait()
	s.mustCommit(storage.Unit{})
	close(ended)
	others.Wait()
	if done.Load() != publishers*each {
		t.Errorf("done was called %d times for %d units", done.Load(), publishers*each)
	}
	for p := range publishers {
		s.checkValue(fmt.Sprint("count/", p), fmt.Sprint(each-1))
	}
	if got := len(tailed.wait(t, publishers*each)); got != publishers*each {
		t.Errorf("the tail got %d records, not %d", got, publishers*each)
	}
}

func (s *suite) submitCounting(u storage.Unit, done *atomic.Int64) {
	for {
		err := s.Submit(0, u, func(_ message.Position, err error) {
			if err != nil {
				s.t.Errorf("done: %v", err)
			}
			done.Add(1)
		})
		if !errors.Is(err, storage.ErrBusy) {
			if err != nil {
				s.t.Errorf("Submit: %v", err)
			}
			return
		}
	}
}

func scanOnce(ctx context.Context, s *suite) {
	for _, err := range s.Scan(ctx, []byte("count/")) {
		if err != nil {
			s.t.Errorf("Scan: %v", err)
		}
	}
}

func readAndTrimOnce(ctx context.Context, s *suite) {
	blocks, next, err := s.Read(ctx, 0, s.Health().First, 1<<16)
	if trimmed := new(storage.TrimmedError); err != nil && !errors.As(err, &trimmed) {
		s.t.Errorf("Read: %v", err)
	}
	if len(blocks) > 1 {
		if err := s.Trim(ctx, 0, message.Position{Block: next.Block - 1}); err != nil {
			s.t.Errorf("Trim: %v", err)
		}
	}
}

func tailOnce(_ context.Context, s *suite) {
	s.Tail(0, s.Health().First, func(storage.Block) {})()
}

func claimOnce(ctx context.Context, s *suite) {
	if _, err := s.Claim(ctx, "somebody"); err != nil {
		s.t.Errorf("Claim: %v", err)
	}
}

package wal

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/barid-mqtt/barid/pkg/vfs"
)

// More segments than files may be open, readers everywhere, and the oldest going away meanwhile.
func TestReadersAndTrimmerBesideTheAppender(t *testing.T) {
	l := mustOpen(t, Options{FS: vfs.NewMem(1), Dir: dir, SegmentBytes: 4096, Sync: true})
	const blocks = 1500
	errs := make(chan error, 8)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for reader := range 3 {
		wg.Go(func() {
			var buf []byte
			for i := uint64(reader); ; i += 7 {
				select {
				case <-stop:
					return
				default:
				}
				first, next := l.First(), l.Next()
				if first == next {
					continue
				}
				seq := first + i%(next-first)
				p, err := l.Read(seq, buf)
				if errors.Is(err, ErrTrimmed) && seq < l.First() {
					continue
				}
				if err != nil || !bytes.Equal(p, payloadOf(seq, len(p))) {
					errs <- fmt.Errorf("block %d: %w", seq, err)
					return
				}
				buf = p
			}
		})
	}
	wg.Go(func() {
		for from := uint64(1); from <= blocks; {
			err := l.Scan(from, func(seq uint64, p []byte) error {
				if seq != from || !bytes.Equal(p, payloadOf(seq, len(p))) {
					return fmt.Errorf("scan: block %d instead of %d, or damaged", seq, from)
				}
				from++
				return nil
			})
			if errors.Is(err, ErrTrimmed) && from < l.First() {
				from = l.First()
			} else if err != nil {
				errs <- err
				return
			}
		}
	})
	for i := range blocks {
		mustAppend(t, l, 8+i%9*100)
		if i%100 == 99 && i > 1000 {
			if err := l.TruncateBefore(l.Next() - 700); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	wg.Wait()
	select {
	case err := <-errs:
		t.Fatal(err)
	default:
	}
	verify(t, l)
	l.openedMu.Lock()
	defer l.openedMu.Unlock()
	if n := len(l.opened); n > maxOpen {
		t.Fatalf("%d files are open, the bound is %d", n, maxOpen)
	}
}

func TestCloseBesideReaders(t *testing.T) {
	l := mustOpen(t, Options{FS: vfs.NewMem(1), Dir: dir, SegmentBytes: 4096, Sync: true})
	for range 100 {
		mustAppend(t, l, 500)
	}
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() {
			for errs[i] == nil {
				errs[i] = l.Scan(1, func(uint64, []byte) error { return nil })
			}
		})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	for _, err := range errs {
		if !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
	}
}

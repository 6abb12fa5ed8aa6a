// Package filewatch notices that files have changed. It polls: that works on every file system, also over a network,
// and through symbolic links that are swapped, as Kubernetes does with mounted secrets and config maps, and costs one
// stat a file and tick.
//
// A change is reported once the file has been the same for a whole tick, so that a file which an editor or cp is still
// writing is not read in halves, and only if its content differs from what was last reported.
package filewatch

import (
	"crypto/sha256"
	"io"
	"os"
	"sync"
	"time"
)

// Watcher watches files until Stop.
type Watcher struct {
	every time.Duration
	stop  chan struct{}
	wg    sync.WaitGroup

	mu    sync.Mutex // guards files, and is held while one is looked at and its change called
	files []*file
}

// file is one file that is watched, and how it looked.
type file struct {
	name    string
	changed func()
	last    look              // at the last tick
	settled bool              // last has been examined
	digest  [sha256.Size]byte // of the content that was last reported
}

// look is what a stat says. A file that cannot be looked at has the zero look.
type look struct {
	size     int64
	modified time.Time
	info     os.FileInfo // tells one file from another
}

// New returns a watcher that looks at its files once a tick.
func New(every time.Duration) *Watcher {
	w := &Watcher{every: every, stop: make(chan struct{})}
	w.wg.Go(w.run)
	return w
}

// Add has changed called, from the watcher's goroutine, whenever the content of a file is new. What the file holds now is
// not new. A file that vanishes changes nothing.
func (w *Watcher) Add(name string, changed func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := &file{name: name, changed: changed}
	f.last = lookAt(name)
	f.digest, f.settled = digest(name)
	w.files = append(w.files, f)
}

// Stop ends the watcher. No call is under way when it returns; it must not be called from changed.
func (w *Watcher) Stop() {
	close(w.stop)
	w.wg.Wait()
}

func (w *Watcher) run() {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
			w.mu.Lock()
			for _, f := range w.files {
				f.tick()
			}
			w.mu.Unlock()
		}
	}
}

func (f *file) tick() {
	now := lookAt(f.name)
	if !now.same(f.last) {
		f.last, f.settled = now, false
		return
	}
	if f.settled || now.info == nil {
		return
	}
	d, ok := digest(f.name)
	if !ok || !lookAt(f.name).same(now) { // it changed while it was read
		return
	}
	f.settled = true
	if d != f.digest {
		f.digest = d
		f.changed()
	}
}

func lookAt(name string) look {
	info, err := os.Stat(name)
	if err != nil {
		return look{}
	}
	return look{size: info.Size(), modified: info.ModTime(), info: info}
}

func (l look) same(o look) bool {
	if l.info == nil || o.info == nil {
		return l.info == nil && o.info == nil
	}
	return l.size == o.size && l.modified.Equal(o.modified) && os.SameFile(l.info, o.info)
}

func digest(name string) (d [sha256.Size]byte, ok bool) {
	f, err := os.Open(name)
	if err != nil {
		return d, false
	}
	defer func() { _ = f.Close() }() // only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return d, false
	}
	h.Sum(d[:0])
	return d, true
}

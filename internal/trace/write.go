package trace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// item is something for the writer: an event for some traces, or the end or removal of one.
type item struct {
	event   *Event
	payload []byte // of its message; nil: no trace wants it
	to      []*trace
	end     bool       // of the trace; without one, of the writer
	remove  chan error // the trace's files go; nil: they stay
}

// flushBytes is how much is gathered before it is written, if more is at hand.
const flushBytes = 64 << 10

// write is the goroutine that alone touches the logs. It writes what it has gathered as soon as nothing more is at hand.
func (s *Spine) write() {
	dirty := make(map[*trace]bool)
	for {
		var it item
		select {
		case it = <-s.queue:
		default:
			for t := range dirty {
				s.flush(t)
			}
			clear(dirty)
			it = <-s.queue
		}
		switch {
		case it.remove != nil:
			delete(dirty, it.to[0])
			it.remove <- it.to[0].remove()
		case it.end && it.to == nil:
			for t := range dirty {
				s.flush(t)
			}
			return
		case it.end:
			t := it.to[0]
			s.flush(t)
			delete(dirty, t)
			t.close(s)
		default:
			for _, t := range it.to {
				s.append(t, it.event, it.payload)
				dirty[t] = true
			}
		}
	}
}

// append adds an event to what is to be written, unless the log would become too long.
func (s *Spine) append(t *trace, e *Event, payload []byte) {
	if t.done { // whoever emitted it did not see that it was stopped
		return
	}
	if t.full.Load() {
		t.lost.Add(1)
		return
	}
	size := len(t.buf)
	if lost := t.lost.Load(); lost > t.told { // the queue was full
		s.line(t, &Event{At: e.At, Kind: Dropped, Count: lost - t.told, Text: "trace_queue_full: events came faster than they could be written, and this many are not in this log"}, nil)
		t.told = lost
	}
	s.line(t, e, payload)
	if t.bytes.Load()+int64(len(t.buf)) > s.opts.MaxBytes {
		t.buf = t.buf[:size]
		t.lost.Add(1)
		t.full.Store(true)
		s.opts.Log.Warn("a trace has reached trace.max_bytes and takes no more", "trace", t.Name, "bytes", t.bytes.Load()+int64(size))
	}
	if len(t.buf) >= flushBytes {
		s.flush(t)
	}
}

func (s *Spine) line(t *trace, e *Event, payload []byte) {
	if t.JSON {
		t.buf = e.appendJSON(t.buf, payload, t.Payload)
	} else {
		t.buf = e.appendText(t.buf, payload, t.Payload)
	}
	t.buf = append(t.buf, '\n')
}

// flush writes what was gathered. What cannot be written is lost, and the log says so later if it can.
func (s *Spine) flush(t *trace) {
	if len(t.buf) == 0 {
		return
	}
	n, err := t.writeOut()
	t.bytes.Add(int64(n))
	if err != nil {
		t.lost.Add(int64(strings.Count(string(t.buf), "\n")))
		s.opts.Log.Warn("a trace is not written", "trace", t.Name, "error", err)
	}
	if t.buf = t.buf[:0]; cap(t.buf) > 2*flushBytes {
		t.buf = nil
	}
}

func (t *trace) writeOut() (n int, err error) {
	if t.file == nil {
		if t.file, err = os.OpenFile(t.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600); err != nil {
			return 0, err
		}
	}
	return t.file.Write(t.buf)
}

// close ends the log, and says in it what it does not have.
func (t *trace) close(s *Spine) {
	t.done = true
	if lost := t.lost.Load(); lost > t.told && !t.full.Load() {
		s.line(t, &Event{At: time.Now(), Kind: Dropped, Count: lost - t.told, Text: "trace_queue_full: events came faster than they could be written, and this many are not in this log"}, nil)
		t.told = lost
		s.flush(t)
	}
	if t.file == nil {
		return
	}
	if err := t.file.Close(); err != nil {
		s.opts.Log.Warn("a trace is not closed", "trace", t.Name, "error", err)
	}
	t.file = nil
}

// remove removes the files of a trace.
func (t *trace) remove() (err error) {
	t.done = true
	if t.file != nil {
		err = t.file.Close()
		t.file = nil
	}
	t.buf = nil
	for _, name := range []string{t.path, strings.TrimSuffix(t.path, logSuffix) + metaSuffix} {
		if e := os.Remove(name); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, fmt.Errorf("removing a trace: %w", e))
		}
	}
	return err
}

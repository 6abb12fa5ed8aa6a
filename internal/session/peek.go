package session

import (
	"iter"

	"github.com/barid-mqtt/barid/internal/message"
)

// OldestQueued returns the earliest place in the log of what waits in the queue; ok is false if nothing there is from the log.
// Whoever trims the log must not pass that place, since Detach sends the session back to it. What a group or a stream gave
// does not count.
func (s *Session) OldestQueued() (oldest message.Position, ok bool) {
	for i := range s.q.n {
		pos := s.q.at(i).Position
		if pos.IsZero() || s.q.at(i).Group != nil {
			continue
		}
		if !ok || pos.Less(oldest) {
			oldest, ok = pos, true
		}
	}
	return oldest, ok
}

// OldestOf is the same for what a group, or a stream's follower, gave.
func (s *Session) OldestOf(group any) (oldest message.Position, ok bool) {
	for i := range s.q.n {
		if d := s.q.at(i); d.Group == group && (!ok || d.Position.Less(oldest)) {
			oldest, ok = d.Position, true
		}
	}
	return oldest, ok
}

// QueuedDeliveries lists what waits in the queue, in order. Nothing may be changed meanwhile.
func (s *Session) QueuedDeliveries() iter.Seq[*Delivery] {
	return func(yield func(*Delivery) bool) {
		for i := range s.q.n {
			if !yield(s.q.at(i)) {
				return
			}
		}
	}
}

// Idle reports whether the session holds nothing in either direction but the identifier that was assigned last.
func (s *Session) Idle() bool { return s.out.n == 0 && s.q.n == 0 && s.in.ids.n == 0 }

// Window returns how many deliveries may be unacknowledged on this connection, and whether another one may be.
func (s *Session) Window() (size int, open bool) { return s.window, s.room() }

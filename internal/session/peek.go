package session

import "github.com/barid-mqtt/barid/internal/message"

// OldestQueued returns the earliest place in the log, not before floor, of what waits in the queue; ok is false if
// nothing there is from so far in the log. Whoever trims the log must not pass that place, since Detach sends the session
// back to it.
func (s *Session) OldestQueued(floor message.Position) (oldest message.Position, ok bool) {
	for i := range s.q.n {
		pos := s.q.at(i).Position
		if pos.IsZero() || pos.Less(floor) {
			continue
		}
		if !ok || pos.Less(oldest) {
			oldest, ok = pos, true
		}
	}
	return oldest, ok
}

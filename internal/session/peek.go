package session

import "github.com/barid-mqtt/barid/internal/message"

// OldestQueued returns the earliest place in the log of what waits in the queue; ok is false if nothing there is from
// the log. A reader of the log that trims it must not pass that place, since Detach sends the session back to it.
func (s *Session) OldestQueued() (oldest message.Position, ok bool) {
	for i := range s.q.n {
		pos := s.q.at(i).Position
		if pos.IsZero() {
			continue
		}
		if !ok || pos.Less(oldest) {
			oldest, ok = pos, true
		}
	}
	return oldest, ok
}

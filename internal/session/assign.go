package session

import "slices"

// What a shared group assigns has to be kept before it is sent, so that nobody else gets it after a crash. Assign gives a
// delivery its identifier and its place in the window, Kept lets Next send it, and TakeUnsent takes back what was not
// sent by then. A group waits for room in the window rather than in the queue, so that no member hoards what
// others could have.

// Assignable reports whether Assign would take a delivery.
func (s *Session) Assignable() bool {
	if !s.attached || s.out.n >= s.window {
		return false
	}
	return s.opts.GroupIDs == 0 || s.out.n < s.opts.GroupIDs
}

// Assign puts a delivery of QoS 1 or 2 in flight without sending it: Kept must follow. ok is false if there is no room.
//
// Its identifier is one of Options.GroupIDs, so that what a group does has no part in which identifiers the session's
// other deliveries get: those follow from their order, and come back the same after a crash.
func (s *Session) Assign(d *Delivery) (id uint16, ok bool) {
	if !s.Assignable() {
		return 0, false
	}
	if kept := s.opts.GroupIDs; kept > 0 {
		id = s.out.nextGroupID(kept)
	} else {
		id = s.out.nextID(0)
	}
	d.Message.Hold()
	s.out.add(id, d).unsent = true
	s.out.unsent++
	return id, true
}

// Kept says that an assigned delivery is kept, so that Next may send it. It returns false, and does nothing, if d was
// taken back meanwhile.
func (s *Session) Kept(id uint16, d *Delivery) bool {
	e := s.out.get(id)
	if e == nil || !e.unsent || e.Message != d.Message || e.Position != d.Position {
		return false
	}
	s.out.fresh = append(s.out.fresh, id)
	return true
}

// sendReady sends the first that is ready.
func (s *Session) sendReady() (send Send) {
	out := &s.out
	id := out.fresh[0]
	if out.fresh = out.fresh[1:]; len(out.fresh) == 0 {
		out.fresh = nil
	}
	e := out.get(id)
	e.unsent = false
	out.unsent--
	return Send{Kind: SendPublish, PacketID: id, Delivery: e.Delivery}
}

// TakeUnsent removes and returns, in order, what was assigned, is not sent yet, and matches. Call it with a match for
// everything before Detach.
func (s *Session) TakeUnsent(match func(Delivery) bool) (taken []InFlight) {
	out := &s.out
	if out.unsent == 0 {
		return nil
	}
	for i := out.first; i != none; {
		e := &out.slots[i]
		i = e.next
		if e.unsent && match(e.Delivery) {
			taken = append(taken, InFlight{PacketID: e.id, Delivery: e.Delivery})
			out.remove(e.id)
		}
	}
	out.fresh = slices.DeleteFunc(out.fresh, func(id uint16) bool { return out.get(id) == nil })
	return taken
}

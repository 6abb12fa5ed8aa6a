package broker

import (
	"testing"

	"github.com/barid-mqtt/barid/internal/message"
)

func at(block uint64, index uint32) message.Position {
	return message.Position{Block: block, Index: index}
}

func TestCursorJoinsTheTailOnlyWhereNothingWasDispatched(t *testing.T) {
	for _, c := range []struct {
		name  string
		next  message.Position
		begun uint64
		live  bool
	}{
		{"the next block is still to be dispatched", at(5, 0), 5, true},
		{"earlier blocks are still to be dispatched too", at(5, 0), 3, true},
		{"the next block was dispatched without the reader", at(5, 0), 6, false},
	} {
		r := cursor{next: at(4, 2)}
		if got := r.join(c.next, func() uint64 { return c.begun }); got != c.live || r.live != c.live {
			t.Errorf("%s: join = %v, live = %v", c.name, got, r.live)
		}
		if r.next != c.next {
			t.Errorf("%s: next = %v, want %v", c.name, r.next, c.next)
		}
	}
}

func TestCursorLooksAtDispatchOnlyOnceItIsLive(t *testing.T) {
	r := cursor{}
	r.join(at(5, 0), func() uint64 {
		if !r.live {
			t.Error("dispatch was looked at first: a block that it begins now would be lost")
		}
		return 5
	})
}

func TestCursorThatLeavesReadsTheBlockBeingDispatchedAgain(t *testing.T) {
	for _, c := range []struct {
		name  string
		next  message.Position
		begun uint64
		want  message.Position
	}{
		{"nothing of the block was taken", at(3, 0), 8, at(7, 0)},
		{"a part of the block was taken", at(7, 2), 8, at(7, 2)},
		{"it has read beyond what was dispatched", at(9, 0), 8, at(9, 0)},
		{"nothing was ever dispatched", at(0, 0), 0, at(0, 0)},
	} {
		r := cursor{live: true, next: c.next}
		r.leave(c.begun)
		if r.live || r.next != c.want {
			t.Errorf("%s: left at %v, want %v", c.name, r.next, c.want)
		}
	}
	r := cursor{next: at(2, 1)}
	if r.leave(9); r.next != at(2, 1) {
		t.Errorf("a reader that lags moved to %v", r.next)
	}
}

func TestCursorRewindsOnlyBack(t *testing.T) {
	r := cursor{next: at(4, 4)}
	if r.rewind(at(4, 5)); r.next != at(4, 4) {
		t.Errorf("went forward to %v", r.next)
	}
	if r.rewind(at(4, 1)); r.next != at(4, 1) {
		t.Errorf("stayed at %v", r.next)
	}
}

// A turn reads the log from where the reader stood. If the reader is moved back meanwhile, since its connection ended with
// something unsent, what the turn has read comes too early.
func TestCursorThatWasMovedBackEndsItsTurn(t *testing.T) {
	r := cursor{next: at(9, 0)}
	r.rewind(at(4, 2))
	if r.join(at(12, 0), func() uint64 { return 12 }) || r.live || r.next != at(4, 2) {
		t.Errorf("it joined the tail at %v, past what it has not got", r.next)
	}
}

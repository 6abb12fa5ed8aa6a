package message

import (
	"sync"
	"sync/atomic"
)

// A frame is a message whose memory is used again. Most messages live for a moment: from the read that brought them to
// the write, or the acknowledgement, of the last subscriber. A frame counts who holds it, and goes back to a pool when
// nobody does, so that publishing allocates nothing.
//
// New makes a frame, held once. Whoever keeps it beyond the call that gave it to them holds it (Hold), and releases it
// exactly once (Release). Whoever cannot say for how long calls Keep, and the garbage collector takes care of it: a
// message that goes into the log or becomes retained is kept. Not to release a frame costs its reuse and nothing else.
//
// Built with the tag framecheck, a frame is never used again, and releasing it twice, holding it or using it after the
// last release panics.
type frame struct {
	Message
	refs  atomic.Int32
	class int8
	store []byte
}

// frameClasses are the sizes of memory that frames come with; larger messages are not used again.
var frameClasses = [...]int{16, 64, 128, 256, 384, 512, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10}

var framePools [len(frameClasses)]sync.Pool

// keptRefs is more than releases can take away.
const keptRefs = 1 << 30

// New returns an empty message that its caller holds, and room for n bytes of payload and properties, which live as
// long as the message.
func New(n int) (m *Message, room []byte) {
	for class, size := range frameClasses {
		if n > size {
			continue
		}
		f, _ := framePools[class].Get().(*frame)
		if f == nil {
			f = &frame{class: int8(class), store: make([]byte, 0, size)}
		}
		f.frame = f
		f.refs.Store(1)
		return &f.Message, f.store
	}
	return new(Message), make([]byte, 0, n)
}

// Hold keeps a frame until Release. For other messages, and for nil, all three do nothing.
func (m *Message) Hold() {
	if m == nil || m.frame == nil {
		return
	}
	if n := m.frame.refs.Add(1); frameCheck && n <= 1 {
		panic("message: held after its last release")
	}
}

// Release ends one hold. The caller does not touch the message any more.
func (m *Message) Release() {
	if m == nil || m.frame == nil {
		return
	}
	f := m.frame
	n := f.refs.Add(-1)
	if frameCheck && n < 0 {
		panic("message: released more often than held")
	}
	if n == 0 {
		f.recycle()
	}
}

// Keep leaves a frame to the garbage collector, once and for all.
func (m *Message) Keep() {
	if m != nil && m.frame != nil && m.frame.refs.Load() < keptRefs/2 {
		m.frame.refs.Add(keptRefs)
	}
}

// Copy returns another message with the same bytes, which is the garbage collector's, as m has to be from now on.
func (m *Message) Copy() *Message {
	m.Keep()
	c := *m
	c.frame = nil
	return &c
}

// Check panics, with the tag framecheck, if nobody holds the message any more.
func (m *Message) Check() {
	if frameCheck && m != nil && m.frame != nil && m.frame.refs.Load() <= 0 {
		panic("message: used after its last release")
	}
}

func (f *frame) recycle() {
	if frameCheck {
		poison := f.store[:cap(f.store)]
		for i := range poison {
			poison[i] = 0xDB
		}
		return
	}
	f.Message = Message{}
	framePools[f.class].Put(f)
}

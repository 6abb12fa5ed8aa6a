package router

import (
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

// Waiter is a publisher that has to hear when its message is committed.
type Waiter interface {
	// Wait is called when a message is about to be submitted. If waits is true, Committed is called once, after the commit,
	// by the engine, perhaps before Publish returns, with what Wait returned.
	Wait() (p Pending, waits bool)
	Committed(p Pending, code mqtt.ReasonCode)
	// Unwait takes the last Wait back: the message could not be submitted.
	Unwait()
}

// Pending is what a waiter has to know of a message to find it again. The router does not look at it.
type Pending struct {
	Ticket   uint64
	PacketID uint16
	QoS      mqtt.QoS
	Read     time.Duration  // when it was read, by the waiter's clock
	Trace    *message.Trace // nil: nobody follows it
}

// submission is a message on its way through the engine. It is used again, so that a commit costs no memory besides the
// message's.
type submission struct {
	Publication
	router  *Router
	log     bool // it is for the log
	code    mqtt.ReasonCode
	pending Pending
	waits   bool
	record  [1]storage.Record
	done    func(message.Position, error) // settle, made once
}

func (s *submission) recycle() {
	r := s.router
	*s = submission{done: s.done}
	r.submissions.Put(s)
}

// submit commits the message, if it is for the log, its retained copy and the state that goes with it. The waiter hears
// code if that succeeds.
func (r *Router) submit(p Publication, log bool, code mqtt.ReasonCode) error {
	s, _ := r.submissions.Get().(*submission)
	if s == nil {
		s = new(submission)
		s.done = s.settle
	}
	s.Publication, s.router, s.log, s.code = p, r, log, code
	u := storage.Unit{Ops: p.Ops}
	if log {
		s.record[0] = storage.Record{Message: p.Message, PacketID: p.PacketID}
		u.Records = s.record[:]
	}
	if p.Waiter != nil {
		s.pending, s.waits = p.Waiter.Wait()
	}
	waits := s.waits
	err := r.opts.Engine.Submit(0, u, s.done) // after which s may have been used again
	if err != nil {
		s.recycle()
		if waits {
			p.Waiter.Unwait()
		}
	}
	return err
}

// settle tells what became of the commit.
func (s *submission) settle(pos message.Position, err error) {
	r, p, log, code, pending, waits := s.router, s.Publication, s.log, s.code, s.pending, s.waits
	s.recycle()
	if err == nil && p.Message.Retain {
		if err := r.opts.Retained.Set(p.Message, pos); err != nil {
			code = mqtt.QuotaExceeded
			r.opts.Metrics.Hit(limitOf(err))
			r.tellNotRetained(p.Message, err)
		}
	}
	if err != nil && p.Refused != nil {
		p.Refused(func() error { return r.submit(p, log, code) })
		return
	}
	if err != nil {
		code = CodeOf(err)
		r.drop(message.DropLogFull, p.Message, time.Now())
	} else if log {
		r.opts.Metrics.Logged.Inc()
		r.tellStored(p.Message)
	}
	if waits {
		p.Waiter.Committed(pending, code)
	}
}

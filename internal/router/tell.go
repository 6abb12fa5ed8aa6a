package router

import (
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/trace"
	"github.com/barid-mqtt/barid/mqtt"
)

// This file is what the router tells of messages: to the metrics, and to who traces them or remembers them.

// toldSubscribers is how many subscribers of a message are named.
const toldSubscribers = 20

// tellRouted tells who gets a message.
func (r *Router) tellRouted(w *trace.Watch, b *conn.Batch, m *message.Message, s *scratch, logged bool) {
	w.Message(trace.Routed, m, "", nil, b.Now, func(e *trace.Event) {
		e.Count = int64(len(s.targets) + s.absent)
		for i := range s.targets {
			if i == toldSubscribers {
				e.List = append(e.List, "…")
				break
			}
			if n, ok := s.targets[i].to.(interface{ Name() string }); ok {
				e.List = append(e.List, n.Name())
			}
		}
		switch {
		case len(s.targets)+s.absent == 0:
			e.Text = "nobody subscribes to it"
		case logged:
			e.Text = "it goes through the log, since a durable session gets it"
		}
	})
}

// tellStored tells that a message is in the log.
func (r *Router) tellStored(m *message.Message) {
	if w := r.opts.Trace.Watch(); w != nil {
		w.Message(trace.Stored, m, "", nil, time.Now(), nil)
	}
}

// tellNotRetained remembers that a message went to its subscribers, and was not kept for those to come.
func (r *Router) tellNotRetained(m *message.Message, err error) {
	r.opts.Trace.Note(trace.Refused, message.DropLimit, m.ClientID, m, time.Now(), 1, func(e *trace.Event) {
		e.Code, e.HasCode, e.Text = mqtt.QuotaExceeded, true, "it went to its subscribers, and is not retained: "+err.Error()
	})
}

// drop counts a message that goes no further.
func (r *Router) drop(reason message.DropReason, m *message.Message, at time.Time) {
	r.opts.Metrics.Drop(reason, 1)
	r.opts.Trace.Note(trace.Dropped, reason, "", m, at, 1, nil)
}

// dropAbsent counts the copies of a QoS 0 message that sessions without a connection do not get. Who they are is not looked
// up: there may be a million of them.
func (r *Router) dropAbsent(m *message.Message, at time.Time, n int64) {
	r.opts.Metrics.Drop(message.DropOffline, n)
	r.opts.Trace.Note(trace.Dropped, message.DropOffline, "", m, at, n, func(e *trace.Event) {
		e.Count, e.Text = n, "so many sessions without a connection subscribe to it"
	})
}

package router

import (
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

// dispatch gives a committed block to the durable subscribers that keep up, and what waited for its commit to the
// others. It runs on the engine's goroutine for this tail.
func (r *Router) dispatch(blk storage.Block) {
	// Whoever joins the tail from here on has read this block from the log, and whoever joined before gets it below.
	r.begun.Store(blk.Seq + 1)
	b := conn.NewBatch()
	b.Now = time.Now()
	for i, rec := range blk.Records {
		r.dispatchRecord(b, Record{message.Position{Block: blk.Seq, Index: uint32(i)}, rec.Message})
	}
	b.Flush(r.opts.Metrics)
}

func (r *Router) dispatchRecord(b *conn.Batch, rec Record) {
	s := r.matchAt(rec.Message.Topic, rec.Position)
	defer s.release()
	if len(s.targets) > 0 {
		r.opts.Metrics.Tail.Observe(b.Now.Sub(rec.Message.PublishedAt))
	}
	for i := range s.targets {
		t := &s.targets[i]
		subs := s.subs[t.from:t.to2]
		switch {
		case t.logged(rec.Message.QoS):
			t.to.Tail(b, rec, subs)
		case rec.Message.QoS == mqtt.ExactlyOnce:
			t.to.Deliver(b, rec.Message, subs)
		}
	}
}

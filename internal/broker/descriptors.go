package broker

import (
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/listener"
	"github.com/barid-mqtt/barid/internal/metrics"
)

// This file keeps connections from taking the descriptors that the storage and all else in the process need.

const (
	// descriptorReserve is what is kept for files, at least; otherwise a twentieth of what the process may have.
	descriptorReserve = 64
	// descriptorsCalm is for how long no connection may have been closed before the alarm is over.
	descriptorsCalm = 10 * time.Second
)

// descriptors is what is known of the process's limit.
type descriptors struct {
	limit uint64      // static; 0: there is none, or it is not known
	most  uint64      // static; a connection's descriptor is below it; 0: no limit
	hit   atomic.Bool // a connection was closed since the last look
	last  time.Time   // of such a look; owned by the timers' goroutine
}

func newDescriptors(limit uint64) descriptors {
	if limit == 0 {
		return descriptors{}
	}
	return descriptors{limit: limit, most: limit - max(limit/20, min(descriptorReserve, limit/2))}
}

// log says how many connections there can be. Go's runtime has raised the soft limit to the hard one.
func (d *descriptors) log(log *slog.Logger) {
	if d.limit > 0 {
		log.Info("limit of descriptors", "descriptors", d.limit, "for_connections", d.most)
	}
}

// HasDescriptorFor reports whether a connection of another server, such as the HTTP API's, leaves the reserve alone.
func (b *Broker) HasDescriptorFor(c net.Conn) bool {
	if most := b.descriptors.most; most == 0 || listener.Descriptor(c) < most {
		return true
	}
	b.countProblem(listener.MaxDescriptors)
	return false
}

// CountCrowdedAPI counts a connection of the HTTP API that was closed to make room for another.
func (b *Broker) CountCrowdedAPI() { b.metrics.Hit(metrics.LimitAPIConnections) }

// countProblem counts a connection that a listener turned away.
func (b *Broker) countProblem(why listener.Reason) {
	switch why {
	case listener.MaxConnections:
		b.metrics.Hit(metrics.LimitListenerConnections)
	case listener.MaxHandshakes:
		b.metrics.Hit(metrics.LimitHandshakes)
	case listener.MaxDescriptors:
		b.metrics.Hit(metrics.LimitDescriptors)
		b.descriptors.hit.Store(true)
	}
}

// watchDescriptors raises the alarm when a connection was closed for its descriptor, and clears it a while after the
// last one.
func (b *Broker) watchDescriptors(now time.Time) {
	d := &b.descriptors
	if d.hit.Swap(false) {
		d.last = now
	}
	b.alarms.Set(descriptorsAlarm, !d.last.IsZero() && now.Sub(d.last) < descriptorsCalm,
		fmt.Sprintf("the process may have %d descriptors, and those for connections are taken: new ones are closed; raise the limit (ulimit -n, LimitNOFILE)", d.limit),
		map[string]any{"limit": d.limit, "for_connections": d.most})
}

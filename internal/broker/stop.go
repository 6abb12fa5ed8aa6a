package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/mqtt"
)

const (
	// afterAbort is how much of the time for a stop is kept for what follows the connections. Those that are left by then,
	// whose clients do not take what they are sent, are cut off.
	afterAbort = 3 * time.Second
	// lastChance is for what ends while the time runs out: time that others used up is nobody's failure.
	lastChance = 500 * time.Millisecond
)

// Stop closes the listeners and all connections, version 5 clients told that the server is shutting down, and then
// everything else. Connections whose clients do not read are cut off in time before ctx is done.
func (b *Broker) Stop(ctx context.Context) error {
	b.mu.Lock()
	if b.stopped {
		b.mu.Unlock()
		return nil
	}
	b.stopped = true
	conns := make([]*conn.Conn, 0, len(b.conns))
	for c := range b.conns {
		conns = append(conns, c)
	}
	b.mu.Unlock()
	b.listening.Lock()
	err := b.closeListeners()
	b.listening.Unlock()
	for _, c := range conns {
		c.Close(mqtt.ServerShuttingDown, "the server is shutting down")
		c.FlushSoon()
	}
	b.memory.Stop()
	b.cancel()
	err = errors.Join(err, b.closeAdmin())
	err = errors.Join(err, b.endConnections(ctx))
	b.timers.close()
	b.stopKeeper()
	b.keepAlive.Stop()
	if b.streams != nil {
		b.streams.Close()
	}
	err = errors.Join(err, b.engine.Close())
	err = errors.Join(err, wait(ctx, &b.tasks, "tasks")) // now that nobody is left who could ask for one
	err = errors.Join(err, b.access.close())
	b.router.Close()
	if b.loops != nil {
		b.loops.Stop()
	}
	b.flusher.Stop()
	b.trace.Close() // nobody is left who has something to tell
	b.tracer.Close(ctx)
	return err
}

// endConnections waits for the connections, which are closing, and cuts off those that take too long.
func (b *Broker) endConnections(ctx context.Context) error {
	const what = "connections"
	deadline, ok := ctx.Deadline()
	if !ok {
		return wait(ctx, &b.wg, what)
	}
	early, cancel := context.WithDeadline(ctx, deadline.Add(-afterAbort))
	defer cancel()
	if wait(early, &b.wg, what) == nil {
		return nil
	}
	b.mu.Lock()
	left := make([]net.Conn, 0, len(b.conns))
	for _, nc := range b.conns {
		left = append(left, nc)
	}
	b.mu.Unlock()
	for _, nc := range left {
		abort(nc)
	}
	b.log.Warn("connections were cut off: their clients did not take what they were sent", "connections", len(left))
	return wait(ctx, &b.wg, what)
}

// abort closes a connection without any goodbye.
func abort(nc net.Conn) {
	if a, ok := nc.(interface{ Abort() error }); ok {
		_ = a.Abort() // fails only if it is closed
		return
	}
	_ = nc.Close()
}

// wait waits for a group, until a moment after ctx is done.
func wait(ctx context.Context, wg *sync.WaitGroup, what string) error {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	t := time.NewTimer(lastChance)
	defer t.Stop()
	select {
	case <-done:
		return nil
	case <-t.C:
		return fmt.Errorf("%s did not end in time: %w", what, ctx.Err())
	}
}

package broker

import (
	"context"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
)

// ConsumerInfo describes a consumer.
type ConsumerInfo struct {
	Name    string
	Created time.Time
	Config  ConsumerConfig
	// Position is where it reads on: what matches and is before it was given out, or is waiting to be.
	Position  message.Position
	Lag       int  // messages that were not given to anybody yet
	LagExact  bool // if not, there are at least so many
	InFlight  int  // given out and not acknowledged, or waiting to be given again
	Leased    int  // of those, how many nobody else gets now
	Waiting   int  // requests that wait
	Counters  ConsumerCounters
	InHistory bool // it still reads what a stream has from before the consumer was made
}

// ConsumerCounters rise from the start of the process on.
type ConsumerCounters struct{ Delivered, Redelivered, Acknowledged, Returned, DeadLettered uint64 }

// ConsumerConfig returns what a consumer is told to do, or ErrNoConsumer. It costs next to nothing, where Consumer may read
// megabytes of the log to count the lag.
func (b *Broker) ConsumerConfig(name string) (ConsumerConfig, error) {
	c := b.consumers.get(name)
	if c == nil {
		return ConsumerConfig{}, ErrNoConsumer
	}
	c.group.mu.Lock()
	defer c.group.mu.Unlock()
	return c.doc.Config, nil
}

// Consumer describes a consumer, or returns ErrNoConsumer.
func (b *Broker) Consumer(ctx context.Context, name string) (ConsumerInfo, error) {
	c := b.consumers.get(name)
	if c == nil {
		return ConsumerInfo{}, ErrNoConsumer
	}
	return c.info(ctx, lagBytes), nil
}

// Consumers describes all, by name. The lag of those that are far behind may be counted in part.
func (b *Broker) Consumers(ctx context.Context) []ConsumerInfo {
	infos := []ConsumerInfo{}
	for _, c := range b.consumers.all() {
		infos = append(infos, c.info(ctx, lagReadBytes))
	}
	return infos
}

func (c *consumer) info(ctx context.Context, budget int64) ConsumerInfo {
	g := c.group
	g.mu.Lock()
	now := c.broker.clock.Now()
	c.collect(now)
	i := ConsumerInfo{
		Name: c.doc.Name, Created: c.doc.Created, Config: c.doc.Config, Position: g.place(), Lag: len(g.queue), InFlight: c.account.n,
		Leased: c.account.n - len(c.ready) - len(c.dead), Waiting: len(c.pollers), Counters: c.counters, InHistory: c.inHistory(g.cursor.next),
	}
	live, from := g.cursor.live, g.logNext()
	i.Lag += int(g.shelf.messages)
	i.LagExact = live
	g.mu.Unlock()
	if live || i.InHistory {
		return i
	}
	n, exact, err := g.countFrom(ctx, from, &budget)
	i.Lag, i.LagExact = i.Lag+int(n), exact && err == nil
	return i
}

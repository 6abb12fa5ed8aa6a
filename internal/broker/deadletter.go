package broker

import (
	"context"
	"strconv"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

// This file takes messages that a consumer gave out as often as it may to the topic for such, once their last lease has run
// out. It happens within a second, whether somebody asks the consumer or not.

const (
	buryBatch = 64               // messages that are published before the first is waited for
	buryRetry = 10 * time.Second // after one was refused
)

// buries reports whether there are dead letters that nobody takes away, and somebody is to now. The caller holds g.mu.
func (c *consumer) buries(now time.Time) bool {
	if len(c.dead) == 0 || c.burying || c.ended || now.Before(c.buryAt) {
		return false
	}
	c.burying = true
	return true
}

// letter is a message on its way to the dead letters.
type letter struct {
	Leased
	under *injection // where its commit is waited for
	code  mqtt.ReasonCode
	err   error
	ended bool // without becoming one
}

// bury takes all dead letters away, until one is refused: then the rest waits.
func (c *consumer) bury(ctx context.Context) {
	for {
		letters, topic := c.collectDead()
		if len(letters) == 0 {
			return
		}
		if left := c.buryAll(ctx, topic, letters); len(left) > 0 {
			c.unburied(left)
			return
		}
	}
}

// collectDead takes some of the dead; without any, nobody takes them away any more.
func (c *consumer) collectDead() (letters []letter, topic string) {
	c.group.mu.Lock()
	defer c.group.mu.Unlock()
	n := min(len(c.dead), buryBatch)
	for _, pos := range c.dead[:n] {
		letters = append(letters, letter{Leased: Leased{Position: pos, Deliveries: c.entry(pos).lease.deliveries}})
	}
	if c.dead = c.dead[n:]; n == 0 {
		c.dead, c.burying = nil, false
	}
	return letters, c.doc.Config.DeadLetterTopic
}

// unburied keeps what could not be taken away for later.
func (c *consumer) unburied(left []message.Position) {
	c.group.mu.Lock()
	defer c.group.mu.Unlock()
	for _, pos := range left {
		if e := c.entry(pos); e != nil {
			c.free(e)
		}
	}
	c.sortFree()
	c.burying, c.buryAt = false, time.Now().Add(buryRetry)
}

// buryAll publishes messages as dead letters, and ends them. After a crash in between they are published twice. It returns
// those that were not taken.
func (c *consumer) buryAll(ctx context.Context, topic string, letters []letter) (left []message.Position) {
	var blk storage.Block
	for i := range letters {
		c.post(ctx, topic, &letters[i], &blk)
	}
	for i := range letters {
		l := &letters[i]
		if l.under != nil {
			l.code, l.err = l.under.wait(ctx)
		}
		switch failed := l.err != nil || l.code.Failed(); {
		case failed && ctx.Err() == nil:
			c.broker.log.Warn("a dead letter was not taken; it is tried again", "consumer", c.doc.Name, "topic", topic, "code", l.code, "error", l.err)
			left = append(left, l.Position)
		case failed:
			left = append(left, l.Position)
		case !l.ended:
			c.buried(l)
		}
	}
	c.group.mu.Lock()
	defer c.group.mu.Unlock()
	c.wakeAll() // there is room, or one of them held up those after it
	return left
}

// post publishes a message as a dead letter, or ends it where there is none to be.
func (c *consumer) post(ctx context.Context, topic string, l *letter, blk *storage.Block) {
	if l.Message, l.err = c.read(ctx, l.Position, blk); l.err != nil {
		return
	}
	why := message.DropMaxDeliver
	switch {
	case l.Message == nil:
		why = c.gone(l.Position)
	case c.broker.expired(l.Message, time.Now()):
		why = message.DropExpired
	case topic != "":
		l.under, l.code, l.err = c.broker.handOver(ctx, c.deadLetter(topic, &l.Leased))
		return
	}
	c.drop(&l.Leased, why)
	l.ended = true
}

// buried ends a message that is a dead letter now.
func (c *consumer) buried(l *letter) {
	c.group.mu.Lock()
	defer c.group.mu.Unlock()
	if c.finish(l.Position) {
		c.counters.DeadLettered++
		c.counted(metrics.ConsumedDeadLettered, 1)
	}
}

// deadLetter is a message as it goes to the topic for those that nobody acknowledged: as it was, and user properties that
// say where it comes from.
func (c *consumer) deadLetter(topic string, l *Leased) *message.Message {
	m := l.Message.Copy()
	m.Topic, m.QoS, m.Retain, m.PublishedAt = topic, mqtt.AtLeastOnce, false, time.Now()
	p, err := mqtt.DecodeForward(l.Message.Properties)
	if err != nil {
		p = mqtt.PublishProperties{} // checked when it came in
	}
	user := append(mqtt.UserProperties(nil), p.User...)
	for _, kv := range [][2]string{
		{"dead-letter-consumer", c.doc.Name}, {"dead-letter-topic", l.Message.Topic}, {"dead-letter-id", Position(l.Position)},
		{"dead-letter-deliveries", strconv.FormatUint(uint64(l.Deliveries), 10)},
	} {
		user = mqtt.AppendUserProperty(user, kv[0], kv[1])
	}
	p.User = user
	m.Properties = p.AppendForward(nil)
	return m
}

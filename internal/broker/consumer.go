package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/stream"
)

// A consumer of the HTTP API is a declared group whose members are requests. It reads the log as other groups do, at every
// QoS, and its account says what was given out and not acknowledged (leases.go). Requests take from it on goroutines of
// their own (poll.go); what they are given is kept before it is answered, and so is what they acknowledge.
//
// What a consumer is, is a document; its place and its account are the group's, in the same commits.

const (
	consumerKind   = "consumer"   // of the documents
	consumerPrefix = "$consumer/" // of the names of their groups; no share has a slash in its name
)

// What is wrong with a consumer. Match them with errors.Is.
var (
	ErrNoConsumer       = errors.New("there is no such consumer")
	ErrTooManyConsumers = errors.New("there are as many consumers as may be")
	ErrTooManyWaiting   = errors.New("as many requests wait for messages as may")
)

// ConsumerConfig is what a consumer is told to do.
type ConsumerConfig struct {
	Filters         []string      `json:"filters"`
	Start           string        `json:"start"` // where it began; later it means nothing
	AckWait         time.Duration `json:"ack_wait"`
	MaxDeliver      uint32        `json:"max_deliver"` // 0: no limit
	DeadLetterTopic string        `json:"dead_letter_topic"`
	IdleExpiry      time.Duration `json:"idle_expiry"` // 0: never
	Push            *Push         `json:"push,omitempty"`
	Owner           string        `json:"owner"` // the application that made it; "": an administrator
}

// Push says where a consumer's messages are sent.
type Push struct {
	URL         string            `json:"url"`
	Headers     map[string]string `json:"headers,omitempty"`
	Secret      string            `json:"secret,omitempty"`
	Concurrency int               `json:"concurrency"` // 1: one after the other, in order
	Timeout     time.Duration     `json:"timeout"`
}

// ordered reports whether a message is given only once the one before it is done with.
func (c *ConsumerConfig) ordered() bool { return c.Push != nil && c.Push.Concurrency <= 1 }

// consumerDocument is a consumer as it is kept.
type consumerDocument struct {
	Name        string           `json:"name"`
	Incarnation uint64           `json:"incarnation"` // tells it from others that had its name
	Created     time.Time        `json:"created"`
	Used        time.Time        `json:"used"`    // by a request, about; by the broker's clock
	History     string           `json:"history"` // stream that has what was published before Until
	Until       message.Position `json:"until"`
	Config      ConsumerConfig   `json:"config"`
}

func (d *consumerDocument) op() (storage.Op, error) {
	doc, err := json.Marshal(d)
	if err != nil {
		return storage.Op{}, fmt.Errorf("keeping consumer %s: %w", d.Name, err)
	}
	return state.PutDocument(consumerKind, d.Name, doc), nil
}

// consumers are the consumers by name.
type consumers struct {
	broker *Broker
	mu     sync.Mutex // guards what follows; taken before that of a group
	byName map[string]*consumer

	waiting chan struct{} // has one for each request that waits; nil: no limit
}

func newConsumers(b *Broker) *consumers {
	cs := &consumers{broker: b, byName: make(map[string]*consumer)}
	if n := b.cfg.Consumers.MaxWaiting; n > 0 {
		cs.waiting = make(chan struct{}, n)
	}
	return cs
}

func (cs *consumers) get(name string) *consumer {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.byName[name]
}

func (cs *consumers) all() []*consumer {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	all := make([]*consumer, 0, len(cs.byName))
	for _, name := range slices.Sorted(maps.Keys(cs.byName)) {
		all = append(all, cs.byName[name])
	}
	return all
}

// add makes a consumer that reads from a place on.
func (cs *consumers) add(d consumerDocument, from groupPlace) *consumer {
	b := cs.broker
	c := &consumer{broker: b, doc: d, ids: make(map[message.Position]uint16), usedKept: d.Used}
	c.matches.Store(&d.Config.Filters)
	if d.History != "" {
		c.history = b.streams.Get(d.History)
	}
	gs := b.groups
	gs.mu.Lock()
	g := gs.of(groupKey{consumerPrefix + d.Name, ""})
	c.group, g.consumer = g, c
	c.account = &account{group: g, parts: make(map[uint16]*part)}
	g.mu.Lock()
	g.cursor, g.declared = cursor{next: from.next}, true
	g.parkedTo, g.ledger.parkedTo = from.parkedTo, from.parkedTo
	g.mu.Unlock()
	g.durable.Store(true)
	g.waiting.Store(true)
	g.enter()
	gs.mu.Unlock()
	cs.mu.Lock()
	cs.byName[d.Name] = c
	cs.mu.Unlock()
	return c
}

// restore brings back the consumers that are kept.
func (cs *consumers) restore(r *restorer) error {
	for doc, err := range cs.broker.Documents().All(cs.broker.ctx, consumerKind) {
		var d consumerDocument
		if err == nil {
			err = json.Unmarshal(doc, &d)
		}
		if err != nil {
			return fmt.Errorf("reading consumers: %w", err)
		}
		place, ok := r.places[groupKey{consumerPrefix + d.Name, ""}]
		if !ok {
			return fmt.Errorf("consumer %s: its place is not kept", d.Name)
		}
		cs.add(d, place).resume(r.now)
	}
	return nil
}

// PutConsumer makes a consumer, or changes what it is told: then start says nothing. It returns when that is durable.
func (b *Broker) PutConsumer(ctx context.Context, name string, config ConsumerConfig, start stream.Offset) (made bool, err error) {
	b.declaring.Lock()
	defer b.declaring.Unlock()
	if c := b.consumers.get(name); c != nil {
		return false, c.change(ctx, config)
	}
	if limit := b.cfg.Consumers.Max; limit > 0 && len(b.consumers.all()) >= limit {
		b.metrics.Hit(metrics.LimitConsumers)
		return false, ErrTooManyConsumers
	}
	d := consumerDocument{
		Name: name, Incarnation: b.number(&b.incarnation, state.Incarnation), Created: time.Now().UTC(), Used: b.clock.Now(), Config: config,
	}
	from, err := b.beginConsumer(ctx, &d, start)
	if err != nil {
		return false, err
	}
	put, err := d.op()
	if err != nil {
		return false, err
	}
	c := b.consumers.add(d, groupPlace{next: from})
	if err := c.keep(ctx, put); err != nil {
		b.consumers.remove(c)
		return false, err
	}
	return true, nil
}

// beginConsumer finds where a consumer begins: at a place of the log, or before that in a stream which has all that it
// matches.
func (b *Broker) beginConsumer(ctx context.Context, d *consumerDocument, start stream.Offset) (from message.Position, err error) {
	end := b.logEnd()
	if start.Latest {
		return end, nil
	}
	st := b.streams.Covering(d.Config.Filters)
	switch {
	case start.Since.IsZero():
		from = start.Position
	case st != nil:
		from, err = st.Locate(ctx, start.Since)
	default:
		from, err = b.streams.Locate(ctx, start.Since)
	}
	if st != nil {
		d.History, d.Until = st.Name(), end
	}
	if first := b.engine.Health().First; st == nil && from.Less(first) {
		from = first
	}
	return from, err
}

// keep commits what the consumer is, with its place.
func (c *consumer) keep(ctx context.Context, put storage.Op) error {
	b, g := c.broker, c.group
	if !b.keeps {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	done := make(chan error, 1)
	g.mu.Lock()
	next := g.place()
	err := b.engine.Submit(0, storage.Unit{Ops: []storage.Op{put, g.placeOp(next)}}, func(_ message.Position, err error) { done <- err })
	if err == nil {
		g.ledger.stored, g.ledger.next = true, next
	}
	g.mu.Unlock()
	if err != nil {
		return err
	}
	return <-done // whoever leaves meanwhile: what is in memory must be what is on disk
}

// awaitKept waits for a commit; a nil channel is one that is done.
func awaitKept(ctx context.Context, done <-chan error) error {
	if done == nil {
		return nil
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// change tells the consumer something else from where it stands.
func (c *consumer) change(ctx context.Context, config ConsumerConfig) error {
	b, g := c.broker, c.group
	g.mu.Lock()
	d := c.doc
	g.mu.Unlock()
	d.Used = b.clock.Now()
	same := slices.Equal(d.Config.Filters, config.Filters)
	config.Start, config.Owner = d.Config.Start, d.Config.Owner
	if config.Push != nil && config.Push.Secret == "" && d.Config.Push != nil {
		config.Push.Secret = d.Config.Push.Secret
	}
	d.Config = config
	put, err := d.op()
	if err == nil && b.keeps {
		err = b.commit(ctx, put)
	}
	if err != nil {
		return err
	}
	g.mu.Lock()
	c.doc.Config, c.doc.Used, c.usedKept = config, d.Used, d.Used
	c.matches.Store(&config.Filters)
	c.refree()
	c.wakeAll()
	g.mu.Unlock()
	if !same {
		b.groups.mu.Lock()
		g.enter()
		b.groups.mu.Unlock()
	}
	return nil
}

// DeleteConsumer ends a consumer with all that it has. It returns when that is durable; there may be none.
func (b *Broker) DeleteConsumer(ctx context.Context, name string) error {
	b.declaring.Lock()
	defer b.declaring.Unlock()
	c := b.consumers.get(name)
	if c == nil {
		return nil
	}
	if b.keeps {
		if err := b.Documents().Delete(ctx, consumerKind, name); err != nil {
			return err
		}
	}
	b.consumers.remove(c)
	return nil
}

// remove takes a consumer away whose document is gone, or was never there. What a crash leaves of it, the next start
// forgets.
func (cs *consumers) remove(c *consumer) {
	cs.mu.Lock()
	delete(cs.byName, c.doc.Name)
	cs.mu.Unlock()
	gs, g := cs.broker.groups, c.group
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g.mu.Lock()
	c.ended, g.declared = true, false
	cs.broker.dropMany(message.DropGroupEnded, g.Name(), nil, time.Now(), int64(c.account.n))
	for _, f := range c.account.flights() {
		c.account.remove(f.PacketID)
	}
	c.ready, c.dead, c.due, c.ids = nil, nil, nil, map[message.Position]uint16{}
	c.wakeAll()
	g.mu.Unlock()
	gs.left(g)
	g.mu.Lock()
	g.submit(true) // before anything of another of that name
	g.mu.Unlock()
	if gs.byKey[g.key] == g {
		delete(gs.byKey, g.key)
	}
}

package broker

import (
	"slices"
	"time"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/mqtt"
)

// account is what a group has given one of its members and has not heard the end of. It is the group's, and kept with the
// group's place: a session's own snapshot says nothing of it. The account of a client that unsubscribed goes on until
// what was begun is finished [MQTT-3.10.4-3].
type account struct {
	// Static after construction.
	client *client
	group  *group
	key    string // of the client's subscription

	member bool // the client still has the subscription. Guarded by client.mu

	parts map[uint16]*part // by identifier / partIDs. Guarded by group.mu
	n     int              // entries in them
}

// partIDs is how many identifiers share a part: what changes is written by parts.
const partIDs = 64

type part struct {
	entries []accountEntry
	dirty   bool // listed in the ledger
	stored  bool // the engine may have it
}

type accountEntry struct {
	session.InFlight
	lease lease // of a consumer
}

// ledger is what of a group has to be kept. The group's mutex guards it.
type ledger struct {
	place    bool             // the group's place, or what came back, has changed
	parts    []partRef        // that have changed
	keys     [][]byte         // of parts to be forgotten
	sends    []send           // what may be sent after that
	waits    []ledgerWait     // who hears of that
	failures int              // of units
	units    int              // under way
	stored   bool             // the engine may have the group's place
	next     message.Position // of the last unit that is done
	parkedTo message.Position // the same, of the last that had the place
}

// ledgerWait is who waits until all that had changed by then is kept. The channel has room for the answer.
type ledgerWait struct {
	done     chan<- error
	failures int // by then: what failed since is tried again, but later than this
}

type partRef struct {
	account *account
	number  uint16
}

// maxUnits is how many units of a group may be under way: one is written while the next is gathered.
const maxUnits = 2

// due reports whether there is something to submit.
func (l *ledger) due() bool {
	return l.place || len(l.parts) > 0 || len(l.keys) > 0 || len(l.sends) > 0 || len(l.waits) > 0
}

func (l *ledger) clean() bool {
	return !l.due() && l.units == 0
}

// changed notes that the group's place, or what came back, has to be kept. The caller holds g.mu.
func (g *group) changed() {
	if !g.broker.keeps || !g.durable.Load() && !g.ledger.stored {
		return
	}
	g.ledger.place = true
	g.dirtied()
}

// touch notes that a part has to be kept. The caller holds g.mu.
func (a *account) touch(number uint16, p *part) {
	g := a.group
	if p.dirty || !g.broker.keeps || !g.durable.Load() && !p.stored {
		return
	}
	p.dirty = true
	g.ledger.parts = append(g.ledger.parts, partRef{a, number})
	g.dirtied()
}

// add enters what the client is given. The caller holds g.mu.
func (a *account) add(id uint16, d session.Delivery) {
	a.enter(session.InFlight{PacketID: id, Delivery: d})
	a.touch(id/partIDs, a.parts[id/partIDs])
}

func (a *account) enter(f session.InFlight) {
	number := f.PacketID / partIDs
	p := a.parts[number]
	if p == nil {
		p = new(part)
		a.parts[number] = p
	}
	p.entries = append(p.entries, accountEntry{InFlight: f})
	a.n++
	a.group.accounts[a] = struct{}{}
}

// find returns the entry of an identifier, or nil. The caller holds g.mu.
func (a *account) find(id uint16) (p *part, i int) {
	p = a.parts[id/partIDs]
	if p == nil {
		return nil, 0
	}
	for i := range p.entries {
		if p.entries[i].PacketID == id {
			return p, i
		}
	}
	return nil, 0
}

// remove ends an entry, and reports whether it was there. The caller holds g.mu.
func (a *account) remove(id uint16) bool {
	p, i := a.find(id)
	if p == nil {
		return false
	}
	last := len(p.entries) - 1
	copy(p.entries[i:], p.entries[i+1:])
	p.entries[last] = accountEntry{}
	p.entries = p.entries[:last]
	if a.n--; a.n == 0 {
		delete(a.group.accounts, a)
	}
	a.touch(id/partIDs, p)
	if last == 0 && !p.dirty {
		delete(a.parts, id/partIDs)
	}
	return true
}

// completed ends a delivery that the client has answered. The caller holds the client's lock.
func (a *account) completed(id uint16) {
	g := a.group
	g.mu.Lock()
	a.remove(id)
	idle := g.idle()
	g.mu.Unlock()
	a.close()
	if idle {
		g.broker.groups.drop(g)
	}
}

// close forgets the account of a client that has unsubscribed, once it is empty. The client's lock is held.
func (a *account) close() {
	g := a.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if a.n == 0 && !a.member && a.client.accounts[a.key] == a {
		delete(a.client.accounts, a.key)
	}
}

// released notes a PUBREC. PUBREL follows once that is kept. The caller holds the client's lock.
func (a *account) released(b *conn.Batch, l *link, id uint16) {
	g := a.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if p, i := a.find(id); p != nil {
		p.entries[i].Released = true
		a.touch(id/partIDs, p)
	}
	g.ledger.sends = append(g.ledger.sends, send{client: a.client, link: l, id: id, pubrel: true})
	b.AtEnd(g)
}

// takeBack returns to the group what was not sent, and of what was sent QoS 1 if sent is true. The session has forgotten
// both. The caller holds the client's lock.
func (a *account) takeBack(unsent []session.InFlight, sent bool) {
	g := a.group
	g.mu.Lock()
	defer g.mu.Unlock()
	var back []queued
	for i := range unsent {
		if unsent[i].Delivery.Group == a && a.remove(unsent[i].PacketID) {
			back = append(back, queued{unsent[i].Delivery.Position, unsent[i].Delivery.Message})
		}
	}
	if sent {
		for _, f := range a.flights() {
			if f.Delivery.QoS == mqtt.AtLeastOnce && a.remove(f.PacketID) {
				back = append(back, queued{f.Delivery.Position, f.Delivery.Message})
			}
		}
	}
	g.comeBack(back)
	g.unread()
}

// discard ends what is left, and returns how much that was. The caller holds the client's lock.
func (a *account) discard() (n int) {
	g := a.group
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range a.flights() {
		a.remove(f.PacketID)
		n++
	}
	return n
}

// flights lists the entries. The caller holds g.mu.
func (a *account) flights() (fs []session.InFlight) {
	for _, p := range a.parts {
		for i := range p.entries {
			fs = append(fs, p.entries[i].InFlight)
		}
	}
	return fs
}

// restore takes up a part that was kept. The caller holds g.mu.
func (a *account) restore(s *state.Given) {
	for i := range s.Flights {
		f := &s.Flights[i]
		a.enter(session.InFlight{PacketID: f.ID, Released: f.Released, Delivery: session.Delivery{
			Message: f.Body, QoS: f.QoS, Retain: f.Retain, SubscriptionIDs: f.SubscriptionIDs, Position: f.Position, Group: a,
		}})
	}
	if p := a.parts[s.Part]; p != nil {
		p.stored = true
	}
}

// orphaned takes back what a session had that did not outlive a restart. The caller holds g.mu.
func (g *group) orphaned(key []byte, s *state.Given) {
	var back []queued
	for i := range s.Flights {
		f := &s.Flights[i]
		if f.QoS == mqtt.AtLeastOnce {
			back = append(back, queued{f.Position, f.Body})
		} else {
			g.broker.drop(message.DropSessionEnded, g.Name(), f.Body, time.Now())
		}
	}
	g.ledger.keys = append(g.ledger.keys, key)
	g.comeBack(back)
	g.changed()
}

// wakeAccounts returns what a session that is resumed was given by groups, with the messages. It may read the log.
func (b *Broker) wakeAccounts(c *client) (flights []session.InFlight, err error) {
	c.mu.Lock()
	for _, a := range c.accounts {
		a.group.mu.Lock()
		flights = append(flights, a.flights()...)
		a.group.mu.Unlock()
	}
	c.mu.Unlock()
	slices.SortFunc(flights, func(x, y session.InFlight) int { return x.Delivery.Position.Compare(y.Delivery.Position) })
	var blk storage.Block
	found := flights[:0]
	for _, f := range flights {
		a := accountOf(&f.Delivery)
		x, err := a.group.flight(&state.Flight{Position: f.Delivery.Position, Body: f.Delivery.Message, Released: f.Released}, &blk)
		if err != nil {
			return nil, err
		}
		f.Delivery.Message = x.Delivery.Message
		trimmed := a.group.trimmed()
		c.mu.Lock()
		a.woken(f)
		if f.Delivery.Message == nil {
			c.drop(trimmed, nil, time.Now())
			c.mu.Unlock()
			continue
		}
		c.mu.Unlock()
		found = append(found, f)
	}
	return found, nil
}

// woken enters the message of an entry, or ends it if there is none any more. The caller holds the client's lock.
func (a *account) woken(f session.InFlight) {
	if f.Delivery.Message == nil {
		a.completed(f.PacketID)
		return
	}
	a.group.mu.Lock()
	defer a.group.mu.Unlock()
	if p, i := a.find(f.PacketID); p != nil {
		p.entries[i].Delivery.Message = f.Delivery.Message
	}
}

// closeAccounts ends what a session that ends was given and cannot give back. The caller holds c.mu.
func (c *client) closeAccounts() (lost int) {
	for _, a := range c.accounts {
		lost += a.discard()
	}
	c.accounts = nil
	return lost
}

// accountOf is the account that a delivery is entered in; nil: none.
func accountOf(d *session.Delivery) *account {
	a, _ := d.Group.(*account)
	return a
}

// commit has what was given kept, and sent after that; without anything to keep it is sent at once.
func (g *group) commit(b *conn.Batch) {
	g.mu.Lock()
	if g.broker.keeps && (g.durable.Load() || g.ledger.stored || len(g.ledger.parts) > 0) {
		g.submit(false)
		g.mu.Unlock()
		return
	}
	sends := g.ledger.sends
	g.ledger.sends = nil
	g.mu.Unlock()
	g.broker.dispatch(b, sends)
}

// submit submits what has to be kept before something is sent; all of it, if all is true. The caller holds g.mu. What
// cannot be submitted now, the keeper submits.
func (g *group) submit(all bool) {
	l := &g.ledger
	if !l.due() || !all && (len(l.sends)+len(l.waits) == 0 || l.units >= maxUnits) {
		return
	}
	var ops []storage.Op
	next := g.place()
	if l.place {
		ops = append(ops, g.placeOp(next))
	}
	for _, ref := range l.parts {
		ops = append(ops, ref.op())
	}
	for _, key := range l.keys {
		ops = append(ops, state.Delete(key))
	}
	u := ledger{place: l.place, parts: l.parts, keys: l.keys, sends: l.sends, waits: l.waits, parkedTo: g.parkedTo}
	if err := g.broker.engine.Submit(0, storage.Unit{Ops: ops}, func(_ message.Position, err error) { g.committed(u, next, err) }); err != nil {
		g.dirtied()
		return
	}
	for _, ref := range l.parts {
		ref.submitted()
	}
	if l.place {
		l.stored = g.durable.Load()
	}
	l.place, l.parts, l.keys, l.sends, l.waits = false, nil, nil, nil, nil
	l.units++
}

// placeOp keeps the group's place and what came back. The caller holds g.mu.
func (g *group) placeOp(next message.Position) storage.Op {
	if !g.durable.Load() {
		return state.DeleteGroup(g.key.name, g.key.filter)
	}
	s := &state.Group{Name: g.key.name, Filter: g.key.filter, Next: next, ParkedTo: g.parkedTo}
	for _, q := range g.queue[:g.back] {
		f := state.Flight{Position: q.position}
		if q.position.IsZero() {
			f.Body = q.message
		}
		s.Returned = append(s.Returned, f)
	}
	return state.PutGroup(s)
}

// op keeps a part. The caller holds g.mu.
func (r partRef) op() storage.Op {
	g := r.account.group
	s := &state.Given{Key: r.account.key, Part: r.number, Name: g.key.name, Filter: g.key.filter}
	if p := r.account.parts[r.number]; p != nil {
		for i := range p.entries {
			f := flightOf(p.entries[i].InFlight)
			f.Lease = p.entries[i].lease.kept()
			s.Flights = append(s.Flights, f)
		}
	}
	return state.PutGiven(r.account.owner(), s)
}

// owner names the account's entries in the store.
func (a *account) owner() state.Owner {
	if c := a.group.consumer; c != nil {
		return c.owner()
	}
	return a.client.owner()
}

// submitted notes that the part is part of a unit. The caller holds g.mu.
func (r partRef) submitted() {
	p := r.account.parts[r.number]
	if p == nil {
		return
	}
	p.dirty, p.stored = false, true
	if len(p.entries) == 0 {
		delete(r.account.parts, r.number)
	}
}

// committed sends what is kept, or has it tried again.
func (g *group) committed(u ledger, next message.Position, err error) {
	g.mu.Lock()
	l := &g.ledger
	l.units--
	if err != nil {
		l.failures++
	}
	for _, w := range u.waits {
		if w.failures != l.failures && err == nil {
			w.done <- storage.ErrBusy
			continue
		}
		w.done <- err
	}
	if err != nil {
		l.place = l.place || u.place
		for _, ref := range u.parts {
			if p := ref.account.parts[ref.number]; p == nil || !p.dirty {
				if p != nil {
					p.dirty = true
				}
				l.parts = append(l.parts, ref)
			}
		}
		l.keys = append(l.keys, u.keys...)
		l.sends = append(u.sends, l.sends...)
		g.dirtied()
		g.mu.Unlock()
		return
	}
	l.next = next
	if u.place && l.parkedTo.Less(u.parkedTo) {
		l.parkedTo = u.parkedTo
	}
	g.submit(false)
	idle := g.idle()
	g.mu.Unlock()
	if len(u.sends) > 0 {
		b := conn.NewBatch()
		g.broker.dispatch(b, u.sends)
		b.FlushSoon(g.broker.flusher)
	}
	if idle {
		g.broker.groups.drop(g)
	}
}

// oldest returns the place of the log that the group still needs; ok is false if it needs none.
func (g *group) oldest(begun uint64) (pos message.Position, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isQueue() || !g.durable.Load() && len(g.accounts) == 0 {
		return pos, false
	}
	return g.oldestLocked(begun), true
}

// oldestLocked is oldest for who holds g.mu. What was parked, and is kept so, needs no place.
func (g *group) oldestLocked(begun uint64) (pos message.Position) {
	pos = message.Position{Block: begun}
	consider := func(p message.Position) {
		if g.inHistory(p) { // a stream has it
			p = g.consumer.doc.Until
		}
		if !p.IsZero() && !p.Less(g.ledger.parkedTo) && p.Less(pos) {
			pos = p
		}
	}
	after := func(p message.Position) message.Position {
		if p.Less(g.ledger.parkedTo) {
			return g.ledger.parkedTo
		}
		return p
	}
	if g.durable.Load() {
		place := g.place()
		consider(after(place))
		if g.broker.keeps && g.ledger.next.Less(place) {
			g.changed() // so that the next look gets further
			consider(after(g.ledger.next))
		}
	}
	for _, q := range g.queue[:g.back] {
		consider(q.position)
	}
	g.eachGiven(func(e *accountEntry) { consider(e.Delivery.Position) })
	return pos
}

// eachGiven calls fn for what members have and may have to be sent again. The caller holds g.mu.
func (g *group) eachGiven(fn func(*accountEntry)) {
	for a := range g.accounts {
		for _, p := range a.parts {
			for i := range p.entries {
				if e := &p.entries[i]; !e.Released {
					fn(e)
				}
			}
		}
	}
}

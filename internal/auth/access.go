package auth

import (
	"context"

	"github.com/barid-mqtt/barid/mqtt"
)

// Action is what a client wants to do with a topic.
type Action uint8

// The actions. Receive is the delivery of one message to a subscriber.
const (
	Publish Action = iota
	Subscribe
	Receive
)

// String returns the action as rules and logs say it.
func (a Action) String() string { return [...]string{"publish", "subscribe", "receive"}[a] }

// Access is one thing that a client wants to do. Topic is a topic name, or for Subscribe a filter, as the broker knows
// it: with the listener's mount point, without the share of a shared subscription, and where $delayed leads to.
type Access struct {
	Action Action
	Topic  string
	QoS    mqtt.QoS // of the PUBLISH, or asked for by the SUBSCRIBE; 0 for Receive
	Retain bool     // of the PUBLISH
}

// Decision is an authoriser's answer.
type Decision uint8

// The answers. Partly and Narrow are only for Subscribe, where a filter stands for many topics: with them, the delivery
// of each message is asked for as well, as Receive.
const (
	Deny    Decision = iota
	Allow            // and, for Subscribe, every topic that the filter matches
	NoMatch          // nothing is said about this: the next authoriser is asked
	Unknown          // the answer takes time: Ask for it, then Check again
	Partly           // some of the filter's topics are granted
	Narrow           // some of the filter's topics are denied, and nothing is said about the others
)

// String returns the decision as logs say it.
func (d Decision) String() string {
	return [...]string{"deny", "allow", "no match", "unknown", "partly", "narrow"}[d]
}

// Then is what two authorisers say together, the second of which is asked after the first said d.
func (d Decision) Then(second func() Decision) Decision {
	if d != NoMatch && d != Narrow {
		return d
	}
	e := second()
	switch {
	case d == Narrow && e == Allow:
		return Partly
	case d == Narrow && e == NoMatch:
		return Narrow
	}
	return e
}

// Authorizer decides what a client may do. Its methods are called from many goroutines.
type Authorizer interface {
	// Check answers at once, from what is at hand. It is asked about PUBLISH packets and deliveries on the hot path.
	// One that takes time answers NoMatch to Receive: who granted a filter has granted what it matches.
	Check(id *Identity, a Access) Decision
	// Ask finds out what Check did not know, so that Check knows it from then on, for some time at least. It may take
	// its time, within ctx, and bounds itself how often it runs at once. If it cannot find out, Check says Deny next.
	Ask(ctx context.Context, id *Identity, a Access)
}

// Versioned are authorisers whose answers for an Identity change only when their version does. Connections remember what
// they say; all others are asked each time and remember for themselves.
type Versioned interface {
	Authorizer
	Version() uint64
}

// Everything allows everything.
type Everything struct{}

// Check implements Authorizer.
func (Everything) Check(*Identity, Access) Decision { return Allow }

// Ask implements Authorizer.
func (Everything) Ask(context.Context, *Identity, Access) {}

// Version implements Versioned.
func (Everything) Version() uint64 { return 0 }

// Package scenario has the loads by name, runs them against a broker, and measures.
package scenario

import (
	"errors"
	"fmt"
	"time"

	"github.com/barid-mqtt/barid/load_test/internal/loop"
	"github.com/barid-mqtt/barid/load_test/internal/wire"
	"github.com/barid-mqtt/barid/mqtt"
)

// Load is the size and shape of a scenario. Publishers and subscribers are dealt into groups: publisher i and
// subscriber j belong together if i and j are the same modulo Groups.
type Load struct {
	Publishers  int
	Subscribers int
	Groups      int
	Clients     int    // connections of scenarios without messages
	Topics      Topics // what is published to and subscribed to
	Share       bool   // subscribers of a group share a subscription

	QoS          mqtt.QoS
	PayloadBytes int
	Window       int           // messages not done at a time, of each publisher; 0: as many as the socket takes
	Refill       int           // send when at least so many may be sent
	Rate         float64       // messages a second of all publishers, an open loop; connections a second; 0: as fast as it goes
	Burst        time.Duration // open loop: messages are due at multiples of this, several publishers at once; 0: evenly spread
	OneWrite     bool          // a write for each message
	Nap          time.Duration // of the generator after each round of events: see loop.Loop.SetNap
	Messages     int           // of scenarios that send a number of messages, all publishers together
	Durable      bool          // subscribers have persistent sessions

	Version   mqtt.Version
	Transport string // mqtt, mqtts, ws or wss: which listener of a broker
	Warmup    time.Duration
	Duration  time.Duration
	Loops     int // event loops of the generator; 0: half as many as there are processors
}

// Topics is how topics are chosen.
type Topics string

// The ways to choose topics.
const (
	GroupTopic   Topics = "group"    // one topic a group
	TopicEach    Topics = "each"     // one topic a publisher; a subscriber subscribes to each of its group
	TopicPattern Topics = "wildcard" // one topic a publisher; a subscriber has one filter with a wildcard
)

// check says what is wrong with a load.
func (l *Load) check() error {
	switch {
	case l.PayloadBytes < wire.StampBytes:
		return fmt.Errorf("a payload must have at least %d bytes, which say what message it is", wire.StampBytes)
	case l.Version != mqtt.V31 && l.Version != mqtt.V311 && l.Version != mqtt.V5:
		return errors.New("the protocol version is 3, 4 (3.1.1) or 5")
	case l.QoS > mqtt.ExactlyOnce:
		return errors.New("QoS is 0, 1 or 2")
	case l.Publishers < 0 || l.Subscribers < 0 || l.Clients < 0 || l.Messages < 0 || l.Window < 0 || l.Rate < 0:
		return errors.New("numbers of clients, window and rate must not be negative")
	case l.Publishers > 0 && l.Groups > l.Publishers || l.Subscribers > 0 && l.Groups > l.Subscribers:
		return fmt.Errorf("%d groups need as many publishers and subscribers", l.Groups)
	case l.Subscribers%max(l.Groups, 1) != 0:
		return fmt.Errorf("%d subscribers cannot be dealt evenly into %d groups", l.Subscribers, l.Groups)
	case l.Duration <= 0:
		return errors.New("the duration must be positive")
	}
	return nil
}

// copies returns how many subscribers each message is for.
func (l *Load) copies() int {
	switch {
	case l.Subscribers == 0:
		return 0
	case l.Share:
		return 1
	}
	return l.Subscribers / l.groups()
}

// Descriptors returns how many descriptors a load needs at each end, besides a few.
func (l *Load) Descriptors() int { return l.Publishers + l.Subscribers + l.Clients }

func (l *Load) groups() int { return max(l.Groups, 1) }

// topic returns what publisher i publishes to.
func (l *Load) topic(prefix string, i int) string {
	if l.Topics == GroupTopic {
		return fmt.Sprintf("%s/%d", prefix, i%l.groups())
	}
	return fmt.Sprintf("%s/%d/%d", prefix, i%l.groups(), i)
}

// filters returns what subscriber j subscribes to.
func (l *Load) filters(prefix string, j int) []mqtt.FilterOptions {
	group := j % l.groups()
	var names []string
	switch l.Topics {
	case TopicPattern:
		names = append(names, fmt.Sprintf("%s/%d/#", prefix, group))
	case TopicEach:
		for i := group; i < l.Publishers; i += l.groups() {
			names = append(names, l.topic(prefix, i))
		}
	default:
		names = append(names, fmt.Sprintf("%s/%d", prefix, group))
	}
	var filters []mqtt.FilterOptions
	for _, name := range names {
		if l.Share {
			name = "$share/benchmark/" + name
		}
		filters = append(filters, mqtt.FilterOptions{Filter: name, QoS: l.QoS})
	}
	return filters
}

// hello makes the CONNECT of one client.
func (l *Load) hello(id string, durable bool) *mqtt.Connect {
	h := &mqtt.Connect{Version: l.Version, ClientID: id, CleanStart: !durable, KeepAlive: loop.KeepAlive}
	if durable && l.Version == mqtt.V5 {
		h.SessionExpirySeconds = 3600
	}
	return h
}

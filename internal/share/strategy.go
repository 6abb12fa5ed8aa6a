// Package share decides which member of a shared-subscription group gets a message.
//
// It is pure: no goroutine, no lock, no clock. Whoever owns a Group serialises the calls.
package share

import (
	"fmt"
	"strings"
)

// Strategy is the way in which a group chooses a member.
type Strategy uint8

// The strategies.
const (
	// Random takes any usable member, each as likely as the other.
	Random Strategy = iota
	// RoundRobin takes the members in turn. The turn belongs to the group, over all publishers and topics, so the group
	// is balanced whoever publishes.
	RoundRobin
	// RoundRobinPerGroup is another name of RoundRobin, for configurations that tell the two apart.
	RoundRobinPerGroup
	// Sticky stays with one member, chosen at random, for as long as it is there and usable.
	Sticky
	// Local prefers members on the publisher's own node. On one node all members are, and it is RoundRobin.
	Local
	// HashClientID gives all messages of a publisher to the same member.
	HashClientID
	// HashTopic gives all messages of a topic to the same member.
	HashTopic
	// LeastInflight takes the member with the lowest load, members of the same load in turn.
	LeastInflight
	strategies
)

var strategyNames = [strategies]string{
	"random", "round_robin", "round_robin_per_group", "sticky", "local", "hash_clientid", "hash_topic", "least_inflight",
}

// String returns the strategy's name in the configuration.
func (s Strategy) String() string {
	if s < strategies {
		return strategyNames[s]
	}
	return fmt.Sprintf("Strategy(%d)", uint8(s))
}

// ParseStrategy returns the strategy with a name. The error of an unknown name lists those that there are.
func ParseStrategy(name string) (Strategy, error) {
	for i, known := range strategyNames {
		if name == known {
			return Strategy(i), nil
		}
	}
	return 0, fmt.Errorf("unknown strategy %q of shared subscriptions; there are %s", name, strings.Join(strategyNames[:], ", "))
}

package session

import (
	"reflect"
	"testing"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
	"pgregory.net/rapid"
)

func at(block uint64, index uint32) message.Position {
	return message.Position{Block: block, Index: index}
}

func TestSubscriptionHoldsForAnIntervalOfPositions(t *testing.T) {
	v1 := NewSubscription(mqtt.FilterOptions{Filter: "a/+", QoS: 1}, 7, nil).Committed(at(3, 2))
	v2 := NewSubscription(mqtt.FilterOptions{Filter: "a/+", QoS: 2}, 0, v1).Committed(at(5, 0))
	end := v2.End().Committed(at(6, 0))
	v3 := NewSubscription(mqtt.FilterOptions{Filter: "a/+"}, 0, end).Committed(at(9, 9))
	pending := NewSubscription(mqtt.FilterOptions{Filter: "a/+", QoS: 1}, 0, v3)
	for _, c := range []struct {
		pos  message.Position
		want *Subscription
	}{
		{message.Position{}, nil}, {at(3, 1), nil}, {at(3, 2), v1}, {at(4, 7), v1}, {at(5, 0), v2}, {at(5, 99), v2},
		{at(6, 0), nil}, {at(9, 8), nil}, {at(9, 9), v3}, {message.MaxPosition, v3},
	} {
		if got := pending.At(c.pos); got != c.want {
			t.Errorf("At(%v) = %+v, want %+v", c.pos, got, c.want)
		}
	}
	if (*Subscription)(nil).At(at(1, 1)) != nil {
		t.Error("no subscription holds somewhere")
	}
	if got, want := v1.Options(), (mqtt.FilterOptions{QoS: 1}); got != want {
		t.Errorf("Options() = %+v, want %+v", got, want)
	}
}

// TestPruneForgetsOnlyThePast: from the pruned position on, nothing looks different, and no version is kept in vain.
func TestPruneForgetsOnlyThePast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s *Subscription
		block := uint64(0)
		for i := range rapid.IntRange(0, 8).Draw(t, "versions") {
			if next := NewSubscription(mqtt.FilterOptions{Filter: "f"}, uint32(i), s); s != nil && rapid.Bool().Draw(t, "end") {
				s = s.End()
			} else {
				s = next
			}
			if rapid.IntRange(0, 5).Draw(t, "pending") > 0 {
				block += rapid.Uint64Range(0, 3).Draw(t, "later")
				s = s.Committed(at(block, 0))
			}
		}
		cut := rapid.Uint64Range(0, block+1).Draw(t, "cut")
		p := s.Prune(at(cut, 0))
		for b := cut; b <= block+2; b++ {
			got, want := p.At(at(b, 0)), s.At(at(b, 0))
			if (got == nil) != (want == nil) || got != nil && (got.ID != want.ID || got.From != want.From) {
				t.Fatalf("at %d: %+v, was %+v", b, got, want)
			}
		}
		for v := p; v != nil; v = v.Prev {
			if v.Prev != nil && !v.pending() && !at(cut, 0).Less(v.From) {
				t.Fatalf("%+v is kept behind a version that holds at %d", v.Prev, cut)
			}
		}
		if p != nil && p.Prune(at(cut, 0)) != p {
			t.Fatal("pruning again copies")
		}
	})
}

func TestMerge(t *testing.T) {
	sub := func(id uint32, o mqtt.FilterOptions) *Subscription { return NewSubscription(o, id, nil) }
	type options = mqtt.FilterOptions
	for _, c := range []struct {
		name   string
		m      message.Message
		client string
		subs   []*Subscription
		want   *Delivery // nil: none
	}{
		{"nothing matches", message.Message{QoS: 2}, "c", nil, nil},
		{"nothing is in force there", message.Message{QoS: 2}, "c", []*Subscription{nil, nil}, nil},
		{"the message's QoS is lower", message.Message{QoS: 1}, "c", []*Subscription{sub(0, options{QoS: 2})}, &Delivery{QoS: 1}},
		{"the granted QoS is lower", message.Message{QoS: 2}, "c", []*Subscription{sub(0, options{QoS: 1})}, &Delivery{QoS: 1}},
		{"the highest of several [MQTT-3.3.4-2]", message.Message{QoS: 2}, "c",
			[]*Subscription{sub(0, options{QoS: 1}), sub(0, options{QoS: 2}), nil, sub(0, options{})}, &Delivery{QoS: 2}},
		{"one identifier", message.Message{}, "c", []*Subscription{sub(5, options{})}, &Delivery{SubscriptionIDs: []uint32{5}}},
		{"all identifiers in order [MQTT-3.3.4-4]", message.Message{}, "c",
			[]*Subscription{sub(9, options{}), sub(0, options{}), sub(3, options{}), sub(9, options{})},
			&Delivery{SubscriptionIDs: []uint32{9, 3, 9}}},
		{"not retained as published [MQTT-3.3.1-12]", message.Message{Retain: true}, "c", []*Subscription{sub(0, options{})}, &Delivery{}},
		{"retained as published, by one of them [MQTT-3.3.1-13]", message.Message{Retain: true}, "c",
			[]*Subscription{sub(0, options{}), sub(0, options{RetainAsPublished: true}), sub(0, options{})}, &Delivery{Retain: true}},
		{"not retained, as published", message.Message{}, "c", []*Subscription{sub(0, options{RetainAsPublished: true})}, &Delivery{}},
		{"its own, No Local", message.Message{ClientID: "c"}, "c", []*Subscription{sub(1, options{NoLocal: true})}, nil},
		{"its own, one of two is No Local", message.Message{ClientID: "c", QoS: 2, Retain: true}, "c",
			[]*Subscription{sub(1, options{NoLocal: true, QoS: 2, RetainAsPublished: true}), sub(2, options{QoS: 1})},
			&Delivery{QoS: 1, SubscriptionIDs: []uint32{2}}},
		{"another's, No Local", message.Message{ClientID: "d"}, "c", []*Subscription{sub(0, options{NoLocal: true})}, &Delivery{}},
		{"the broker's, No Local", message.Message{}, "", []*Subscription{sub(0, options{NoLocal: true})}, &Delivery{}},
		{"ended", message.Message{}, "c", []*Subscription{sub(1, options{}).End()}, nil},
		{"made without NewSubscription", message.Message{}, "c", []*Subscription{{ID: 4}, {ID: 6}}, &Delivery{SubscriptionIDs: []uint32{4, 6}}},
	} {
		got, ok := Merge(&c.m, c.client, c.subs)
		if ok != (c.want != nil) {
			t.Errorf("%s: ok is %t", c.name, ok)
			continue
		}
		if ok {
			c.want.Message = &c.m
			if !reflect.DeepEqual(got, *c.want) {
				t.Errorf("%s:\ngot  %+v\nwant %+v", c.name, got, *c.want)
			}
		}
	}
}

// TestMergeSharesOneIdentifier: the usual case, one subscription, allocates nothing, and a second one does not
// write into what the first one shares.
func TestMergeSharesOneIdentifier(t *testing.T) {
	m := &message.Message{}
	a, b := NewSubscription(mqtt.FilterOptions{}, 1, nil), NewSubscription(mqtt.FilterOptions{}, 2, nil)
	one := []*Subscription{a}
	if n := testing.AllocsPerRun(100, func() { Merge(m, "c", one) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	first, _ := Merge(m, "c", []*Subscription{a, b})
	second, _ := Merge(m, "c", []*Subscription{a, a})
	if first.SubscriptionIDs[1] != 2 || second.SubscriptionIDs[1] != 1 {
		t.Errorf("%v, %v", first.SubscriptionIDs, second.SubscriptionIDs)
	}
}

package session

import "github.com/barid-mqtt/barid/mqtt"

// check compares what arrived with what was promised.
func (s *sim) check() {
	if s.t.Failed() {
		return
	}
	for _, p := range s.pubs {
		for id, state := range p.session.InboundIDs() {
			s.errorf("publisher %d: identifier %d is still %s", p.n, id, state)
		}
	}
	for _, n := range s.notes {
		if n.accepted && n.routed == 0 {
			s.errorf("message %d of publisher %d was accepted and lost", n.seq, n.publisher)
		}
		if n.qos != mqtt.AtLeastOnce && n.routed > 1 {
			s.errorf("message %d of publisher %d, QoS %d, was routed %d times", n.seq, n.publisher, n.qos, n.routed)
		}
	}
	together := map[*note]int{}
	for _, c := range s.subs {
		times := map[*note]int{}
		for _, n := range c.got {
			times[n]++
			together[n]++
		}
		for _, n := range s.notes {
			if !n.shared {
				c.checkNote(n, times[n])
			}
		}
		c.checkOrder()
	}
	s.checkShared(together)
}

func (c *subscriber) checkNote(n *note, times int) {
	qos := min(n.qos, c.granted)
	switch {
	case n.routed == 0 && times > 0:
		c.errorf("subscriber %d got message %d that was refused", c.n, n.seq)
	case n.routed > 0 && times == 0 && qos > 0 && !c.dropped[n]:
		c.errorf("subscriber %d lost message %d of publisher %d, QoS %d", c.n, n.seq, n.publisher, qos)
	case times > 1 && qos == mqtt.ExactlyOnce:
		c.errorf("subscriber %d got message %d of publisher %d %d times", c.n, n.seq, n.publisher, times)
	case times > n.routed && qos == mqtt.AtMostOnce:
		c.errorf("subscriber %d got message %d of publisher %d, QoS 0, %d times of %d", c.n, n.seq, n.publisher, times, n.routed)
	}
}

// checkOrder looks at first receptions: a repetition may come late, and so may what somebody refused at first, or what
// was routed twice and lost once at QoS 0.
func (c *subscriber) checkOrder() {
	type stream struct {
		publisher int
		qos       mqtt.QoS
	}
	last, seen := map[stream]int{}, map[*note]bool{}
	for _, n := range c.got {
		lossy := c.granted == mqtt.AtMostOnce && n.routed > 1
		if n.shared || n.refused || c.dropped[n] || lossy || seen[n] {
			continue
		}
		seen[n] = true
		k := stream{n.publisher, n.qos}
		if n.seq < last[k] {
			c.errorf("subscriber %d got message %d of publisher %d after %d", c.n, n.seq, n.publisher, last[k])
		}
		last[k] = n.seq
	}
}

// checkShared looks at the group as one.
func (s *sim) checkShared(times map[*note]int) {
	lowest := mqtt.ExactlyOnce
	for _, c := range s.subs {
		lowest = min(lowest, c.granted)
	}
	for _, n := range s.notes {
		if !n.shared {
			continue
		}
		dropped := false
		for _, c := range s.subs {
			dropped = dropped || c.dropped[n]
		}
		switch qos := min(n.qos, lowest); {
		case n.routed > 0 && times[n] == 0 && qos > 0 && !dropped:
			s.errorf("the group lost message %d of publisher %d", n.seq, n.publisher)
		case qos == mqtt.ExactlyOnce && times[n] > 1:
			s.errorf("the group got message %d of publisher %d %d times", n.seq, n.publisher, times[n])
		}
	}
}

package conformance

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// restWithout reads all that still comes, acknowledges QoS 1 so that more can come, and fails for what must not be there.
func (p *player) restWithout(s Step, c *client, unwanted Packet) error {
	for {
		got, err := c.next()
		p.noteArrival(s.Client, got, err)
		if errors.Is(err, errNothing) {
			return nil
		}
		if err != nil || p.bindings.Match(unwanted, got) {
			return fmt.Errorf("%s: must not come:\ngot  %s", s.Client, p.log[len(p.log)-1])
		}
		id, _ := got.get("id")
		if qos, _ := got.get("qos"); qos == "1" {
			if err := p.send(s.Client, c, "puback "+id); err != nil {
				return err
			}
		}
	}
}

// expect plays a line of what the server should do.
func (p *player) expect(s Step, c *client) error {
	if rest, ok := strings.CutPrefix(s.Arg, "rest without "); ok {
		unwanted, err := ParsePacket(rest)
		if err != nil {
			return err
		}
		return p.restWithout(s, c, unwanted)
	}
	if err := checkWanted(s.Arg); err != nil {
		return err
	}
	got, err := c.next()
	if p.arrived(s.Arg, got, err) {
		p.noteArrival(s.Client, got, err)
		c.closeToo(err)
		return nil
	}
	came := got.String()
	if err != nil {
		came = err.Error()
	}
	if p.edits != nil && !s.looped {
		p.edits[s.Line] = []string{s.Client + "< " + came}
		c.closeToo(err)
		return nil
	}
	return fmt.Errorf("%s:\nwant %s\ngot  %s", s.Client, s.Arg, came)
}

// checkWanted says what is wrong with an expectation that nothing could meet.
func checkWanted(want string) error {
	if want == "nothing" || want == "closed" {
		return nil
	}
	_, err := ParsePacket(want)
	return err
}

// arrived reports whether what came is what a script's line wants.
func (p *player) arrived(want string, got Packet, err error) bool {
	if want == "nothing" || want == "closed" || err != nil {
		return err != nil && err.Error() == want
	}
	packet, parseErr := ParsePacket(want)
	return parseErr == nil && p.bindings.Match(packet, got)
}

func (p *player) expectAnyOrder(s Step, c *client) error {
	var left []Step
	for _, wanted := range s.Block {
		if err := checkWanted(wanted.Arg); err != nil {
			return err
		}
		if wanted.Plays(p.version) {
			left = append(left, wanted)
		}
	}
	for len(left) > 0 {
		got, err := c.next()
		p.noteArrival(s.Client, got, err)
		i := slices.IndexFunc(left, func(w Step) bool {
			return p.arrived(replaceVariable(w.Arg, "v", p.version), got, err)
		})
		if i < 0 {
			var want []string
			for _, w := range left {
				want = append(want, w.Arg)
			}
			return fmt.Errorf("%s:\nwant one of\n\t%s\ngot  %v", s.Client, strings.Join(want, "\n\t"), p.log[len(p.log)-1])
		}
		left = slices.Delete(left, i, i+1)
	}
	return nil
}

// finish checks that no connection has anything left to be read.
func (p *player) finish(line int) error {
	for _, name := range p.names {
		c := p.clients[name]
		if c.ended() {
			continue
		}
		for {
			got, err := c.next()
			if errors.Is(err, errNothing) {
				break
			}
			came := got.String()
			if err != nil {
				came = err.Error()
			}
			if p.edits == nil || err != nil && !errors.Is(err, errClosed) {
				return fmt.Errorf("%s: at the end there is still\ngot  %s", name, came)
			}
			p.edits[-line] = append(p.edits[-line], name+"< "+came)
			if err != nil {
				break
			}
		}
	}
	return nil
}

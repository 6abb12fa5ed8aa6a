package conformance

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing/synctest"
	"time"
)

// server is the broker as a scenario needs it.
type server interface {
	Connect() net.Conn // a new connection, the client's end
	Stop()
	Restart()
}

// player plays one scenario.
type player struct {
	scenario Scenario
	version  string
	server   server
	clients  map[string]*client
	names    []string // of clients, in the order in which they came
	bindings Bindings
	last     Step             // the step before
	log      []string         // the dialogue so far
	edits    map[int][]string // for -rewrite: what should stand in a line's place; nil: fail instead
}

func newPlayer(s Scenario, version string, srv server) *player {
	return &player{scenario: s, version: version, server: srv, clients: map[string]*client{}, bindings: Bindings{}}
}

// play plays the whole scenario and returns what went wrong first, with the dialogue up to there.
func (p *player) play() error {
	line := p.scenario.Line
	for _, step := range p.scenario.Steps {
		if !step.Plays(p.version) {
			continue
		}
		line = step.Line
		step.Arg = replaceVariable(step.Arg, "v", p.version)
		if err := p.step(step); err != nil {
			return p.explain(line, err)
		}
	}
	if err := p.finish(line); err != nil {
		return p.explain(line, err)
	}
	return nil
}

func (p *player) explain(line int, err error) error {
	return fmt.Errorf("%s:%d: %w\nthe dialogue so far:\n\t%s", p.scenario.File, line, err, strings.Join(p.log, "\n\t"))
}

// step plays a step once all that went before is settled; only what one client sends in a row arrives in a row.
func (p *player) step(s Step) error {
	if s.Verb != Send || p.last.Verb != Send || s.Client != p.last.Client {
		synctest.Wait()
	}
	p.last = s
	switch s.Verb {
	case Advance:
		return p.advance(s.Arg)
	case Stop:
		p.note("stop")
		p.server.Stop()
		return nil
	case Restart:
		p.note("restart")
		p.server.Restart()
		return nil
	case Open:
		p.open(s.Client, s.Arg)
		return nil
	case Connect, Connected:
		return p.connect(s)
	}
	c := p.clients[s.Client]
	if c == nil {
		return fmt.Errorf("%s has no connection", s.Client)
	}
	return p.talk(s, c)
}

// talk plays a step on a connection that is there.
func (p *player) talk(s Step, c *client) error {
	switch s.Verb {
	case Subscribed:
		return p.subscribed(s, c)
	case Send:
		return p.send(s.Client, c, s.Arg)
	case Expect:
		return p.expect(s, c)
	case AnyOrder:
		return p.expectAnyOrder(s, c)
	case Drop:
		p.note(s.Client + " drop")
		c.drop()
	case IgnoreRest:
		c.ignoreRest = true
	}
	return nil
}

func (p *player) note(line string) { p.log = append(p.log, line) }

func (p *player) advance(arg string) error {
	d, err := time.ParseDuration(arg)
	if err != nil {
		return err
	}
	p.note("advance " + arg)
	<-time.After(d)
	return nil
}

func (p *player) open(name, version string) *client {
	if !slices.Contains(p.names, name) {
		p.names = append(p.names, name)
	}
	level, ok := Versions[version]
	if !ok {
		level = Versions["v5"]
	}
	p.clients[name] = newClient(p.server.Connect(), level)
	return p.clients[name]
}

func (p *player) connect(s Step) error {
	if old := p.clients[s.Client]; old != nil && !old.ended() {
		return fmt.Errorf("the script has not seen the end of %s's last connection", s.Client)
	}
	packet, err := ParsePacket("connect " + s.Arg)
	if err != nil {
		return err
	}
	version, ok := packet.get("version")
	if !ok {
		return errors.New("connect which version?")
	}
	c := p.open(s.Client, version)
	if err := p.send(s.Client, c, packet.String()); err != nil || s.Verb == Connect {
		return err
	}
	return p.takeForGranted(s, c, func(got Packet) bool {
		code, _ := got.get("code")
		return got.Kind == "connack" && code == "0x00"
	})
}

func (p *player) subscribed(s Step, c *client) error {
	const id = "65000" // out of the way of those that scripts use
	if err := p.send(s.Client, c, "subscribe "+id+" "+s.Arg); err != nil {
		return err
	}
	return p.takeForGranted(s, c, func(got Packet) bool {
		first, _ := got.get("id")
		refused := slices.ContainsFunc(got.all("code"), func(code string) bool { return code > "0x02" })
		return got.Kind == "suback" && first == id && !refused
	})
}

// takeForGranted takes the packet that answers a step which is there to make things so.
func (p *player) takeForGranted(s Step, c *client, good func(Packet) bool) error {
	got, err := c.next()
	p.noteArrival(s.Client, got, err)
	if err != nil {
		return fmt.Errorf("%s: got %w", s.Verb, err)
	}
	if !good(got) {
		return fmt.Errorf("%s: got %s", s.Verb, got)
	}
	return nil
}

// noteArrival writes into the dialogue what the server sent.
func (p *player) noteArrival(name string, got Packet, err error) {
	if err != nil {
		p.note(name + "< " + err.Error())
		return
	}
	p.note(name + "< " + got.String())
}

func (p *player) send(name string, c *client, arg string) error {
	p.note(name + "> " + arg)
	var data []byte
	var err error
	if raw, ok := strings.CutPrefix(arg, "raw "); ok {
		data, err = AppendRaw(nil, raw)
	} else {
		var packet Packet
		if packet, err = ParsePacket(arg); err == nil {
			packet = p.bindings.Expand(packet)
			c.watch.sent(packet)
			data, err = Encode(packet, c.level)
		}
	}
	if err != nil {
		return err
	}
	if _, err := c.conn.Write(data); err != nil {
		// What the script says next shows whether that was right.
		p.note(fmt.Sprintf("\t(%v)", err))
	}
	return nil
}

// leave closes all connections.
func (p *player) leave() {
	for _, c := range p.clients {
		_ = c.conn.Close()
	}
}

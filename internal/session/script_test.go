package session

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

var rewrite = flag.Bool("rewrite", false, "write what the session says into testdata/*.txt")

// TestScripts plays the dialogues of testdata. A line is a comment (#), a packet from the client (>), something that the
// owner does (a bare word), or, after either, what came of it (<).
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if bytes.Equal(got, want) {
				return
			}
			if *rewrite {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Error(firstDifference(string(got), string(want)))
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	i := 0
	for i < len(g) && i < len(w) && g[i] == w[i] {
		i++
	}
	from := max(0, i-5)
	return fmt.Sprintf("line %d:\n%s\ngot  %q\nwant %q", i+1, strings.Join(w[from:i], "\n"),
		strings.Join(g[i:min(i+1, len(g))], ""), strings.Join(w[i:min(i+1, len(w))], ""))
}

// player is the owner of the session that a script talks to.
type player struct {
	t        *testing.T
	now      time.Time
	opts     Options
	s        *Session
	messages map[string]*message.Message
}

func play(t *testing.T, script string) []byte {
	p := &player{t: t, now: time.Unix(1_800_000_000, 0), messages: map[string]*message.Message{}}
	p.s = New(p.opts)
	var out bytes.Buffer
	for i, line := range strings.Split(strings.TrimSuffix(script, "\n"), "\n") {
		if strings.HasPrefix(line, "<") {
			continue
		}
		fmt.Fprintln(&out, line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		c := parseCommand(t, i+1, line)
		for _, answer := range p.do(c) {
			fmt.Fprintln(&out, "<", answer)
		}
		if extra := slices.Sorted(maps.Keys(c.args)); len(extra) > 0 {
			t.Fatalf("line %d: %s has no argument %q", i+1, c.name, extra)
		}
	}
	return out.Bytes()
}

// command is one line of a script: a name, bare words, and key=value pairs, which are removed as they are read.
type command struct {
	t     *testing.T
	line  int
	name  string
	words []string
	args  map[string]string
}

func parseCommand(t *testing.T, n int, line string) command {
	fields := strings.Fields(line)
	if fields[0] == ">" {
		fields = append([]string{"> " + fields[1]}, fields[2:]...)
	}
	c := command{t: t, line: n, name: fields[0], args: map[string]string{}}
	for _, f := range fields[1:] {
		if key, value, ok := strings.Cut(f, "="); ok {
			c.args[key] = value
		} else {
			c.words = append(c.words, f)
		}
	}
	return c
}

func (c command) num(key string, otherwise int) int {
	v, ok := c.args[key]
	if !ok {
		return otherwise
	}
	delete(c.args, key)
	n, err := strconv.ParseInt(v, 0, 64)
	if err != nil {
		c.t.Fatalf("line %d: %s: %v", c.line, key, err)
	}
	return int(n)
}

func (c command) id() uint16            { return uint16(c.num("id", 0)) }
func (c command) qos() mqtt.QoS         { return mqtt.QoS(c.num("qos", 0)) }
func (c command) code() mqtt.ReasonCode { return mqtt.ReasonCode(c.num("code", 0)) }

func (c command) str(key string) string {
	v := c.args[key]
	delete(c.args, key)
	return v
}

func (c command) duration(text string) time.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		c.t.Fatalf("line %d: %v", c.line, err)
	}
	return d
}

// do runs a command and says what came of it.
func (p *player) do(c command) []string {
	if strings.HasPrefix(c.name, "> ") {
		return []string{p.receive(c)}
	}
	switch c.name {
	case "session":
		p.opts = Options{
			ReceiveMaximum: c.num("receive_maximum", 0), InFlightMax: c.num("in_flight_max", 0),
			QueueMax: c.num("queue_max", 0), QueueMaxBytes: int64(c.num("queue_max_bytes", 0)),
		}
		p.s = New(p.opts)
		return nil
	case "attach":
		p.s.Attach(Connection{Version: mqtt.Version(c.num("v", 5)), ReceiveMaximum: c.num("rm", 65535)})
		return nil
	case "detach":
		return []string{"unsent " + names(p.s.Detach())}
	case "advance":
		p.now = p.now.Add(c.duration(c.words[0]))
		return nil
	case "restart":
		p.restart()
		return nil
	case "done", "released", "paused":
		return []string{p.inbound(c)}
	case "enqueue", "front", "take", "discard", "room":
		return p.outbound(c)
	case "next":
		send, ok := p.s.Next(p.now)
		return []string{p.send(send, ok)}
	case "drain":
		var all []string
		for send, ok := p.s.Next(p.now); ok; send, ok = p.s.Next(p.now) {
			all = append(all, p.send(send, ok))
		}
		return append(all, p.send(Send{}, false))
	case "show":
		return p.show()
	}
	c.t.Fatalf("line %d: no command %q", c.line, c.name)
	return nil
}

// receive handles a packet of the client and says what it gets for it.
func (p *player) receive(c command) string {
	id := c.id()
	switch c.name {
	case "> publish":
		return [...]string{"process", "answer: pubrec", "wait", "disconnect 0x93"}[p.s.ReceivePublish(id, c.qos())]
	case "> pubrel":
		if p.s.ReceivePubrel(id) {
			return "release"
		}
		return fmt.Sprintf("pubcomp id=%d code=0x92", id)
	case "> puback":
		d, ok := p.s.ReceivePuback(id, c.code())
		return finished(d, ok)
	case "> pubcomp":
		d, ok := p.s.ReceivePubcomp(id, c.code())
		return finished(d, ok)
	case "> pubrec":
		switch r := p.s.ReceivePubrec(id, c.code()); {
		case r.Release:
			return fmt.Sprintf("pubrel id=%d (%s)", id, name(r.Delivery))
		case r.Finished:
			return finished(r.Delivery, r.Known)
		case r.Known:
			return "nothing"
		}
		return fmt.Sprintf("pubrel id=%d code=0x92", id)
	}
	c.t.Fatalf("line %d: no packet %q", c.line, c.name)
	return ""
}

func finished(d Delivery, ok bool) string {
	if !ok {
		return "unknown"
	}
	return "finished " + name(d)
}

func (p *player) inbound(c command) string {
	id := c.id()
	switch c.name {
	case "done":
		qos, code := c.qos(), c.code()
		switch answer := p.s.PublishDone(id, qos, code); {
		case !answer:
			return "nobody waits"
		default:
			packet := [...]string{"", "puback", "pubrec"}[qos]
			return fmt.Sprintf("%s id=%d code=0x%02x", packet, id, uint8(code))
		}
	case "released":
		p.s.PubrelDone(id)
		return fmt.Sprintf("pubcomp id=%d", id)
	}
	if p.s.InboundPaused() {
		return "yes"
	}
	return "no"
}

func (p *player) outbound(c command) []string {
	switch c.name {
	case "enqueue":
		m := &message.Message{Topic: c.words[0], Payload: make([]byte, c.num("bytes", 0))}
		if d := c.duration(c.str("expires")); d != 0 {
			m.ExpiresAt = p.now.Add(d)
		}
		d := Delivery{Message: m, QoS: c.qos()}
		if g := c.str("group"); g != "" {
			d.Group = g
		}
		p.messages[m.Topic] = m
		if reason := p.s.Enqueue(d); reason != message.NotDropped {
			return []string{"dropped " + reason.String()}
		}
	case "front":
		var ds []Delivery
		for _, w := range c.words {
			ds = append(ds, Delivery{Message: p.messages[w], QoS: 1})
		}
		p.s.EnqueueFront(ds)
	case "take":
		return []string{"taken " + names(p.s.TakeGroup(func(d Delivery) bool { return d.Group == c.words[0] }))}
	case "discard":
		p.s.Discard(c.id())
	case "room":
		if p.s.Room() == math.MaxInt { // its digits are the machine's
			return []string{"unlimited"}
		}
		return []string{strconv.Itoa(p.s.Room())}
	}
	return nil
}

func (p *player) send(send Send, ok bool) string {
	if !ok {
		return "nothing"
	}
	d := send.Delivery
	switch send.Kind {
	case Dropped:
		return fmt.Sprintf("drop %s: %s", name(d), send.Reason)
	case SendPubrel:
		return fmt.Sprintf("pubrel id=%d (%s)", send.PacketID, name(d))
	}
	text := fmt.Sprintf("publish %s qos=%d", name(d), d.QoS)
	if d.QoS > 0 {
		text += fmt.Sprintf(" id=%d", send.PacketID)
	}
	if send.Dup {
		text += " dup"
	}
	return text
}

func (p *player) show() []string {
	var lines []string
	ids := maps.Collect(p.s.InboundIDs())
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		lines = append(lines, fmt.Sprintf("in id=%d %s", id, ids[id]))
	}
	for f := range p.s.InFlightDeliveries() {
		state := "published"
		if f.Released {
			state = "released"
		}
		lines = append(lines, fmt.Sprintf("out id=%d %s qos=%d %s", f.PacketID, name(f.Delivery), f.Delivery.QoS, state))
	}
	return append(lines, fmt.Sprintf("queued %d, %d bytes", p.s.Queued(), p.s.QueuedBytes()))
}

// restart goes on with a session that was made from what a snapshot of this one holds.
func (p *player) restart() {
	var ids []uint16
	for id := range p.s.InboundIDs() {
		ids = append(ids, id)
	}
	s := New(p.opts)
	s.RestoreInbound(ids)
	if err := s.Restore(p.s.LastID(), slices.Collect(p.s.InFlightDeliveries())); err != nil {
		p.t.Fatal(err)
	}
	p.s = s
}

func name(d Delivery) string { return d.Message.Topic }

func names(ds []Delivery) string {
	if len(ds) == 0 {
		return "nothing"
	}
	all := make([]string, len(ds))
	for i, d := range ds {
		all[i] = name(d)
	}
	return strings.Join(all, " ")
}

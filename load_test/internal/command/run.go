package command

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/barid-mqtt/barid/load_test/internal/loop"
	"github.com/barid-mqtt/barid/load_test/internal/proc"
	"github.com/barid-mqtt/barid/load_test/internal/report"
	"github.com/barid-mqtt/barid/load_test/internal/scenario"
	"github.com/barid-mqtt/barid/mqtt"
)

// loadFlags are the flags that change a scenario's load. Those that were not given leave it as it is.
type loadFlags struct {
	set    *flag.FlagSet
	values scenario.Load
	qos    uint
	level  uint
	topics string
}

func addLoadFlags(set *flag.FlagSet) *loadFlags {
	f := &loadFlags{set: set}
	v := &f.values
	set.IntVar(&v.Publishers, "publishers", 0, "publishers")
	set.IntVar(&v.Subscribers, "subscribers", 0, "subscribers")
	set.IntVar(&v.Groups, "groups", 0, "groups that publishers and subscribers are dealt into")
	set.IntVar(&v.Clients, "clients", 0, "connections, of scenarios that only connect")
	set.StringVar(&f.topics, "topics", "", "group (one topic a group), each (one a publisher, subscribed one by one) or wildcard (one a publisher, one filter)")
	set.BoolVar(&v.Share, "share", false, "subscribers of a group share a subscription")
	set.UintVar(&f.qos, "qos", 0, "QoS of messages and subscriptions")
	set.IntVar(&v.PayloadBytes, "payload", 0, "bytes of a payload, at least 16")
	set.IntVar(&v.Window, "window", 0, "closed loop: messages under way of each publisher; 0: as many as the socket takes")
	set.IntVar(&v.Refill, "refill", 0, "closed loop: send when at least so many messages may be sent, for larger writes")
	set.IntVar(&v.Messages, "messages", 0, "messages in all, or subscriptions, of scenarios that make a number of them")
	set.Float64Var(&v.Rate, "rate", 0, "open loop: messages (or connections) a second in all; 0: closed loop")
	set.DurationVar(&v.Burst, "burst", 0, "open loop: messages are due at multiples of this, several publishers at once; 0: evenly spread")
	set.BoolVar(&v.OneWrite, "one", false, "a write for each message")
	set.DurationVar(&v.Nap, "nap", 0, "sleep of the generator after each round of events, so that the broker need not wake it for each write")
	set.UintVar(&f.level, "protocol", 4, "protocol level: 3 (MQTT 3.1), 4 (3.1.1) or 5")
	set.DurationVar(&v.Warmup, "warmup", 0, "time before measuring")
	set.DurationVar(&v.Duration, "duration", 0, "time of measuring")
	set.IntVar(&v.Loops, "loops", 0, "event loops of the generator; 0: half as many as there are processors")
	return f
}

// apply changes l by the flags that were given.
func (f *loadFlags) apply(l *scenario.Load) error {
	v := &f.values
	var err error
	f.set.Visit(func(given *flag.Flag) {
		switch given.Name {
		case "publishers":
			l.Publishers = v.Publishers
		case "subscribers":
			l.Subscribers = v.Subscribers
		case "groups":
			l.Groups = v.Groups
		case "clients":
			l.Clients = v.Clients
		case "topics":
			l.Topics = scenario.Topics(f.topics)
			if l.Topics != scenario.GroupTopic && l.Topics != scenario.TopicEach && l.Topics != scenario.TopicPattern {
				err = fmt.Errorf("--topics is group, each or wildcard, not %q", f.topics)
			}
		case "share":
			l.Share = v.Share
		case "qos":
			l.QoS = mqtt.QoS(min(f.qos, 3))
		case "payload":
			l.PayloadBytes = v.PayloadBytes
		case "window":
			l.Window = v.Window
			l.Refill = min(l.Refill, v.Window)
		case "messages":
			l.Messages = v.Messages
		case "rate":
			l.Rate = v.Rate
		case "burst":
			l.Burst = v.Burst
		case "one":
			l.OneWrite = v.OneWrite
		case "nap":
			l.Nap = v.Nap
		case "protocol":
			l.Version = mqtt.Version(min(f.level, 6))
		case "warmup":
			l.Warmup = v.Warmup
		case "duration":
			l.Duration = v.Duration
		case "loops":
			l.Loops = v.Loops
		}
	})
	if v.Refill > 0 {
		l.Refill = v.Refill
	}
	return err
}

// run runs one scenario against a broker that is running.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	set := flag.NewFlagSet("run", flag.ContinueOnError)
	set.SetOutput(stderr)
	addr := set.String("addr", "mqtt://127.0.0.1:1883", "the broker: host:port, or a URL with mqtt, mqtts, ws or wss")
	pid := set.Int("pid", 0, "process of the broker, to measure what it uses; 0: find it by its port, on this machine")
	asJSON := set.Bool("json", false, "print the result as JSON")
	sources := set.Int("sources", 1, "local addresses to connect from, if the broker is on a loopback address")
	load := addLoadFlags(set)
	name, err := parseWithName(set, args)
	if err != nil {
		return err
	}
	s, ok := scenario.Find(name)
	if !ok {
		return fmt.Errorf("there is no scenario %q; see the command list", name)
	}
	env := &scenario.Env{Load: s.Load, PID: *pid}
	if err := load.apply(&env.Load); err != nil {
		return err
	}
	if env.Target, err = loop.ParseTarget(*addr); err != nil {
		return err
	}
	env.Target.Sources = *sources
	env.Broker = env.Target.String()
	if env.PID == 0 {
		if port, local := env.Target.Port(); local {
			env.PID = proc.Listener(port)
		}
	}
	line := newProgress(stderr)
	env.Progress = line.of(s.Name)
	r, err := s.Run(ctx, env)
	line.clear()
	if err != nil {
		return err
	}
	if *asJSON {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	return printResult(stdout, r)
}

// parseWithName parses flags with one other argument, wherever that stands.
func parseWithName(set *flag.FlagSet, args []string) (name string, err error) {
	for len(args) > 0 {
		if err := set.Parse(args); err != nil {
			return "", err
		}
		args = set.Args()
		if len(args) == 0 {
			break
		}
		if name != "" {
			return "", fmt.Errorf("one scenario at a time: there are %q and %q", name, args[0])
		}
		name, args = args[0], args[1:]
	}
	if name == "" {
		return "", errors.New("which scenario? See the command list")
	}
	return name, nil
}

func printResult(w io.Writer, r *scenario.Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, m := range r.Metrics {
		fmt.Fprintf(t, "%s\t %s\t %s\t\n", m.Name, report.Number(m.Value), m.Unit)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if r.Partial {
		fmt.Fprintln(w, "broken off: the figures are of a shorter time")
	}
	for _, p := range r.Problems {
		fmt.Fprintln(w, "problem:", p)
	}
	return nil
}

// progress is the line that says how a run goes.
type progress struct {
	w        io.Writer
	terminal bool
	shown    time.Time
}

func newProgress(w io.Writer) *progress { return &progress{w: w, terminal: isTerminal(w)} }

// of returns what to tell of one run, by name.
func (p *progress) of(name string) func(phase string, done, of time.Duration, rate float64) {
	every := 5 * time.Second
	if p.terminal {
		every = 200 * time.Millisecond
	}
	return func(phase string, done, of time.Duration, rate float64) {
		if time.Since(p.shown) < every {
			return
		}
		p.shown = time.Now()
		text := fmt.Sprintf("%s: %s, %.1f of %.1f s", name, phase, done.Seconds(), of.Seconds())
		if rate > 0 {
			text += fmt.Sprintf(", %s/s", report.Number(rate))
		}
		if p.terminal {
			fmt.Fprintf(p.w, "\r%-79s", text)
		} else {
			fmt.Fprintln(p.w, text)
		}
	}
}

// clear takes the line away.
func (p *progress) clear() {
	if p.terminal && !p.shown.IsZero() {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", 79))
	}
}

package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/load_test/internal/loop"
	"github.com/barid-mqtt/barid/load_test/internal/peers"
	"github.com/barid-mqtt/barid/load_test/internal/report"
	"github.com/barid-mqtt/barid/load_test/internal/scenario"
)

// comparison is one run of the command compare.
type comparison struct {
	rounds    int
	out       string
	note      string // a word about the machine, for the report
	keep      bool   // results of other scenarios that are in out
	brokers   []*peers.Peer
	scenarios []scenario.Scenario
	load      *loadFlags
	work      string // temporary files
	line      *progress
	log       io.Writer
	report    report.Report
}

// compareFlags are the flags of compare that are of use only until it begins.
type compareFlags struct {
	scenarios, known, root string
	install                bool
	more                   []*peers.Peer
}

// parse reads the flags into c and f.
func (c *comparison) parse(f *compareFlags, args []string) error {
	set := flag.NewFlagSet("compare", flag.ContinueOnError)
	set.SetOutput(c.log)
	set.StringVar(&f.scenarios, "scenarios", "goals", "scenarios, separated by commas; goals: those with a goal; all: all that fit into this machine's descriptors")
	set.StringVar(&f.known, "peers", "mosquitto,nats", "known peers to compare with if they are installed, separated by commas")
	set.BoolVar(&f.install, "install", false, "install nats-server into the user's cache folder if it is not there")
	set.StringVar(&f.root, "root", ".", "Barid's source")
	set.IntVar(&c.rounds, "runs", 3, "runs of each scenario and broker")
	set.StringVar(&c.out, "out", "load_test_report", "folder for RESULTS.md, charts and results.json")
	set.StringVar(&c.note, "note", "", "a sentence for the report, such as what else the machine did")
	set.BoolVar(&c.keep, "add", false, "keep the results of other scenarios that are in the folder")
	set.Func("peer", "another peer: NAME,ADDRESS of one that runs, or NAME,ADDRESS,COMMAND to start it; may be repeated", func(s string) error {
		p, err := peers.Parse(s)
		f.more = append(f.more, p)
		return err
	})
	c.load = addLoadFlags(set)
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return fmt.Errorf("compare takes flags only, not %q", set.Arg(0))
	}
	return nil
}

// compare starts brokers, runs scenarios against each in turn, and writes a report.
func compare(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c := &comparison{line: newProgress(stderr), log: stderr}
	var f compareFlags
	err := c.parse(&f, args)
	if err != nil {
		return err
	}
	if c.scenarios, err = choose(f.scenarios); err != nil {
		return err
	}
	if c.work, err = os.MkdirTemp("", "barid-load-test"); err != nil {
		return fmt.Errorf("making a folder for the brokers: %w", err)
	}
	defer os.RemoveAll(c.work)
	if f.install {
		if err := peers.InstallNATS(ctx); err != nil {
			fmt.Fprintln(stderr, "load_test:", err)
		}
	}
	if err := c.findBrokers(ctx, f.root, strings.Split(f.known, ",")); err != nil {
		return err
	}
	c.brokers = append(c.brokers, f.more...)
	c.report.Facts = facts(c, args)
	c.runAll(ctx)
	if len(c.report.Runs) == 0 {
		return errors.New("nothing was measured")
	}
	if c.keep {
		if err := c.add(); err != nil {
			return err
		}
	}
	return c.write(stdout)
}

// maxClientsHere is the size past which a scenario is not part of "all": most systems give a process so many
// descriptors.
const maxClientsHere = 15_000

// choose returns scenarios by their names.
func choose(names string) (chosen []scenario.Scenario, err error) {
	for _, name := range strings.Split(names, ",") {
		s, ok := scenario.Find(name)
		switch {
		case ok:
			chosen = append(chosen, s)
		case name == "goals" || name == "all":
			for _, s := range scenario.All() {
				if name == "goals" && s.Goal != "" || name == "all" && s.Load.Descriptors() <= maxClientsHere {
					chosen = append(chosen, s)
				}
			}
		default:
			return nil, fmt.Errorf("there is no scenario %q; see the command list", name)
		}
	}
	return chosen, nil
}

// findBrokers finds what to compare: Barid first.
func (c *comparison) findBrokers(ctx context.Context, root string, known []string) error {
	barid, err := peers.Barid(ctx, root, c.work)
	if err != nil {
		return err
	}
	c.brokers = append(c.brokers, barid)
	if slices.Contains(known, "mosquitto") {
		p, err := peers.Mosquitto(ctx, c.work)
		if err != nil {
			return err
		}
		if p == nil {
			fmt.Fprintln(c.log, "mosquitto is not installed, and left out")
		} else {
			c.brokers = append(c.brokers, p)
		}
	}
	if slices.Contains(known, "nats") {
		if p := peers.NATS(ctx); p == nil {
			fmt.Fprintln(c.log, "nats-server is not installed, and left out; --install installs it")
		} else {
			c.brokers = append(c.brokers, p)
		}
	}
	return nil
}

// runAll makes all runs, or those until ctx ends. In each round another broker begins, so that none always runs on a
// machine that the one before has warmed.
func (c *comparison) runAll(ctx context.Context) {
	c.report.Scenarios = c.scenarios
	for _, b := range c.brokers {
		c.report.Brokers = append(c.report.Brokers, b.Name)
	}
	for _, s := range c.scenarios {
		for round := range c.rounds {
			for i := range c.brokers {
				if ctx.Err() != nil {
					return
				}
				c.runOne(ctx, s, round, c.brokers[(i+round)%len(c.brokers)])
			}
		}
	}
}

// runOne runs a scenario against a fresh broker.
func (c *comparison) runOne(ctx context.Context, s scenario.Scenario, round int, p *peers.Peer) {
	run := report.Run{Round: round, Result: scenario.Result{Scenario: s.Name, Broker: p.Name}}
	r, err := c.measure(ctx, s, round, p)
	c.line.clear()
	switch {
	case err != nil && ctx.Err() != nil:
		return
	case err != nil:
		run.Error = err.Error()
		fmt.Fprintf(c.log, "%s, %s: %v\n", s.Name, p.Name, err)
	default:
		run.Result = *r
		fmt.Fprintf(c.log, "%-22s %-10s run %d  %s\n", s.Name, p.Name, round+1, summary(&s, r))
	}
	c.report.Runs = append(c.report.Runs, run)
}

// summary says in a line what was measured.
func summary(s *scenario.Scenario, r *scenario.Result) string {
	var parts []string
	for _, key := range s.Keys {
		if m, ok := r.Get(key); ok {
			parts = append(parts, fmt.Sprintf("%s %s", key, strings.TrimSpace(report.Number(m.Value)+" "+m.Unit)))
		}
	}
	if len(r.Problems) > 0 {
		parts = append(parts, "problems: "+strings.Join(r.Problems, "; "))
	}
	return strings.Join(parts, ", ")
}

func (c *comparison) measure(ctx context.Context, s scenario.Scenario, round int, p *peers.Peer) (*scenario.Result, error) {
	env := &scenario.Env{Load: s.Load, Broker: p.Name}
	if err := c.load.apply(&env.Load); err != nil {
		return nil, err
	}
	need := peers.Need{Durability: s.Durability}
	if lack := p.Lacks(env.Load.Transport, need); lack != "" {
		return nil, fmt.Errorf("%s has no %s", p.Name, lack)
	}
	dir, err := os.MkdirTemp(c.work, p.Name)
	if err != nil {
		return nil, fmt.Errorf("making a folder for %s: %w", p.Name, err)
	}
	defer os.RemoveAll(dir)
	b, err := p.Start(ctx, dir, need)
	if err != nil {
		return nil, err
	}
	defer b.Stop()
	env.PID = b.PID
	if env.Target, err = loop.ParseTarget(env.Load.Transport + "://" + b.Addrs[env.Load.Transport]); err != nil {
		return nil, err
	}
	env.Progress = c.line.of(fmt.Sprintf("%s, %s, run %d of %d", s.Name, p.Name, round+1, c.rounds))
	r, err := s.Run(ctx, env)
	if !b.Running() {
		return nil, errors.Join(fmt.Errorf("%s has ended while it ran", p.Name), err)
	}
	return r, err
}

// write writes the report.
func (c *comparison) write(stdout io.Writer) error {
	c.report.Sort()
	c.report.Facts = append(c.report.Facts, [2]string{"finished", time.Now().Format("2006-01-02 15:04")})
	charts := map[string]string{}
	for file, chart := range map[string][2]string{
		"charts/cpu.svg":     {"Broker CPU seconds per million deliveries", scenario.MetricCPU},
		"charts/rate.svg":    {"Deliveries a second", scenario.MetricRate},
		"charts/latency.svg": {"Latency, p99, milliseconds", scenario.MetricP99},
		"charts/memory.svg":  {"Resident memory at the end, MB", scenario.MetricRSS},
	} {
		if svg := c.report.Chart(chart[0], chart[1]); svg != "" {
			charts[file] = svg
		}
	}
	if err := os.MkdirAll(filepath.Join(c.out, "charts"), 0o755); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	var files []string
	for file, svg := range charts {
		files = append(files, file)
		if err := os.WriteFile(filepath.Join(c.out, file), []byte(svg), 0o644); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	slices.Sort(files)
	return c.writeTables(stdout, files)
}

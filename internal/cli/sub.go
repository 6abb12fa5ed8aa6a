package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// The pauses between attempts to connect again double from the first to the last.
const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
)

// subOptions are the flags of sub.
type subOptions struct {
	clientOptions
	filters       []string
	verbose       bool
	count         int
	timeout       int
	format        string
	noRetained    bool
	onlyRetained  bool
	noEndOfLine   bool
	onlySubscribe bool
}

func sub(e *env, c *command, args []string) int {
	o := &subOptions{}
	fs := o.flags(c.name)
	fs.Func("t", "topic `FILTER` to subscribe to; may be repeated", func(s string) error { o.filters = append(o.filters, s); return nil })
	fs.BoolVar(&o.verbose, "v", false, "print the topic before the message")
	fs.IntVar(&o.count, "C", 0, "end after `COUNT` messages")
	fs.IntVar(&o.timeout, "W", 0, "end after `SECONDS`, with exit status 27")
	fs.StringVar(&o.format, "F", "", "print each message as `FORMAT` says: "+formatHelp)
	fs.BoolVar(&o.noRetained, "R", false, "do not print retained messages")
	fs.BoolVar(&o.onlyRetained, "retained-only", false, "print retained messages only, and end with the first other one")
	fs.BoolVar(&o.noEndOfLine, "N", false, "print no end of line after a message")
	fs.BoolVar(&o.onlySubscribe, "E", false, "end when the broker has granted the subscriptions")
	if status, done := e.parse(c, fs, args); done {
		return status
	}
	if err := o.check(); err != nil {
		return e.wrongUsage(c, err)
	}
	ctx, stop := signal.NotifyContext(e.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(o.timeout)*time.Second)
		defer cancel()
	}
	return o.status(e, c, o.run(ctx, e))
}

// status is the exit status after err, which is printed unless it is the end that the user asked for.
func (o *subOptions) status(e *env, c *command, err error) int {
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return exitOK
	case errors.Is(err, context.DeadlineExceeded) && o.timeout > 0:
		return exitTimeout
	}
	return e.fail(c, err)
}

func (o *subOptions) check() error {
	topic, err := o.complete()
	if err != nil {
		return err
	}
	if topic != "" {
		o.filters = append(o.filters, topic)
	}
	switch {
	case len(o.filters) == 0:
		return errors.New("give a topic filter: -t")
	case o.count < 0 || o.timeout < 0:
		return errors.New("-C and -W take positive numbers")
	case o.noRetained && o.onlyRetained:
		return errors.New("-R and --retained-only exclude each other")
	}
	switch {
	case o.format != "":
		return checkFormat(o.format)
	case o.verbose:
		o.format = "%t %p"
	default:
		o.format = "%p"
	}
	return nil
}

// subscriber prints messages until there are enough.
type subscriber struct {
	*subOptions
	out io.Writer

	mu       sync.Mutex
	printed  int
	over     bool  // no more messages are wanted
	err      error // of writing
	finished chan struct{}
}

// run subscribes and prints, connecting again whenever the connection is lost after it was up once.
func (o *subOptions) run(ctx context.Context, e *env) error {
	s := &subscriber{subOptions: o, out: e.stdout, finished: make(chan struct{})}
	clientState := newClientState()
	connect := func() (*client, error) {
		return o.connect(ctx, e.stderr, clientState, hooks{received: s.print, ack: s.ack})
	}
	cl, err := connect()
	for err == nil {
		if err = s.session(ctx, cl, e.stderr); !errors.As(err, new(*lostError)) || final(err) {
			return err
		}
		cl, err = again(ctx, e.stderr, err, connect)
	}
	return err
}

// again connects after the connection was lost for the reason given, however long it takes.
func again(ctx context.Context, stderr io.Writer, reason error, connect func() (*client, error)) (*client, error) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		fmt.Fprintf(stderr, "barid sub: %v; connecting again in %v\n", reason, pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		cl, err := connect()
		if err == nil || final(err) {
			return cl, err
		}
		reason = err
	}
}

// session subscribes on a new connection and prints until there are enough messages, which is no error.
func (s *subscriber) session(ctx context.Context, cl *client, stderr io.Writer) error {
	if err := s.subscribe(ctx, cl, stderr); err != nil {
		_ = cl.close() // err is the reason
		return err
	}
	if !s.onlySubscribe {
		select {
		case <-s.finished:
		case <-cl.up.Done():
			return context.Cause(cl.up)
		case <-ctx.Done():
			_ = cl.close() // the user's wish to end is no error
			return ctx.Err()
		}
	}
	return errors.Join(s.writeError(), cl.close())
}

func (s *subscriber) subscribe(ctx context.Context, cl *client, stderr io.Writer) error {
	packet := &paho.Subscribe{}
	for _, filter := range s.filters {
		packet.Subscriptions = append(packet.Subscriptions, paho.SubscribeOptions{Topic: filter, QoS: byte(s.qos)})
	}
	ctx, cancel := cl.whileUp(ctx)
	defer cancel()
	answer, err := cl.Subscribe(ctx, packet)
	if answer == nil {
		return fmt.Errorf("subscribing: %w", whyNoAnswer(ctx, err))
	}
	var reason string
	if answer.Properties != nil {
		reason = answer.Properties.ReasonString
	}
	for i, code := range answer.Reasons {
		if code >= 0x80 {
			return fmt.Errorf("subscribing to %s: %w", s.filters[i], refused(code, reason))
		}
		s.debugf(stderr, "subscribed to %s: QoS %d", s.filters[i], code)
	}
	return nil
}

// print is called for each message, one after the other.
func (s *subscriber) print(p *paho.Publish) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.onlyRetained && !p.Retain {
		s.over = true
	}
	if s.over || s.onlySubscribe || s.noRetained && p.Retain {
		return
	}
	line := appendMessage(nil, s.format, p, time.Now())
	if !s.noEndOfLine {
		line = append(line, '\n')
	}
	if _, s.err = s.out.Write(line); s.err != nil {
		s.over = true
		return
	}
	s.printed++
}

// ack sends the acknowledgement of a message that was printed, and ends it all after the last one. Messages beyond that
// are left to the broker, which keeps them for the session.
func (s *subscriber) ack(send func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.onlySubscribe || isClosed(s.finished) {
		return nil
	}
	enough := s.count > 0 && s.printed >= s.count
	if !s.over || enough {
		if err := send(); err != nil {
			return err
		}
	}
	if s.over || enough {
		s.over = true
		close(s.finished)
	}
	return nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (s *subscriber) writeError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return fmt.Errorf("writing: %w", s.err)
	}
	return nil
}

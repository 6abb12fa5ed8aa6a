package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/signal"
	"syscall"

	"github.com/eclipse/paho.golang/paho"

	"github.com/barid-mqtt/barid/mqtt"
)

// pubOptions are the flags of pub.
type pubOptions struct {
	clientOptions
	topic   string
	text    string
	hasText bool
	file    string
	lines   bool
	whole   bool
	empty   bool
	retain  bool
}

func pub(e *env, c *command, args []string) int {
	o := &pubOptions{}
	fs := o.flags(c.name)
	fs.StringVar(&o.topic, "t", "", "`TOPIC` to publish to")
	fs.Func("m", "publish `TEXT`", func(s string) error { o.text, o.hasText = s, true; return nil })
	fs.StringVar(&o.file, "f", "", "publish the content of `FILE`")
	fs.BoolVar(&o.lines, "l", false, "publish each line of standard input")
	fs.BoolVar(&o.whole, "s", false, "publish the whole standard input")
	fs.BoolVar(&o.empty, "n", false, "publish an empty message; with -r it removes the retained one")
	fs.BoolVar(&o.retain, "r", false, "retain the message")
	if status, done := e.parse(c, fs, args); done {
		return status
	}
	if err := o.check(); err != nil {
		return e.wrongUsage(c, err)
	}
	ctx, stop := signal.NotifyContext(e.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := o.run(ctx, e); err != nil {
		return e.fail(c, err)
	}
	return exitOK
}

func (o *pubOptions) check() error {
	topic, err := o.complete()
	if err != nil {
		return err
	}
	if o.topic == "" {
		o.topic = topic
	}
	given := 0
	for _, is := range []bool{o.hasText, o.file != "", o.lines, o.whole, o.empty} {
		if is {
			given++
		}
	}
	switch {
	case o.topic == "":
		return errors.New("give a topic: -t")
	case given != 1:
		return errors.New("give one message: -m, -f, -l, -s or -n")
	}
	return nil
}

// run publishes everything and waits for the answers.
func (o *pubOptions) run(ctx context.Context, e *env) error {
	cl, err := o.connect(ctx, e.stderr, newClientState(), hooks{})
	if err != nil {
		return err
	}
	for payload, err := range o.payloads(e.stdin) {
		if err == nil {
			err = o.publish(ctx, cl, e.stderr, payload)
		}
		if err != nil {
			_ = cl.close() // err is the reason; this could only repeat it
			return err
		}
	}
	return cl.close()
}

// payloads returns the messages that the flags ask for.
func (o *pubOptions) payloads(stdin io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		switch {
		case o.lines:
			yieldLines(stdin, yield)
		case o.whole:
			yield(io.ReadAll(stdin))
		case o.file != "":
			yield(os.ReadFile(o.file))
		default:
			yield([]byte(o.text), nil)
		}
	}
}

func yieldLines(stdin io.Reader, yield func([]byte, error) bool) {
	r := bufio.NewReader(stdin)
	for {
		line, err := r.ReadBytes('\n')
		switch {
		case err == nil:
			line = line[:len(line)-1]
		case !errors.Is(err, io.EOF):
			yield(nil, fmt.Errorf("reading standard input: %w", err))
			return
		case len(line) == 0:
			return
		}
		if !yield(line, nil) || err != nil {
			return
		}
	}
}

func (o *pubOptions) publish(ctx context.Context, cl *client, stderr io.Writer, payload []byte) error {
	ctx, cancel := cl.whileUp(ctx)
	defer cancel()
	answer, err := cl.Publish(ctx, &paho.Publish{Topic: o.topic, QoS: byte(o.qos), Retain: o.retain, Payload: payload})
	switch {
	case answer != nil && answer.ReasonCode >= 0x80:
		var reason string
		if answer.Properties != nil {
			reason = answer.Properties.ReasonString
		}
		err = refused(answer.ReasonCode, reason)
	case err != nil:
		err = whyNoAnswer(ctx, err)
	default:
		o.debugf(stderr, "published %d bytes to %s, QoS %d: %v", len(payload), o.topic, o.qos, mqtt.ReasonCode(answer.ReasonCode))
		return nil
	}
	return fmt.Errorf("publishing to %s: %w", o.topic, err)
}

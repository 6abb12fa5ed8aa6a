package ctl

import (
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// logPart is how much of a trace's log one request asks for.
const logPart = 1 << 20

// followEvery is how often a log that is followed is asked for more.
const followEvery = time.Second

// traceLog prints a log as far as it is. With --json it is one answer with all of it.
func traceLog(s *session, c *call) error {
	var whole strings.Builder
	position, err := s.tracePart(c, 0, func(text string) error {
		if s.json {
			whole.WriteString(text)
			return nil
		}
		return printLines(s.env.Stdout, text)
	})
	if err != nil || !s.json {
		return err
	}
	return s.encode(map[string]any{"items": whole.String(), "meta": map[string]any{"position": position}})
}

// traceFollow prints a log and what is added to it, until the trace has ended.
func traceFollow(s *session, c *call) error {
	for position := 0; ; {
		running, err := s.traceRuns(c.operand("NAME")) // before its log is read, so that nothing of it is missing
		if err != nil {
			return err
		}
		position, err = s.tracePart(c, position, func(text string) error {
			if s.json { // a trace with --format json has one object a line
				_, err := io.WriteString(s.env.Stdout, text)
				return err
			}
			return printLines(s.env.Stdout, text)
		})
		if err != nil || !running {
			return err
		}
		select {
		case <-s.env.Ctx.Done(): // Ctrl C is how people end it
			return nil
		case <-time.After(followEvery):
		}
	}
}

// traceRuns reports whether a trace runs, or is to; one that is not there does not, and its log says so.
func (s *session) traceRuns(name string) (bool, error) {
	var all []struct{ Name, Status string }
	if err := s.get("/trace", nil, &all); err != nil {
		return false, err
	}
	for _, t := range all {
		if t.Name == name {
			return t.Status != "stopped", nil
		}
	}
	return false, nil
}

// tracePart hands over a log from a position on, part by part, and returns where it ends now.
func (s *session) tracePart(c *call, position int, show func(text string) error) (int, error) {
	for {
		var part struct {
			Meta  struct{ Position int }
			Items string
		}
		q := url.Values{"bytes": {strconv.Itoa(logPart)}, "position": {strconv.Itoa(position)}}
		if err := s.get(c.fill(c.path, pathEscape), q, &part); err != nil || part.Meta.Position <= position {
			return position, err
		}
		if err := show(part.Items); err != nil {
			return position, err
		}
		position = part.Meta.Position
	}
}

// printLines prints a text, whose last line may go on, with nothing in it that drives the terminal.
func printLines(w io.Writer, text string) error {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, ended := strings.CutSuffix(line, "\n")
		if b.WriteString(clean(line)); ended {
			b.WriteByte('\n')
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

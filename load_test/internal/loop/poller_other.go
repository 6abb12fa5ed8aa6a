//go:build !linux

package loop

import "time"

// poller only waits for a time and wake: every connection is a stream here.
type poller struct{ woken chan struct{} }

func newPoller() (*poller, error) { return &poller{make(chan struct{}, 1)}, nil }

func (p *poller) start() {}
func (p *poller) close() {}

func (p *poller) wake() {
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

func (p *poller) wait(until int64) int {
	if until == Never {
		<-p.woken
		return 0
	}
	t := time.NewTimer(time.Duration(until - Now()))
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.woken:
	}
	return 0
}

func (p *poller) sleep(d time.Duration) { time.Sleep(d) }

func (p *poller) serve(*Loop, int) {}

func (c *Client) dialSocket(*Target) bool { return false }

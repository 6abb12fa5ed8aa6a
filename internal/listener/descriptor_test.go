//go:build unix

package listener

import "testing"

// A connection whose descriptor is beyond the limit is closed, and those below it go on.
func TestDescriptorsAreLeftToTheProcess(t *testing.T) {
	problems := make(chan Problem, 1)
	l, _ := start(t, Options{Name: "tcp", Type: TypeTCP, Bind: "127.0.0.1:0", MaxDescriptor: 1, OnProblem: func(p Problem) { problems <- p }})
	c := dial(t, l)
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes of a connection beyond the limit", n)
	}
	if p := <-problems; p.Reason != MaxDescriptors || l.Stats().Refused != 1 {
		t.Errorf("problem %+v, stats %+v", p, l.Stats())
	}
	roomy, got := start(t, Options{Name: "tcp", Type: TypeTCP, Bind: "127.0.0.1:0", MaxDescriptor: 1 << 30})
	client := dial(t, roomy)
	exchange(t, client, <-got)
}

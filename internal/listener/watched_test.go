package listener

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fakeLoops call ready every ten milliseconds.
type fakeLoops struct {
	watched atomic.Int32
	gone    bool
}

func (f *fakeLoops) Watch(_ int, ready func() bool) (stop func()) {
	if f.gone {
		return nil
	}
	f.watched.Add(1)
	done, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for {
			for ready() {
			}
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() {
		close(done)
		<-over
		f.watched.Add(-1)
	}
}

// fakeSocket gives connections, and errors, as they are put into it.
type fakeSocket struct {
	net.Listener
	loops *fakeLoops
	t     *testing.T

	mu    sync.Mutex
	queue []error // nil: a connection
}

func (s *fakeSocket) Unpoll() (fd int, ok bool) { return 7, true }

func (s *fakeSocket) TryAccept() (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return nil, nil
	}
	err := s.queue[0]
	s.queue = s.queue[1:]
	if err != nil {
		return nil, err
	}
	server, client := net.Pipe()
	_ = client.Close()
	return server, nil
}

func (s *fakeSocket) Close() error {
	if s.loops.watched.Load() != 0 {
		s.t.Error("the socket is closed while a loop knows it")
	}
	return nil
}

func (s *fakeSocket) add(errs ...error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, errs...)
}

// What loops accept obeys the rate and gets over failures as what a goroutine accepts does, and ends with Close.
func TestLoopsAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loops := new(fakeLoops)
		s := &fakeSocket{loops: loops, t: t}
		var problems atomic.Int32
		l, err := On(s, Options{Type: TypeTCP, AcceptRate: 100, OnProblem: func(Problem) { problems.Add(1) }})
		if err != nil {
			t.Fatal(err)
		}
		var got atomic.Int32
		ended := make(chan error)
		go func() {
			ended <- l.ServeOn(loops, func(a *Accepted) {
				got.Add(1)
				_ = a.Close()
			})
		}()
		s.add(make([]error, 5)...)
		time.Sleep(time.Second)
		if n := got.Load(); n != 5 {
			t.Errorf("%d connections were accepted, not 5", n)
		}
		s.add(make([]error, 1000)...)
		time.Sleep(2 * time.Second)
		if n := got.Load(); n < 190 || n > 230 {
			t.Errorf("%d connections were accepted within two seconds at 100/s", n)
		}
		time.Sleep(10 * time.Second)
		s.add(nil, errors.New("no descriptor"), errors.New("no descriptor"), nil)
		time.Sleep(time.Second)
		if n := got.Load(); n != 1007 || problems.Load() != 2 || l.Stats().AcceptErrors != 2 {
			t.Errorf("%d were accepted, %d problems, %+v", n, problems.Load(), l.Stats())
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		s.add(nil)
		if err := l.ServeOn(loops, nil); err != nil || got.Load() != 1007 {
			t.Errorf("after Close: %v, %d accepted", err, got.Load())
		}
	})
}

// Without loops, and where a socket has to be waited for, serving says so or is done by a goroutine.
func TestServeOnWithoutLoops(t *testing.T) {
	s := &fakeSocket{loops: &fakeLoops{gone: true}, t: t}
	l, err := On(s, Options{Type: TypeTCP})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.ServeOn(s.loops, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ServeOn: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

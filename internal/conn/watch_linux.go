package conn

import (
	"sync"
	"syscall"
)

// watched is a socket that a loop waits for on somebody else's behalf, such as one that listens.
type watched struct {
	mu    sync.Mutex // held while ready runs; comes before all other locks
	ready func() (more bool)
	over  bool
}

// Watch has a loop call ready whenever a socket becomes readable, once first if it is now, and again if ready says that
// there is more. ready must not wait. stop ends that; ready does not run any more when it returns, and the socket may not
// be closed before. stop is nil if there are no loops any more.
//
// It is always the same loop, which is in use as long as any is: what comes from there is spread over all of them.
func (ls *Loops) Watch(fd int, ready func() (more bool)) (stop func()) {
	l, w := ls.all[0], &watched{ready: ready}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped || l.watch(fd) != nil {
		return nil
	}
	l.watched[int32(fd)] = w
	return func() {
		l.mu.Lock()
		delete(l.watched, int32(fd))
		_ = control(l.epfd, syscall.EPOLL_CTL_DEL, fd, nil) // it is there
		l.mu.Unlock()
		w.mu.Lock()
		w.over = true
		w.mu.Unlock()
	}
}

// visit looks after a socket that is no connection's.
func (l *Loop) visit(fd int32) {
	l.mu.Lock()
	w := l.watched[fd]
	l.mu.Unlock()
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over && w.ready() {
		l.more = append(l.more, fd)
	}
}

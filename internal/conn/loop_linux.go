package conn

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/barid-mqtt/barid/internal/metrics"
)

// epollEvents are told once, when they happen (EPOLLET, 1<<31): with the other mode a socket keeps the place in the
// kernel's list that it had the last time.
const epollEvents = syscall.EPOLLIN | syscall.EPOLLRDHUP | 1<<31

// loopEvents is how many events a loop takes at a time.
const loopEvents = 256

// Loop waits for many sockets at once, and feeds their connections, so that an idle connection has neither a goroutine nor
// a buffer. Events are handled in the order in which the kernel reports them: what one client sent before another is
// handled before it, which a goroutine each does not promise.
//
// A connection that is suspended stays in the loop, which reads nothing of it until it is resumed. One that ends leaves
// for a goroutine of its own if its end takes time.
type Loop struct {
	metrics *metrics.Metrics
	epoll   *os.File // parks in the runtime's own poller
	raw     syscall.RawConn
	epfd    int
	wakeR   int // a pipe: written to when something is in the queue
	wakeW   int
	wg      sync.WaitGroup

	work   stopwatch     // on events
	window atomic.Uint32 // the balancer counts: activity is of the present one or the one before

	// Owned by the loop's goroutine.
	batch  *Batch
	buf    []byte
	pace   pace
	bytes  int // that the round has read
	events []syscall.EpollEvent
	more   []int32   // sockets that may have more to read than was read
	again  []int32   // those of the round before
	over   []*driver // whose clients have left

	resumed []*driver // while they were fed

	mu      sync.Mutex // guards what follows
	drivers map[int32]*driver
	watched map[int32]*watched // sockets that are no connection's
	queue   []*driver          // to be looked at
	move    *move              // what the balancer asks for; nil: nothing
	woken   bool
	stopped bool
}

// stopwatch adds up how long something went on.
type stopwatch struct {
	mu    sync.Mutex
	total time.Duration
	since time.Time // zero: it does not go on now
}

func (w *stopwatch) start(now time.Time) {
	w.mu.Lock()
	w.since = now
	w.mu.Unlock()
}

func (w *stopwatch) stop(now time.Time) {
	w.mu.Lock()
	w.total += now.Sub(w.since)
	w.since = time.Time{}
	w.mu.Unlock()
}

func (w *stopwatch) read(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since.IsZero() {
		return w.total
	}
	return w.total + now.Sub(w.since)
}

// move is a part of a loop's work that another is to do.
type move struct {
	to  *Loop
	all bool // or else about a half
}

func newLoop(m *metrics.Metrics) (*Loop, error) {
	l := &Loop{
		metrics: m, drivers: make(map[int32]*driver), watched: make(map[int32]*watched), batch: NewBatch(), buf: make([]byte, readBytes),
		events: make([]syscall.EpollEvent, loopEvents),
	}
	var err error
	if l.epfd, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("making an event loop: %w", err)
	}
	pipe := make([]int, 2)
	if err = syscall.Pipe2(pipe, syscall.O_NONBLOCK|syscall.O_CLOEXEC); err == nil {
		l.wakeR, l.wakeW = pipe[0], pipe[1]
		err = l.watch(l.wakeR)
	}
	if err == nil {
		err = syscall.SetNonblock(l.epfd, true) // so that the runtime polls it
	}
	if err == nil {
		l.epoll = os.NewFile(uintptr(l.epfd), "epoll")
		l.raw, err = l.epoll.SyscallConn()
	}
	if err != nil {
		return nil, fmt.Errorf("making an event loop: %w", err)
	}
	l.wg.Go(func() { _ = l.raw.Read(l.rounds) })
	return l, nil
}

func (l *Loop) stop() {
	l.mu.Lock()
	l.stopped = true
	l.wake()
	l.mu.Unlock()
	l.wg.Wait()
	_ = l.epoll.Close()
	_ = syscall.Close(l.wakeR)
	_ = syscall.Close(l.wakeW)
}

// wake has the loop look at its queue. The caller holds l.mu.
func (l *Loop) wake() {
	if !l.woken {
		l.woken = true
		_, _ = syscall.Write(l.wakeW, []byte{0})
	}
}

func (l *Loop) watch(fd int) error {
	return control(l.epfd, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: epollEvents, Fd: int32(fd)})
}

// add takes a connection in. The caller holds d.mu.
func (l *Loop) add(d *driver) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return false
	}
	l.drivers[int32(d.fd)] = d
	d.loop = l
	if err := l.watch(d.fd); err != nil {
		delete(l.drivers, int32(d.fd))
		d.loop = nil
		return false
	}
	if d.layers != nil { // they may have read more than their handshake, and of that the socket tells nothing
		l.queue = append(l.queue, d)
		l.wake()
	}
	return true
}

// remove takes it out. It reports whether it was there.
func (l *Loop) remove(d *driver) bool {
	if !l.forget(d) {
		return false
	}
	_ = control(l.epfd, syscall.EPOLL_CTL_DEL, d.fd, nil)
	return true
}

// forget is remove for a connection whose socket is about to be closed, which takes it out of the kernel's list.
func (l *Loop) forget(d *driver) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drivers[int32(d.fd)] != d {
		return false
	}
	delete(l.drivers, int32(d.fd))
	return true
}

func (l *Loop) find(fd int32) *driver {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.drivers[fd]
}

// look has the loop look at a connection that was resumed, or is to end.
func (l *Loop) look(d *driver) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, d)
	l.wake()
}

// rounds handles all events there are, and reports whether the loop is to end. The runtime calls it whenever there are
// new ones: within one RawConn.Read, since whatever happens between two rounds is then remembered, and need not be asked
// for.
func (l *Loop) rounds(epfd uintptr) (stopped bool) {
	if l.pace.rests() {
		rest(paceRest)
	}
	for {
		n, err := pollNow(int(epfd), l.events)
		if err != nil && err != syscall.EINTR {
			return true
		}
		if n <= 0 && len(l.more) == 0 {
			if err == nil {
				return false
			}
			continue
		}
		if l.round(l.events[:max(n, 0)]) {
			return true
		}
		if n < len(l.events) && len(l.more) == 0 && err == nil {
			return false // whatever came since is told again
		}
	}
}

// round handles events, with one flush for all that they bring.
func (l *Loop) round(events []syscall.EpollEvent) (stopped bool) {
	b := l.batch
	b.Now = time.Now()
	l.work.start(b.Now)
	look := false
	l.again, l.more = l.more, l.again[:0]
	for _, fd := range l.again {
		if d := l.find(fd); d != nil {
			l.serve(b, d)
		} else {
			l.visit(fd)
		}
	}
	for _, e := range events {
		if int(e.Fd) == l.wakeR {
			look = true
		} else if d := l.find(e.Fd); d != nil {
			d.ends = d.ends || e.Events&^syscall.EPOLLIN != 0
			l.serve(b, d)
		} else {
			l.visit(e.Fd)
		}
	}
	if look {
		stopped = l.lookAtQueue(b)
	}
	for i := 0; i < len(l.resumed); i++ { // it may grow
		l.goOn(b, l.resumed[i])
	}
	l.resumed = emptied(l.resumed)
	b.Flush(l.metrics)
	for _, d := range l.over {
		if !d.leave() {
			d.unpark()
			go d.run(Closed, nil)
		}
	}
	l.over = emptied(l.over)
	l.pace.round(b.Now, len(events), l.bytes)
	l.bytes = 0
	l.work.stop(time.Now())
	return stopped
}

// emptied empties a list, but for its memory.
func emptied(ds []*driver) []*driver {
	clear(ds)
	return ds[:0]
}

// serve reads what one connection's client sent, and feeds it.
func (l *Loop) serve(b *Batch, d *driver) {
	if d.stalled {
		return
	}
	n, full, err := d.tryRead(l.buf)
	if err != nil {
		d.gone = true
		l.end(d)
		return
	}
	if n == 0 {
		return
	}
	l.count(d, n)
	l.bytes += n
	l.settle(d, d.c.Feed(b, l.buf[:n]), full || d.ends)
}

// settle does what the state of a connection asks for that was just fed.
func (l *Loop) settle(d *driver, s Status, more bool) {
	switch {
	case s == Closed:
		l.end(d)
	case d.c.ending.Load() != nil:
		l.hand(d, s)
	case s == Suspended:
		d.stalled = true
		if !d.c.IsSuspended() { // it was resumed meanwhile, and no wake follows
			l.resumed = append(l.resumed, d)
		}
	case more:
		l.more = append(l.more, int32(d.fd))
	}
}

// hand gives a connection to a goroutine.
func (l *Loop) hand(d *driver, s Status) {
	if l.remove(d) {
		d.unpark()
		go d.run(s, nil)
	}
}

// end lets go of a connection that is over, once what it has to say was flushed.
func (l *Loop) end(d *driver) {
	if l.forget(d) {
		l.over = append(l.over, d)
	}
}

// lookAtQueue goes on with connections that were resumed, hands over those that are to end, and does what else was asked
// for. It reports whether the loop is to end.
func (l *Loop) lookAtQueue(b *Batch) (stopped bool) {
	_, _ = syscall.Read(l.wakeR, l.buf)
	l.mu.Lock()
	queue, m := l.queue, l.move
	l.queue, l.move, l.woken = nil, nil, false
	stopped = l.stopped
	l.mu.Unlock()
	for _, d := range queue {
		l.goOn(b, d)
	}
	if m != nil {
		l.give(m)
	}
	return stopped
}

// goOn looks at a connection that was resumed or is to end, or both or neither.
func (l *Loop) goOn(b *Batch, d *driver) {
	switch {
	case l.find(int32(d.fd)) != d:
		d.relook()
	case d.c.IsClosing() || d.c.ending.Load() != nil:
		l.hand(d, d.status())
	case d.stalled && !d.c.IsSuspended():
		d.stalled = false
		l.settle(d, d.c.Feed(b, nil), true)
	case d.layers != nil:
		l.serve(b, d)
	}
}

// status is how the loop leaves a connection.
func (d *driver) status() Status {
	if d.stalled {
		d.stalled = false
		return Suspended
	}
	return Hungry
}

// relook passes a wake on to the loop that a connection moved to meanwhile, which may be the one that asks: it has moved
// back then.
func (d *driver) relook() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.loop != nil {
		d.loop.look(d)
	}
}

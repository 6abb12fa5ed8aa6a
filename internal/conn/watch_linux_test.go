package conn

import (
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/metrics"
)

// A loop tells of a socket that it watches at once if there is something, whenever more comes, and again while it is told
// that there is more; and not after stop.
func TestLoopsWatchSocketsOfOthers(t *testing.T) {
	ls, err := NewLoops(2, new(metrics.Metrics))
	if err != nil {
		t.Fatal(err)
	}
	pipe := make([]int, 2)
	if err := syscall.Pipe2(pipe, syscall.O_NONBLOCK|syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	send := func(n int) {
		if _, err := syscall.Write(pipe[1], make([]byte, n)); err != nil {
			t.Error(err)
		}
	}
	var got atomic.Int32
	told := make(chan struct{}, 100)
	send(3)
	stop := ls.Watch(pipe[0], func() bool { // takes a byte at a time
		if n, _ := syscall.Read(pipe[0], make([]byte, 1)); n < 1 {
			told <- struct{}{}
			return false
		}
		got.Add(1)
		return true
	})
	for want := range int32(3) {
		select {
		case <-told:
		case <-time.After(10 * time.Second):
			t.Fatal("the loop tells of nothing")
		}
		if n := got.Load(); n != 3+2*want {
			t.Errorf("%d bytes were read, not %d", n, 3+2*want)
		}
		send(2)
	}
	<-told
	stop()
	n := got.Load()
	send(1)
	time.Sleep(20 * time.Millisecond)
	if got.Load() != n {
		t.Error("the loop tells of a socket that it does not watch any more")
	}
	ls.Stop()
	if stop := ls.Watch(pipe[0], func() bool { return false }); stop != nil {
		t.Error("loops that are stopped watch")
	}
	_, _ = syscall.Close(pipe[0]), syscall.Close(pipe[1])
}

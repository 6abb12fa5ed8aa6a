package listener

import (
	"syscall"
	"testing"
)

func TestAcceptedSocketsHaveKeepAliveAndNoDelay(t *testing.T) {
	l, got := start(t, Options{Name: "t", Type: TypeTCP, Bind: "127.0.0.1:0"})
	dial(t, l)
	a := <-got
	a.Bare().Control(func(fd uintptr) {
		for _, o := range [][3]int{
			{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 60},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 15},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 4},
			{syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1},
		} {
			if v, err := syscall.GetsockoptInt(int(fd), o[0], o[1]); v != o[2] || err != nil {
				t.Errorf("option %d of level %d is %d (%v), want %d", o[1], o[0], v, err, o[2])
			}
		}
	})
}

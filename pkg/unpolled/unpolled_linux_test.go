package unpolled

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// pair returns both ends of a connection, the accepted one first.
func pair(t *testing.T, network, address string) (*Conn, net.Conn) {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	l := Listener(ln)
	defer l.Close()
	client, err := net.Dial(network, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.Close()
		_ = c.Close()
	})
	return c.(*Conn), client
}

func networks(t *testing.T, test func(t *testing.T, c *Conn, client net.Conn)) {
	for network, address := range map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0", "unix": filepath.Join(t.TempDir(), "s")} {
		t.Run(network, func(t *testing.T) {
			if network == "tcp6" {
				if ln, err := net.Listen(network, address); err != nil {
					t.Log("this machine has no IPv6")
					return
				} else {
					_ = ln.Close()
				}
			}
			c, client := pair(t, network, address)
			test(t, c, client)
		})
	}
}

func try(t *testing.T, c *Conn, call func(fd int) (int, error)) (n int, err error) {
	t.Helper()
	raw, _ := c.SyscallConn()
	if rawErr := raw.Read(func(fd uintptr) bool {
		n, err = call(int(fd))
		return true
	}); rawErr != nil {
		t.Fatal(rawErr)
	}
	return n, err
}

func TestWhatDoesNotWaitLeavesAConnectionUnpolled(t *testing.T) {
	networks(t, func(t *testing.T, c *Conn, client net.Conn) {
		buf := make([]byte, 10)
		if _, err := try(t, c, func(fd int) (int, error) { return syscall.Read(fd, buf) }); err != syscall.EAGAIN {
			t.Errorf("reading nothing: %v", err)
		}
		if _, err := client.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		n, err := 0, error(syscall.EAGAIN)
		for err == syscall.EAGAIN { // loopback is quick, not immediate
			n, err = try(t, c, func(fd int) (int, error) { return syscall.Read(fd, buf) })
		}
		if err != nil || string(buf[:n]) != "hello" {
			t.Errorf("read %q, %v", buf[:n], err)
		}
		if _, err := try(t, c, func(fd int) (int, error) { return syscall.Write(fd, []byte("bye")) }); err != nil {
			t.Error(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Error(err)
		}
		if got, err := io.ReadAll(client); err != nil || string(got) != "bye" {
			t.Errorf("the client read %q, %v", got, err)
		}
		if c.polled.Load() != nil {
			t.Error("the runtime polls it")
		}
	})
}

func TestAddressesAreThoseOfPackageNet(t *testing.T) {
	networks(t, func(t *testing.T, c *Conn, client net.Conn) {
		if got, want := c.LocalAddr(), client.RemoteAddr(); got.Network()[:3] != want.Network()[:3] || got.String() != want.String() {
			t.Errorf("local address %v, want %v", got, want)
		}
		if client.LocalAddr().Network() == "unix" {
			if got := c.RemoteAddr(); got.Network() != "unix" || got.String() != "@" { // as a net.UnixConn has it
				t.Errorf("remote address %v of %v", got, got.Network())
			}
			return
		}
		if got, want := c.RemoteAddr(), client.LocalAddr(); got.String() != want.String() {
			t.Errorf("remote address %v, want %v", got, want)
		}
	})
}

func TestReadAndWriteWait(t *testing.T) {
	networks(t, func(t *testing.T, c *Conn, client net.Conn) {
		large := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
		var both sync.WaitGroup
		both.Go(func() {
			got, err := io.ReadAll(client)
			if err != nil || !bytes.Equal(got, large) {
				t.Errorf("the client read %d bytes, %v", len(got), err)
			}
			_, _ = client.Write([]byte("thanks"))
			_ = client.Close()
		})
		if _, err := c.Write(large); err != nil {
			t.Error(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Error(err)
		}
		if got, err := io.ReadAll(c); err != nil || string(got) != "thanks" {
			t.Errorf("read %q, %v", got, err)
		}
		both.Wait()
	})
}

func TestDeadlinesEndAWait(t *testing.T) {
	networks(t, func(t *testing.T, c *Conn, _ net.Conn) {
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read: %v", err)
		}
		raw, _ := c.SyscallConn()
		if err := raw.Read(func(uintptr) bool { return true }); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after the deadline: %v", err)
		}
		if err := c.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if err := raw.Read(func(uintptr) bool { return true }); err != nil {
			t.Errorf("without a deadline: %v", err)
		}
	})
}

func TestCloseEndsAWaitAndAllThatComesAfterIt(t *testing.T) {
	networks(t, func(t *testing.T, c *Conn, client net.Conn) {
		waits := make(chan error)
		go func() {
			raw, _ := c.SyscallConn()
			waits <- raw.Read(func(uintptr) bool { return false })
		}()
		for c.polled.Load() == nil {
			time.Sleep(time.Millisecond)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-waits; !errors.Is(err, net.ErrClosed) {
			t.Errorf("who waited got %v", err)
		}
		if got, err := io.ReadAll(client); err != nil || len(got) > 0 {
			t.Errorf("the client read %q, %v", got, err)
		}
		_, readErr := c.Read(nil)
		_, writeErr := c.Write(nil)
		raw, _ := c.SyscallConn()
		for i, err := range []error{readErr, writeErr, c.Close(), c.CloseWrite(), c.SetLinger(0), c.SetDeadline(time.Time{}),
			raw.Control(func(uintptr) {}), raw.Read(func(uintptr) bool { return true }), raw.Write(func(uintptr) bool { return true })} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("call %d: %v", i, err)
			}
		}
	})
}

// Descriptors are used again at once, so a call that is under way must keep its own open.
func TestCloseWaitsForTheCallsUnderWay(t *testing.T) {
	c, _ := pair(t, "tcp4", "127.0.0.1:0")
	raw, _ := c.SyscallConn()
	inside, over := make(chan struct{}), make(chan struct{})
	go func() {
		_ = raw.Write(func(fd uintptr) bool {
			close(inside)
			time.Sleep(20 * time.Millisecond)
			if _, err := syscall.Getpeername(int(fd)); err != nil {
				t.Errorf("the descriptor was closed: %v", err)
			}
			return true
		})
		close(over)
	}()
	<-inside
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	<-over
}

func TestAbortIsToldToTheClient(t *testing.T) {
	c, client := pair(t, "tcp4", "127.0.0.1:0")
	if err := errors.Join(c.SetLinger(0), c.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client read: %v", err)
	}
}

func TestAcceptEndsWithTheListener(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listener(ln)
	ended := make(chan error)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
}

// A listener that nobody polls gives what is there, without waiting, until it is closed.
func TestTryAcceptDoesNotWait(t *testing.T) {
	for network, address := range map[string]string{"tcp4": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		ln, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		l := Listener(ln).(*listener)
		fd, ok := l.Unpoll()
		if again, _ := l.Unpoll(); !ok || again != fd {
			t.Fatalf("%s: Unpoll: %d, %v, then %d", network, fd, ok, again)
		}
		if c, err := l.TryAccept(); c != nil || err != nil {
			t.Errorf("%s: nobody has connected: %v, %v", network, c, err)
		}
		client, err := net.Dial(network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.TryAccept()
		for c == nil && err == nil { // a client is connected a moment before its server is
			c, err = l.TryAccept()
		}
		if err != nil {
			t.Fatalf("%s: %v, %v", network, c, err)
		}
		if _, err := client.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if n, err := c.Read(make([]byte, 2)); n != 1 || err != nil {
			t.Errorf("%s: read %d, %v", network, n, err)
		}
		_, _ = client.Close(), c.Close()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := l.TryAccept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: after Close: %v", network, err)
		}
		if _, ok := l.Unpoll(); ok {
			t.Errorf("%s: a closed listener is unpolled", network)
		}
		if _, err := net.Dial(network, ln.Addr().String()); err == nil {
			t.Errorf("%s: it listens on", network)
		}
	}
}

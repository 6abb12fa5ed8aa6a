package memnet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mustWrite(t *testing.T, c io.Writer, s string) {
	t.Helper()
	if n, err := c.Write([]byte(s)); n != len(s) || err != nil {
		t.Fatalf("Write(%q) = %d, %v", s, n, err)
	}
}

func mustRead(t *testing.T, c io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

func TestWriteDoesNotWaitForReader(t *testing.T) {
	a, b := Pipe()
	mustWrite(t, a, "ping")
	mustWrite(t, b, "pong")
	mustRead(t, b, "ping")
	mustRead(t, a, "pong")
}

func TestWriteBlocksAtLimitAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := PipeWith(Options{BufferBytes: 10})
		done := make(chan error, 1)
		go func() {
			_, err := a.Write([]byte("0123456789abcdef"))
			done <- err
		}()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("16 bytes fitted in a buffer of 10: %v", err)
		default:
		}
		if n := b.Unread(); n != 10 {
			t.Fatalf("%d bytes under way, want 10", n)
		}
		mustRead(t, b, "0123456789abcdef")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestWritesDoNotMix(t *testing.T) {
	const rounds, writers, size = 20, 8, 2000
	for range rounds { // chance decides whether two writes could have met
		a, b := PipeWith(Options{BufferBytes: 3})
		for i := range writers {
			go a.Write(bytes.Repeat([]byte{byte('a' + i)}, size))
		}
		got := make([]byte, writers*size)
		if _, err := io.ReadFull(b, got); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(got); i += size {
			if n := bytes.Count(got[i:i+size], got[i:i+1]); n != size {
				t.Fatalf("writes mixed: %d of %d bytes are of another", size-n, size)
			}
		}
	}
}

func TestReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe()
		start := time.Now()
		b.SetReadDeadline(start.Add(3 * time.Second))
		_, err := b.Read(make([]byte, 1))
		var ne net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
			t.Fatalf("err = %v, want a timeout", err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Fatalf("took %v, want 3 s", d)
		}
		mustWrite(t, a, "x")
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a read after the deadline: %v", err)
		}
		b.SetReadDeadline(time.Time{})
		mustRead(t, b, "x")
	})
}

func TestWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := PipeWith(Options{BufferBytes: 4})
		a.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := a.Write([]byte("123456"))
		if n != 4 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("Write = %d, %v; want 4 and a timeout", n, err)
		}
		a.SetWriteDeadline(time.Time{})
		mustRead(t, b, "1234")
		mustWrite(t, a, "56")
	})
}

func TestDeadlineSetWhileBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := Pipe()
		done := make(chan error, 1)
		go func() {
			_, err := a.Read(make([]byte, 1))
			done <- err
		}()
		synctest.Wait()
		a.SetDeadline(time.Unix(1, 0)) // long past
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("err = %v, want a timeout", err)
		}
		a.Close()
	})
}

func TestHalfClose(t *testing.T) {
	a, b := Pipe()
	mustWrite(t, a, "last words")
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Fatalf("write after CloseWrite: %v", err)
	}
	got, err := io.ReadAll(b)
	if string(got) != "last words" || err != nil {
		t.Fatalf("read %q, %v", got, err)
	}
	mustWrite(t, b, "answer")
	mustRead(t, a, "answer")
	b.Close()
	a.Close()
}

func TestClose(t *testing.T) {
	a, b := Pipe()
	mustWrite(t, a, "last words")
	a.Close()
	if err := a.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
	if err := a.CloseWrite(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("CloseWrite after Close: %v", err)
	}
	for _, op := range []func() error{
		func() error { _, err := a.Read(make([]byte, 1)); return err },
		func() error { _, err := a.Write([]byte("x")); return err },
		func() error { return a.SetReadDeadline(time.Now()) },
		func() error { return a.SetWriteDeadline(time.Now()) },
	} {
		if err := op(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v, want net.ErrClosed", err)
		}
	}
	if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write to a closed peer: %v", err)
	}
	if got, err := io.ReadAll(b); string(got) != "last words" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestCloseWakesBothEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := PipeWith(Options{BufferBytes: 1})
		errs := make(chan error, 3)
		go func() { _, err := a.Read(make([]byte, 1)); errs <- err }()
		go func() { _, err := b.Read(make([]byte, 1)); errs <- err }()
		synctest.Wait()
		a.Close()
		got := fmt.Sprint(errors.Is(<-errs, net.ErrClosed), " ", errors.Is(<-errs, net.ErrClosed))
		if got != "true false" && got != "false true" {
			t.Fatalf("which reads ended with net.ErrClosed: %s, want one", got)
		}
		b.Close()
	})
}

func TestReset(t *testing.T) {
	a, b := Pipe()
	mustWrite(t, a, "lost")
	a.Reset()
	if _, err := b.Read(make([]byte, 9)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read after a reset: %v", err)
	}
	if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("write after a reset: %v", err)
	}
}

func TestCloseWithError(t *testing.T) {
	a, b := Pipe()
	mustWrite(t, a, "kept")
	cut := errors.New("cable cut")
	a.CloseWithError(cut)
	mustRead(t, b, "kept")
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, cut) {
		t.Errorf("err = %v, want %v", err, cut)
	}
}

func TestResetOnUnread(t *testing.T) {
	a, b := PipeWith(Options{ResetOnUnread: true})
	mustWrite(t, a, "never read")
	mustWrite(t, b, "the reason, destroyed")
	b.Close()
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("err = %v, want a reset", err)
	}
}

func TestWaitReadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe()
		done := make(chan error, 1)
		go func() { done <- b.WaitReadable() }()
		synctest.Wait()
		if len(done) != 0 {
			t.Fatal("readable with nothing to read")
		}
		mustWrite(t, a, "x")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		mustRead(t, b, "x")
		a.Close()
		if err := b.WaitReadable(); err != nil {
			t.Fatalf("end of stream: %v", err)
		}
		if _, err := b.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("err = %v", err)
		}
	})
}

func TestListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Listen(Options{ServerAddr: Addr("broker")})
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					io.Copy(c, c)
					c.Close()
				}()
			}
		}()
		for i := range 3 {
			from := &net.TCPAddr{IP: net.IPv4(10, 0, 0, byte(i)), Port: 5000}
			c, err := l.DialFrom(from)
			if err != nil {
				t.Fatal(err)
			}
			mustWrite(t, c, "echo")
			mustRead(t, c, "echo")
			if c.LocalAddr() != net.Addr(from) || c.RemoteAddr().String() != "broker" {
				t.Errorf("addresses %v, %v", c.LocalAddr(), c.RemoteAddr())
			}
			c.Close()
		}
		l.Close()
	})
}

func TestListenerCloseResetsWhoWaits(t *testing.T) {
	l := Listen(Options{})
	c, err := l.Dial()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection nobody accepted: %v", err)
	}
	if _, err := l.Dial(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial after Close: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
}

func TestIdleConnectionKeepsNoLargeBuffer(t *testing.T) {
	a, b := Pipe()
	a.Write(make([]byte, DefaultBufferBytes))
	io.ReadFull(b, make([]byte, DefaultBufferBytes))
	if n := cap(a.out.buf); n > keepBytes {
		t.Errorf("an empty stream holds %d bytes", n)
	}
}

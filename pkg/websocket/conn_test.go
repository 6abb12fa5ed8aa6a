package websocket

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/pkg/memnet"
)

// pair returns two Conns that talk to each other, past the handshake.
func pair(o memnet.Options) (client, server *Conn) {
	c, s := memnet.PipeWith(o)
	return newConn(c, true, "", nil, 0), newConn(s, false, "", nil, 0)
}

func TestStreamBothWays(t *testing.T) {
	for _, size := range []int{1, 125, 126, smallFrame - maxHeader, smallFrame, largeFrame - 1, largeFrame, 65535, 65536, 300_000} {
		client, server := pair(memnet.Options{})
		want := make([]byte, size)
		rand.NewChaCha8([32]byte{byte(size)}).Read(want)
		for _, way := range []struct{ from, to *Conn }{{client, server}, {server, client}} {
			sent := make(chan error, 1)
			go func() {
				n, err := way.from.Write(want)
				if n != size {
					err = errors.Join(err, io.ErrShortWrite)
				}
				sent <- err
			}()
			got := make([]byte, size)
			if _, err := io.ReadFull(way.to, got); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes: %v, or not the same", size, err)
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		}
		client.Close()
		server.Close()
	}
}

func TestOneWriteAFrame(t *testing.T) {
	for _, size := range []int{1, 1000, 10_000, largeFrame - 4} {
		s := &scripted{}
		w := &countingWriter{scripted: s}
		if _, err := newConn(w, false, "", nil, 0).Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if w.writes != 1 {
			t.Errorf("%d bytes took %d writes", size, w.writes)
		}
	}
}

type countingWriter struct {
	*scripted
	writes int
}

func (c *countingWriter) Write(p []byte) (int, error) { c.writes++; return c.scripted.Write(p) }

func TestCloseHandshake(t *testing.T) {
	client, server := pair(memnet.Options{})
	if err := server.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after CloseWrite: %v", err)
	}
	client.Write([]byte("on its way"))
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("client: %v", err)
	}
	// The server drains until the client's own close frame arrives.
	if got, err := readAll(server, 100); got != "on its way" || err != io.EOF {
		t.Errorf("server drained %q, %v", got, err)
	}
	server.Close()
	client.Close()
}

func TestCloseSendsStatus(t *testing.T) {
	client, server := pair(memnet.Options{})
	server.CloseStatus(StatusPolicyViolation, "because")
	_, err := client.Read(make([]byte, 1))
	var ce *CloseError
	if !errors.As(err, &ce) || *ce != (CloseError{StatusPolicyViolation, "because", true}) {
		t.Errorf("client: %v", err)
	}
	if err := server.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
	client.Close()
}

func TestLongCloseReasonIsCutBetweenCharacters(t *testing.T) {
	reason := string(bytes.Repeat([]byte("ü"), 100))
	s := &scripted{step: 1000}
	newConn(s, false, "", nil, 0).queueAndFlush(reason)
	c := newConn(&scripted{raw: s.out.Bytes(), step: 1000}, true, "", nil, 0)
	_, err := c.Read(make([]byte, 1000))
	var ce *CloseError
	if !errors.As(err, &ce) || ce.Reason != reason[:122] {
		t.Errorf("client: %v", err)
	}
}

func (c *Conn) queueAndFlush(reason string) {
	c.queueClose(StatusPolicyViolation, reason)
	c.flush()
}

func TestTimeoutIsNotTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(memnet.Options{})
		raw := frame(binry, "hello")
		client.NetConn().Write(raw[:8]) // within the payload
		buf := make([]byte, 10)
		n, err := server.Read(buf)
		if n != 2 || err != nil {
			t.Fatalf("Read = %d, %v", n, err)
		}
		server.SetReadDeadline(time.Now().Add(time.Second))
		if n, err := server.Read(buf); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("Read = %d, %v; want a timeout", n, err)
		}
		server.SetReadDeadline(time.Time{})
		client.NetConn().Write(raw[8:])
		if n, err := server.Read(buf); string(buf[:n]) != "llo" || err != nil {
			t.Fatalf("Read = %q, %v", buf[:n], err)
		}
		client.Close()
		server.Close()
	})
}

// A peer that pings and does not read gets its reader's pongs bounded, while a write is stuck in front of them.
func TestPingFloodHasBoundedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := memnet.PipeWith(memnet.Options{BufferBytes: 1000})
		server := newConn(s, false, "", nil, -1)
		go server.Write(make([]byte, 5000)) // sticks, for nobody reads it
		synctest.Wait()
		read := make(chan error, 1)
		go func() {
			_, err := readAll(server, 512)
			read <- err
		}()
		for i := range 10_000 {
			if _, err := c.Write(frame(ping, string(rune('a'+i%26)))); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := cap(server.pongs); n > 2*pongsMax {
			t.Errorf("%d bytes of pongs wait", n)
		}
		c.Write(frame(binry, "")) // the reader is not stuck behind the writer
		synctest.Wait()
		if n := server.NetConn().(*memnet.Conn).Unread(); n != 0 {
			t.Errorf("%d bytes unread: the reader waits for the writer", n)
		}
		if b, err := io.ReadAll(io.LimitReader(c, 5004)); len(b) != 5004 || err != nil || b[0] != binry {
			t.Fatalf("data frame: %d bytes, %v", len(b), err)
		}
		answer := make([]byte, 3)
		if _, err := io.ReadFull(c, answer); err != nil || answer[0] != pong {
			t.Errorf("after the data frame: % x, %v; want pongs", answer, err)
		}
		c.Close()
		<-read
		server.Close()
	})
}

func TestTooManyControlFrames(t *testing.T) {
	for _, kind := range []byte{ping, pong} {
		synctest.Test(t, func(t *testing.T) {
			raw := bytes.Repeat(frame(kind, ""), 10*DefaultControlPerSecond)
			s := &scripted{raw: cat(raw, frame(binry, "ok"), frame(kind, ""), frame(binry, "late")), step: 1 << 20}
			got, err := readAll(newConn(s, false, "", nil, 0), 1<<20)
			if got != "ok" {
				t.Errorf("read %q", got)
			}
			checkEnd(t, err, StatusPolicyViolation, false)
		})
	}
}

func TestControlFramesWithinRateGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(memnet.Options{})
		go io.Copy(io.Discard, client.NetConn())
		for range 30 * DefaultControlPerSecond {
			client.NetConn().Write(cat(frame(ping, "x"), frame(binry, "y")))
			if n, err := server.Read(make([]byte, 100)); n != 1 || err != nil {
				t.Fatalf("Read = %d, %v", n, err)
			}
			<-time.After(time.Second / DefaultControlPerSecond)
		}
		server.Close()
		client.Close()
	})
}

// Pongs written by the reader and data written by the writer never mix.
func TestPongsDoNotMixWithData(t *testing.T) {
	client, server := pair(memnet.Options{BufferBytes: 777})
	const rounds, size = 500, 2000
	go func() {
		defer server.Close()
		for range rounds {
			if _, err := server.Write(bytes.Repeat([]byte("d"), size)); err != nil {
				return
			}
		}
	}()
	pinged := make(chan struct{})
	go func() {
		defer close(pinged)
		for range rounds {
			if _, err := client.NetConn().Write(frame(ping, "ppp")); err != nil {
				return
			}
		}
	}()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		readAll(server, 100)
	}()
	got := 0
	buf := make([]byte, 900)
	for {
		n, err := client.Read(buf)
		if got += n; bytes.Trim(buf[:n], "d") != nil && len(bytes.Trim(buf[:n], "d")) > 0 {
			t.Fatal("something else than data within the data")
		}
		if err != nil {
			var ce *CloseError
			if errors.As(err, &ce) {
				t.Fatal(err)
			}
			break
		}
	}
	client.Close()
	<-pinged
	<-drained
	if got != rounds*size {
		t.Errorf("%d bytes arrived, want %d", got, rounds*size)
	}
}

func TestCloseDoesNotWaitForStuckWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := memnet.PipeWith(memnet.Options{BufferBytes: 10})
		server := newConn(s, false, "", nil, 0)
		stuck := make(chan error, 1)
		go func() {
			_, err := server.Write(make([]byte, 100))
			stuck <- err
		}()
		synctest.Wait()
		start := time.Now()
		server.Close()
		if err := <-stuck; err == nil {
			t.Error("a write that was cut short succeeded")
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("Close took %v", d)
		}
		if _, err := server.Write([]byte("x")); err == nil {
			t.Error("a frame was written after one that was cut short")
		}
		c.Close()
	})
}

func TestCloseOnFullTransportEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := memnet.PipeWith(memnet.Options{BufferBytes: 10})
		s.Write(make([]byte, 10))
		start := time.Now()
		newConn(s, false, "", nil, 0).Close()
		if d := time.Since(start); d > closeWriteTimeout {
			t.Errorf("Close took %v", d)
		}
		c.Close()
	})
}

package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/pkg/memnet"
)

// socketBench is a server behind a listener in memory, in virtual time.
type socketBench struct {
	*Server
	t       *testing.T
	ln      *memnet.Listener
	crowded int
}

// large answers with more than a socket takes, waiting with as long as it is told to.
type large struct{}

func (large) Routes() []Route {
	return []Route{
		{Method: "GET", Path: "/large", Access: Open, Handler: func(w http.ResponseWriter, _ *http.Request) error {
			_, err := w.Write(make([]byte, 8<<20))
			return err
		}},
		{Method: "POST", Path: "/patient", Access: Open, Handler: patient},
		{Method: "GET", Path: "/patient", Access: Manage, Handler: patient},
	}
}

func patient(w http.ResponseWriter, r *http.Request) error {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return err
	}
	select {
	case <-time.After(time.Hour):
		return text(w, http.StatusOK, "waited")
	case <-r.Context().Done():
		return r.Context().Err()
	}
}

func withSockets(t *testing.T, change func(*Options), test func(b *socketBench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &socketBench{t: t, ln: memnet.Listen(memnet.Options{})}
		o := Options{
			Log: slog.New(slog.DiscardHandler), Documents: &memory{docs: map[string][]byte{}}, Passwords: plainText{},
			Admin: Admin{"admin", "correct horse"}, Resources: []Resource{large{}}, Crowded: func() { b.crowded++ },
			Broker: new(broker.Broker), // nobody asks it anything
		}
		if change != nil {
			change(&o)
		}
		var err error
		if b.Server, err = New(o); err != nil {
			t.Fatal(err)
		}
		b.Serve(b.ln)
		test(b)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = b.Close(ctx) // requests that wait are broken off
		_ = b.ln.Close()
	})
}

func (b *socketBench) dial(request string) net.Conn {
	b.t.Helper()
	c, err := b.ln.Dial()
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
		b.t.Fatal(err)
	}
	synctest.Wait()
	return c
}

// ended returns how long the server takes to hang up, at most an hour.
func (b *socketBench) ended(c net.Conn) time.Duration {
	begun := time.Now()
	_ = c.SetReadDeadline(begun.Add(time.Hour))
	_, _ = io.Copy(io.Discard, c)
	return time.Since(begun)
}

func TestABodyThatDoesNotComeIsNotWaitedForWithoutAnEnd(t *testing.T) {
	for _, path := range []string{"/api/v5/login", "/nowhere", "/healthz", "/api/v5/clients"} {
		withSockets(t, nil, func(b *socketBench) {
			c := b.dial("POST " + path + " HTTP/1.1\nHost: localhost\nContent-Type: application/json\nContent-Length: 1000\n\n{")
			if took := b.ended(c); took > bodyPatience {
				t.Errorf("%s: a body that does not come: closed after %v", path, took)
			}
			c = b.dial("POST " + path + " HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked\n\n")
			dripping := make(chan struct{})
			go func() {
				defer close(dripping)
				for {
					if _, err := io.WriteString(c, "1\r\n[\r\n"); err != nil {
						return
					}
					<-time.After(time.Second)
				}
			}()
			if took := b.ended(c); took > bodyPatience+time.Second {
				t.Errorf("%s: a body without an end: closed after %v", path, took)
			}
			_ = c.Close()
			<-dripping
		})
	}
}

// The time for a body is none for its answer: whoever waits for messages waits for as long as agreed.
func TestARequestThatHasComeMayTakeItsTime(t *testing.T) {
	withSockets(t, nil, func(b *socketBench) {
		c := b.dial("POST /patient HTTP/1.1\nHost: localhost\nContent-Length: 2\n\n{}")
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("%v, %v", answer, err)
		}
	})
}

func TestAnAnswerThatNobodyReadsIsGivenUp(t *testing.T) {
	withSockets(t, nil, func(b *socketBench) {
		c := b.dial("GET /large HTTP/1.1\nHost: localhost\n\n")
		<-time.After(writePatience + time.Second)
		synctest.Wait()
		if n := b.sockets(); n != 0 {
			t.Errorf("%d connections are open", n)
		}
		_ = c.Close()
	})
}

// sockets returns how many connections the server has.
func (b *socketBench) sockets() int {
	b.Server.mu.Lock()
	defer b.Server.mu.Unlock()
	n := 0
	for _, s := range b.Server.listeners {
		s.mu.Lock()
		n += s.open.Len()
		s.mu.Unlock()
	}
	return n
}

// Strangers who hold connections keep neither users nor each other out, and do not have a user cut off.
func TestManyConnectionsMakeRoom(t *testing.T) {
	withSockets(t, nil, func(b *socketBench) {
		login := b.dial("POST /api/v5/login HTTP/1.1\nHost: localhost\nContent-Length: 50\n\n" + `{"username":"admin","password":"correct horse"}   `)
		answer, err := http.ReadResponse(bufio.NewReader(login), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		_, token, _ := strings.Cut(string(body), `"token":"`)
		token, _, _ = strings.Cut(token, `"`)
		user := b.dial(fmt.Sprintf("GET /patient HTTP/1.1\nHost: localhost\nAuthorization: Bearer %s\n\n", token))
		var others []net.Conn
		for i := range maxSockets + 100 {
			request := ""
			if i%2 == 0 {
				request = "POST /patient HTTP/1.1\nHost: localhost\n\n"
			}
			others = append(others, b.dial(request))
		}
		if n := b.sockets(); n != maxSockets || b.crowded != 102 {
			t.Errorf("%d connections, %d times crowded", n, b.crowded)
		}
		if took := b.ended(others[0]); took != 0 {
			t.Errorf("the oldest stranger is there after %v", took)
		}
		if answer, err := http.ReadResponse(bufio.NewReader(user), nil); err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("the user: %v, %v", answer, err)
		}
	})
}

// Where the descriptors for connections are taken, a stranger's connection goes for each that comes.
func TestAConnectionWithoutADescriptorIsClosed(t *testing.T) {
	room := true
	withSockets(t, func(o *Options) { o.Room = func(net.Conn) bool { return room } }, func(b *socketBench) {
		first := b.dial("")
		room = false
		if took := b.ended(b.dial("")); took != 0 {
			t.Errorf("it is there after %v", took)
		}
		if took := b.ended(first); took != 0 || b.crowded != 1 {
			t.Errorf("the first is there after %v; %d times crowded", took, b.crowded)
		}
	})
}

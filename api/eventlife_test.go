package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/pkg/memnet"
)

// The tests of this file look at how long streams of events live, in virtual time.

// timed is a bench in virtual time, with a reader of events.
func timed(t *testing.T, test func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		test(newBenchUnstarted(t, func(*config.Config) {}, func(o *Options) { o.Now = time.Now }))
	})
}

// open opens a stream of events in memory.
func (b *bench) open(ln *memnet.Listener, query, authorization, last string) *sse {
	b.t.Helper()
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return ln.Dial() }, DisableKeepAlives: true}
	ctx, cancel := context.WithCancel(context.Background())
	b.t.Cleanup(func() {
		cancel()
		transport.CloseIdleConnections()
	})
	req, err := http.NewRequestWithContext(ctx, "GET", "http://127.0.0.1"+Base+"/stream?"+query, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		b.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body)
		b.t.Fatalf("a stream of events answered %d: %s", res.StatusCode, text)
	}
	return &sse{b.t, res, bufio.NewReader(res.Body), cancel}
}

// inMemory serves the bench on a network in memory.
func (b *bench) inMemory() *memnet.Listener {
	ln := memnet.Listen(memnet.Options{})
	b.Serve(ln)
	return ln
}

// ending reads until the stream ends: how many heartbeats came, the reason of the end, and when that was.
func (s *sse) ending() (beats int, reason string, after time.Duration) {
	s.t.Helper()
	begun := time.Now()
	for {
		line, err := s.lines.ReadString('\n')
		switch {
		case err != nil:
			return beats, reason, time.Since(begun)
		case line == ": heartbeat\n":
			beats++
		case strings.HasPrefix(line, `data: {"reason":`):
			reason = strings.TrimSuffix(strings.TrimPrefix(line, `data: {"reason":"`), "\"}\n")
		}
	}
}

func TestAStreamOfEventsBeatsAndEndsAfterItsLifetime(t *testing.T) {
	timed(t, func(b *bench) {
		key := b.as("reader", `{"consume":["a/#"]}`).header
		s := b.open(b.inMemory(), "filter=a/1", key, "")
		s.next()
		if beats, reason, after := s.ending(); beats != 239 || reason != "lifetime" || after != eventLifetime {
			t.Errorf("%d heartbeats, then %q after %v", beats, reason, after)
		}
	})
}

func TestAStreamOfEventsEndsWithWhatItsReaderIsKnownBy(t *testing.T) {
	admin := func(b *bench) string { return b.asAdmin().header }
	old := func(b *bench) string {
		header := admin(b)
		time.Sleep(20 * time.Minute)
		return header
	}
	for name, c := range map[string]struct {
		credentials func(*bench) string
		then        func(b *bench, credentials string)
		reason      string
		after       time.Duration // at most
	}{
		"a login that ends by itself": {old, func(*bench, string) {}, "unauthorized", 40*time.Minute + heartbeat},
		"a logout": {admin, func(b *bench, credentials string) {
			b.header = credentials
			b.do("POST", "/logout", "")
		}, "unauthorized", heartbeat},
		"a key that is deleted": {reader, func(b *bench, _ string) {
			b.asAdmin().do("DELETE", "/api_key/reader", "")
		}, "unauthorized", heartbeat},
		"a key that is switched off": {reader, func(b *bench, _ string) {
			b.asAdmin().ok("PUT", "/api_key/reader", `{"role":"client","enable":false}`)
		}, "unauthorized", heartbeat},
		"a key that runs out": {reader, func(b *bench, _ string) {
			b.asAdmin().ok("PUT", "/api_key/reader", fmt.Sprintf(`{"role":"client","expired_at":%d}`, time.Now().Add(time.Minute).Unix()))
		}, "unauthorized", time.Minute + heartbeat},
		"a rule that is taken away": {reader, func(b *bench, _ string) {
			b.asAdmin().ok("PUT", "/api_key/reader", `{"role":"client","topics":{"consume":["b"]}}`)
		}, "forbidden", heartbeat},
		"a role that may not read": {reader, func(b *bench, _ string) {
			b.asAdmin().ok("PUT", "/api_key/reader", `{"role":"viewer"}`)
		}, "forbidden", heartbeat},
	} {
		for _, ticket := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, ticket %v", name, ticket), func(t *testing.T) {
				timed(t, func(b *bench) {
					credentials := c.credentials(b)
					query, header := "filter=a/1", credentials
					if ticket {
						b.header = credentials
						query, header = query+"&ticket="+b.ok("POST", "/stream/ticket", "")["ticket"].(string), ""
					}
					s := b.open(b.inMemory(), query, header, "")
					s.next()
					c.then(b, credentials)
					if _, reason, after := s.ending(); reason != c.reason || after > c.after {
						t.Errorf("it ended with %q after %v", reason, after)
					}
				})
			})
		}
	}
}

// reader is an application that may read.
func reader(b *bench) string { return b.as("reader", `{"consume":["a/#"]}`).header }

func TestAReaderThatTakesNothingIsCutOff(t *testing.T) {
	for _, streams := range []bool{false, true} {
		timed(t, func(b *bench) {
			b.asAdmin()
			if streams {
				b.ok("PUT", "/streams/s", `{"filters":["a/#"]}`)
			}
			ln := b.inMemory()
			s := b.open(ln, "filter=a/1", b.header, "")
			s.next()
			body := fmt.Sprintf(`{"topic":"a/1","payload":%q}`, strings.Repeat("x", 100_000))
			for range 200 {
				b.do("POST", "/publish", body)
			}
			// Nobody reads: what lies in memory is bounded, and the write that waits ends with its time.
			time.Sleep(eventTimeout + time.Second)
			synctest.Wait()
			if log := b.log.String(); !strings.Contains(log, "slow_consumer") {
				t.Errorf("streams %v: the log says nothing: %s", streams, log)
			}
			if second, err := b.broker.Tap([]string{"a/1"}); err != nil {
				t.Error(err)
			} else {
				second.Close()
			}
		})
	}
}

func TestAReaderThatComesBackHearsWhatIsGone(t *testing.T) {
	timed(t, func(b *bench) {
		b.asAdmin()
		ln := b.inMemory()
		b.ok("PUT", "/streams/s", `{"filters":["a/#"],"keep_seconds":60}`)
		s := b.open(ln, "filter=a/1", b.header, "")
		s.next()
		b.ok("POST", "/publish", `{"topic":"a/1","payload":"0"}`)
		last := s.next().id
		s.cancel()
		for range 40 {
			b.ok("POST", "/publish", fmt.Sprintf(`{"topic":"a/1","payload":%q}`, strings.Repeat("x", 60_000)))
			time.Sleep(30 * time.Second)
		}
		b.ok("POST", "/publish", `{"topic":"a/1","payload":"new"}`)
		again := b.open(ln, "filter=a/1", b.header, last)
		if e := again.next(); e.kind != "start" || e.data["resumable"] != true {
			t.Errorf("it begins with %+v", e)
		}
		gap := false
		for {
			e := again.next()
			gap = gap || e.kind == "gap" && e.data["reason"] == "stream_trimmed"
			if e.data["payload"] == "new" {
				break
			}
		}
		if !gap {
			t.Error("nothing says that something is missing")
		}
		// An id that this log has not got to is of another.
		other := b.open(ln, "filter=a/1", b.header, "999999-0")
		if e := other.next(); e.data["reason"] != "unknown_id" || e.data["from"] != "new" {
			t.Errorf("after an id of the future: %+v", e)
		}
		b.ok("POST", "/publish", `{"topic":"a/1","payload":"next"}`)
		if e := other.next(); e.data["payload"] != "next" {
			t.Errorf("and then %+v", e)
		}
		b.fails("GET", "/stream?filter=a/1&from=999999-0", "", 400, "BAD_REQUEST", "past the end")
	})
}

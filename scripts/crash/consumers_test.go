//go:build e2e

package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// This file kills the broker under consumers of the HTTP API: one that several workers share, one whose messages die after
// two deliveries, and one that pushes. They ask, acknowledge, give back and forget at random, while messages are
// published over HTTP at every QoS. consumption_test.go judges what they saw.

const (
	deadTopic    = "dead/dying"
	maxDeliver   = 2               // of the consumer whose messages die
	ackWait      = 2 * time.Second // of the consumers that are asked
	shopkeepers  = 4               // workers that share a consumer
	httpPatience = 10 * time.Second
)

func TestCrashesOfConsumersWithFsync(t *testing.T) {
	mustKeepConsumers(t, newShop(t, "fsync"), 8*time.Second, 7)
}

func TestCrashesOfConsumersWithOS(t *testing.T) {
	mustKeepConsumers(t, newShop(t, "os"), 4*time.Second, 3)
}

// TestABrokerThatForgetsItsConsumersIsFoundOut shows that the harness can fail.
func TestABrokerThatForgetsItsConsumersIsFoundOut(t *testing.T) {
	s := newShop(t, "os")
	s.patience, s.forgets = time.Second, true
	s.run(time.Second, 1)
	if s.history.violations() == 0 {
		t.Error("a broker lost all that it had, and nobody noticed")
	}
}

func mustKeepConsumers(t *testing.T, s *shop, length time.Duration, kills int) {
	s.run(lasting(t, length), kills)
	s.history.report(t, s.broker)
	t.Log(s.figures())
}

// shop is a broker that is killed, and those who publish and consume over HTTP.
type shop struct {
	t        *testing.T
	seed     uint64
	broker   *broker
	history  *history
	hook     *httptest.Server
	client   *http.Client
	patience time.Duration
	forgets  bool // what is on disk is deleted before each start
	dir      string

	ctx   context.Context // ends with the run
	end   context.CancelFunc
	calm  chan struct{} // closed when the load ends
	makes sync.WaitGroup
	works sync.WaitGroup

	said      *said
	consumers []*consumption
	starts    atomic.Int64 // of the broker, and ends: what happens over one is known to none
}

func newShop(t *testing.T, durability string) *shop {
	dir := filepath.Join(t.TempDir(), "data")
	s := &shop{t: t, dir: dir, seed: seed(t), history: &history{}, patience: 20 * time.Second, calm: make(chan struct{}), broker: newBroker(dir, durability)}
	s.ctx, s.end = context.WithCancel(t.Context())
	s.client = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", filepath.Join(dir, "barid.sock"))
		},
	}}
	s.said = &said{}
	for _, name := range []string{"shared", "dying", "pushed"} {
		s.consumers = append(s.consumers, newConsumption(name, s.history))
	}
	return s
}

func (s *shop) rng(part uint64) *rand.Rand { return rand.New(rand.NewPCG(s.seed, 1000+part)) }

func (s *shop) loading() bool {
	select {
	case <-s.calm:
		return false
	default:
		return true
	}
}

// run has everybody work while the broker is killed, and checks what they saw.
func (s *shop) run(length time.Duration, kills int) {
	if err := s.broker.start(); err != nil {
		s.t.Fatalf("%v\n%s", err, s.broker.printed())
	}
	shared, dying, pushed := s.consumers[0], s.consumers[1], s.consumers[2]
	s.hook = httptest.NewServer(http.HandlerFunc(s.pushTo(pushed)))
	defer func() {
		s.end()
		s.works.Wait()
		s.makes.Wait()
		_ = s.broker.kill()
		s.hook.Close()
	}()
	for name, body := range map[string]string{
		"shared": `{"filters":["t/#"],"ack_wait_seconds":2}`,
		"dying":  `{"filters":["t/#"],"ack_wait_seconds":2,"max_deliver":2,"dead_letter_topic":"` + deadTopic + `"}`,
		"morgue": `{"filters":["dead/#"],"ack_wait_seconds":2}`,
		"pushed": `{"filters":["t/#"],"ack_wait_seconds":6,"push":{"url":"` + s.hook.URL + `","concurrency":4,"timeout_seconds":5}}`,
	} {
		if code, err := s.call("PUT", "/consumers/"+name, body, nil); code != http.StatusOK {
			s.t.Fatalf("making %s: %d %v", name, code, err)
		}
	}
	for i := range 3 {
		s.makes.Go(func() { s.publish(i, s.rng(uint64(i))) })
	}
	for i := range shopkeepers {
		s.works.Go(func() { s.consume(shared, s.rng(uint64(10+i)), s.answerFor(shared)) })
	}
	for i := range 2 {
		s.works.Go(func() { s.consume(dying, s.rng(uint64(20+i)), s.answerFor(dying)) })
	}
	morgue := newConsumption("morgue", s.history)
	s.works.Go(func() { s.consume(morgue, s.rng(30), s.bury(morgue, dying)) })
	rng, until, alive := s.rng(40), time.Now().Add(length), true
	for alive && (time.Now().Before(until) || s.broker.kills < kills) {
		time.Sleep(upTo(rng, 1200*time.Millisecond))
		s.starts.Add(1)
		if s.forgets {
			alive = s.broker.kill() == nil && os.RemoveAll(s.dir) == nil && s.broker.start() == nil
		} else {
			alive = s.broker.replace(rng, s.history)
		}
		s.starts.Add(1)
	}
	close(s.calm)
	if alive {
		s.drain()
	}
}

// call asks the API, over the socket of the data directory, and reads the answer.
func (s *shop) call(method, path, body string, answer any) (code int, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, httpPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://barid/api/v5"+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	if res.StatusCode/100 == 2 && answer != nil {
		return res.StatusCode, json.Unmarshal(text, answer)
	}
	return res.StatusCode, fmt.Errorf("%.200s", text)
}

// publish publishes numbered messages in bulks until the load ends. A bulk whose answer does not come may be there or not, and
// is not published again.
func (s *shop) publish(publisher int, rng *rand.Rand) {
	for n := 0; s.loading(); {
		var bulk []string
		var texts []string
		for range 1 + rng.IntN(8) {
			text := fmt.Sprintf("%d/%d", publisher, n)
			n++
			texts = append(texts, text)
			bulk = append(bulk, fmt.Sprintf(`{"topic":"t/%d","payload":%q,"qos":%d}`, publisher, text, rng.IntN(3)))
		}
		code, err := s.call("POST", "/publish/bulk", "["+strings.Join(bulk, ",")+"]", nil)
		switch {
		case code == http.StatusOK:
			s.said.published(texts)
		case code == 0 || code == http.StatusServiceUnavailable:
		default:
			s.history.fail("publishing answered %d: %v", code, err)
		}
		s.pause(upTo(rng, 80*time.Millisecond))
	}
}

func (s *shop) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
	}
}

// given is a message of an answer.
type given struct {
	ID         string `json:"id"`
	Topic      string `json:"topic"`
	Payload    string `json:"payload"`
	Deliveries int    `json:"deliveries"`
}

// consume asks a consumer for messages and answers for them.
func (s *shop) consume(c *consumption, rng *rand.Rand, answer func(*rand.Rand, []given)) {
	for s.ctx.Err() == nil {
		var batch struct{ Data []given }
		asked, starts := time.Now(), s.starts.Load()
		code, err := s.call("GET", fmt.Sprintf("/consumers/%s/messages?max=%d&wait_seconds=%d", c.name, 1+rng.IntN(20), rng.IntN(2)), "", &batch)
		switch {
		case code == http.StatusOK:
			c.given(asked, time.Now(), batch.Data)
			answer(rng, batch.Data)
		case s.ctx.Err() != nil:
		case code == 0 || code == http.StatusServiceUnavailable:
			s.pause(20 * time.Millisecond)
		default:
			s.history.fail("%s: asking answered %d: %v (over a restart: %v)", c.name, code, err, starts != s.starts.Load())
			return
		}
	}
}

// answerFor acknowledges messages, gives them back, or forgets them.
func (s *shop) answerFor(c *consumption) func(*rand.Rand, []given) {
	return func(rng *rand.Rand, batch []given) {
		var good []given
		for _, m := range batch {
			choice := rng.IntN(10)
			switch loading := s.loading(); {
			case loading && choice == 0: // forgotten
			case loading && choice == 1:
				c.returned(m)
				_, _ = s.call("POST", "/consumers/"+c.name+"/nack", fmt.Sprintf(`{"ids":[%q],"delay_seconds":%d}`, m.ID, rng.IntN(2)), nil)
			case loading && rng.IntN(500) == 0:
				s.pause(ackWait + time.Second) // too late, which may be good too
				s.acknowledge(c, []given{m})
			default:
				good = append(good, m)
			}
		}
		s.acknowledge(c, good)
	}
}

// acknowledge acknowledges messages, and returns those of which the answer says so: nothing else is worth something.
func (s *shop) acknowledge(c *consumption, batch []given) (acked []given) {
	if len(batch) == 0 {
		return nil
	}
	var ids []string
	for _, m := range batch {
		ids = append(ids, m.ID)
	}
	c.tried(batch)
	body, _ := json.Marshal(map[string]any{"ids": ids}) // strings always can be
	var out struct{ Unknown []string }
	code, err := s.call("POST", "/consumers/"+c.name+"/ack", string(body), &out)
	var failed *net.OpError
	switch {
	case errors.As(err, &failed) && failed.Op == "dial":
		c.untried(batch)
	case code == http.StatusOK:
		acked = slices.DeleteFunc(batch, func(m given) bool { return slices.Contains(out.Unknown, m.ID) })
		c.acknowledged(acked)
	case code == 0 || code == http.StatusServiceUnavailable:
	default:
		s.history.fail("%s: acknowledging answered %d: %v", c.name, code, err)
	}
	return acked
}

// bury takes dead letters.
func (s *shop) bury(morgue, of *consumption) func(*rand.Rand, []given) {
	return func(_ *rand.Rand, batch []given) {
		for _, m := range batch {
			if m.Topic != deadTopic {
				s.history.fail("a dead letter on %s", m.Topic)
			}
		}
		of.died(s.acknowledge(morgue, batch))
	}
}

// pushTo is what messages are pushed to.
func (s *shop) pushTo(c *consumption) http.HandlerFunc {
	rng, mu := s.rng(50), sync.Mutex{}
	return func(w http.ResponseWriter, r *http.Request) {
		starts := s.starts.Load()
		var m given
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			s.history.fail("a push without a message: %v", err)
			return
		}
		mu.Lock()
		refuse := s.loading() && rng.IntN(12) == 0
		mu.Unlock()
		if c.pushed(m, refuse, starts); refuse {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}
}

// drain has everybody finish, and says what is missing.
func (s *shop) drain() {
	s.makes.Wait()
	left, since := s.left(), time.Now()
	for left > 0 && time.Since(since) < s.patience {
		s.pause(100 * time.Millisecond)
		if now := s.left(); now != left {
			left, since = now, time.Now()
		}
	}
	for _, c := range s.consumers {
		if n, first := c.missing(s.said); n > 0 {
			s.history.fail("%s never ended %d messages that were published:%s", c.name, n, first)
		}
	}
	s.pause(time.Second) // what comes twice has time to come
}

func (s *shop) left() (all int) {
	for _, c := range s.consumers {
		n, _ := c.missing(s.said)
		all += n
	}
	return all
}

func (s *shop) figures() string {
	text := fmt.Sprintf("%d messages published, %d kills, %d stops;", s.said.count(), s.broker.kills, s.broker.stops)
	for _, c := range s.consumers {
		text += " " + c.figures()
	}
	return text
}

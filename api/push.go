package api

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/message"
)

// Limits of consumers that push.
const (
	maxPushConcurrency = 64
	maxPushTimeout     = 60 // seconds
	defaultPushTimeout = 10
	maxPushHeaders     = 20
	maxPushHeaderBytes = 8 << 10
	maxSecret          = 1024
	maxURL             = 2048
)

// lastSettle is how long a push that is to end may take to acknowledge what was accepted.
const lastSettle = 2 * time.Second

// Between two tries of a message.
const (
	firstBackoff = time.Second
	lastBackoff  = 5 * time.Minute
)

type pushInput struct {
	URL         string            `json:"url"`
	Headers     map[string]string `json:"headers"`
	Secret      string            `json:"secret"`
	Concurrency *int              `json:"concurrency"`
	Timeout     *int              `json:"timeout_seconds"`
}

// pushView shows neither the secret, but once, nor what headers say.
type pushView struct {
	URL         string            `json:"url"`
	Headers     map[string]string `json:"headers"`
	Secret      string            `json:"secret,omitempty"`
	Concurrency int               `json:"concurrency"`
	Timeout     int               `json:"timeout_seconds"`
}

const hidden = "******"

func viewPush(p *broker.Push) *pushView {
	if p == nil {
		return nil
	}
	v := &pushView{URL: p.URL, Headers: map[string]string{}, Concurrency: p.Concurrency, Timeout: int(p.Timeout / time.Second)}
	for name := range p.Headers {
		v.Headers[name] = hidden
	}
	return v
}

// check checks the input. ackWait is how long a lease lasts.
func (in *pushInput) check(ackWait int) (*broker.Push, error) {
	p := &broker.Push{URL: in.URL, Headers: map[string]string{}, Secret: in.Secret, Concurrency: 1, Timeout: defaultPushTimeout * time.Second}
	u, err := url.Parse(in.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || len(in.URL) > maxURL:
		return nil, BadRequest("push.url: %q is no URL of http or https", in.URL)
	case u.User != nil:
		return nil, BadRequest("push.url: may hold no password; push.headers may say who you are")
	case len(in.Secret) > maxSecret:
		return nil, BadRequest("push.secret: may have %d bytes", maxSecret)
	}
	if n := in.Concurrency; n != nil {
		if p.Concurrency = *n; *n < 1 || *n > maxPushConcurrency {
			return nil, BadRequest("push.concurrency: must be from 1, for one message after the other, to %d", maxPushConcurrency)
		}
	}
	if n := in.Timeout; n != nil {
		if p.Timeout = time.Duration(*n) * time.Second; *n < 1 || *n > maxPushTimeout {
			return nil, BadRequest("push.timeout_seconds: must be from 1 to %d", maxPushTimeout)
		}
	}
	if p.Timeout >= time.Duration(ackWait)*time.Second {
		return nil, BadRequest("push.timeout_seconds: must be less than ack_wait_seconds")
	}
	return p, in.checkHeaders(p.Headers)
}

func (in *pushInput) checkHeaders(into map[string]string) error {
	size := 0
	for name, value := range in.Headers {
		size += len(name) + len(value)
		key := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !isToken(name) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			return BadRequest("push.headers.%s: is no header", name)
		case slices.Contains([]string{"Host", "Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "Upgrade", "Te", "Trailer"}, key) || strings.HasPrefix(key, "Barid-"):
			return BadRequest("push.headers.%s: is set by the broker", name)
		}
		into[key] = value
	}
	if len(into) > maxPushHeaders || size > maxPushHeaderBytes {
		return BadRequest("push.headers: there may be %d, with %d bytes", maxPushHeaders, maxPushHeaderBytes)
	}
	return nil
}

func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// pushing posts the messages of consumers that push. Each has as many goroutines as its concurrency says, and each of
// those one request at a time; Close of the server ends and joins them.
type pushing struct {
	broker Consumers
	allow  []string
	log    *slog.Logger
	client *http.Client
	ctx    context.Context
	rules  func(ctx context.Context, owner string, filters []string) error // may the application still have them?

	mu     sync.Mutex // guards active
	active map[string]*pushed
	wg     sync.WaitGroup
}

// pushed is a consumer whose messages are being pushed.
type pushed struct {
	cancel context.CancelFunc
	config broker.Push
}

func newPushing(ctx context.Context, b Consumers, allow []string, log *slog.Logger) *pushing {
	p := &pushing{broker: b, allow: allow, log: log, ctx: ctx, active: make(map[string]*pushed)}
	dialer := &net.Dialer{Timeout: 10 * time.Second, Control: func(_, address string, _ syscall.RawConn) error { return p.checkAddress(address) }}
	p.client = &http.Client{
		Transport: &http.Transport{
			DialContext: p.dial(dialer), MaxIdleConnsPerHost: 4, MaxIdleConns: 64, IdleConnTimeout: time.Minute,
			TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p
}

// dial remembers whether the host was allowed by its name.
func (p *pushing) dial(d *net.Dialer) func(context.Context, string, string) (net.Conn, error) {
	named := &net.Dialer{Timeout: d.Timeout}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, _, err := net.SplitHostPort(address); err == nil && p.allowsName(host) {
			return named.DialContext(ctx, network, address)
		}
		return d.DialContext(ctx, network, address)
	}
}

var errNotAllowed = errors.New("consumers.push_allow does not have it")

// allowsName reports whether the list names a host as such.
func (p *pushing) allowsName(host string) bool {
	return slices.ContainsFunc(p.allow, func(a string) bool { return strings.EqualFold(a, host) })
}

// checkAddress judges an address once names are resolved, so that nobody gets past it with a name of theirs.
func (p *pushing) checkAddress(hostport string) error {
	ap, err := netip.ParseAddrPort(hostport)
	if err != nil {
		return err
	}
	ip := ap.Addr().Unmap().WithZone("")
	for _, a := range p.allow {
		if prefix, err := netip.ParsePrefix(a); err == nil && prefix.Contains(ip) {
			return nil
		}
		if one, err := netip.ParseAddr(a); err == nil && one == ip {
			return nil
		}
	}
	if len(p.allow) > 0 || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
		return fmt.Errorf("%v: %w", ip, errNotAllowed)
	}
	return nil
}

// admit says whether somebody may have a consumer push, and gives it a secret if it has none, which is returned. old is
// what it was told before; nil: nothing.
func (p *pushing) admit(r *http.Request, push, old *broker.Push) (secret string, err error) {
	if PrincipalOf(r.Context()).Role == Client && len(p.allow) == 0 {
		return "", Forbidden("push: applications may push where consumers.push_allow says, which is empty")
	}
	u, _ := url.Parse(push.URL) // it was checked
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := p.checkAddress(netip.AddrPortFrom(ip, 0).String()); err != nil && !p.allowsName(u.Hostname()) {
			return "", Forbidden("push.url: %v", err)
		}
	}
	if push.Secret == "" && (old == nil || old.Secret == "") {
		push.Secret = rand.Text() + rand.Text()
		return push.Secret, nil
	}
	return "", nil
}

// start begins to push for the consumers that there are.
func (p *pushing) start() {
	for _, i := range p.broker.Consumers(p.ctx) {
		p.watch(i.Name)
	}
}

// watch begins to push for a consumer, or does it as it says now.
func (p *pushing) watch(name string) {
	config, err := p.broker.ConsumerConfig(name)
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.active[name]; old != nil {
		old.cancel()
		delete(p.active, name)
	}
	if err != nil || config.Push == nil || p.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(p.ctx)
	a := &pushed{cancel: cancel, config: *config.Push}
	p.active[name] = a
	for range max(1, a.config.Concurrency) {
		p.wg.Go(func() { p.serve(ctx, name, a) })
	}
}

// serve pushes one message after the other.
func (p *pushing) serve(ctx context.Context, name string, a *pushed) {
	for ctx.Err() == nil {
		batch, err := p.broker.Poll(ctx, name, 1, maxPollBytes, maxPollWait*time.Second)
		switch {
		case errors.Is(err, broker.ErrNoConsumer):
			p.ended(name, a)
			return
		case err != nil:
			sleep(ctx, firstBackoff)
		}
		for i := range batch {
			p.handle(ctx, name, a, &batch[i])
		}
	}
}

// ended forgets a consumer that is gone.
func (p *pushing) ended(name string, a *pushed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.active[name] == a {
		a.cancel()
		delete(p.active, name)
	}
}

// handle pushes a message, and acknowledges it or gives it back for later. What is not settled comes again by itself.
// Where all is to end, or the consumer was told something else, what is under way has a moment to end well: who has
// accepted a message does not get it again.
func (p *pushing) handle(ctx context.Context, name string, a *pushed, l *broker.Leased) {
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.config.Timeout+maxPollWait*time.Second)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastSettle, cancel) })()
	err := p.allowed(late, name)
	if err == nil {
		err = p.post(late, name, &a.config, l)
	}
	if ctx.Err() != nil && err != nil {
		p.broker.ReturnLeased(name, []broker.Leased{*l})
		return
	}
	ids := []message.Position{l.Position}
	if err == nil {
		_, err = p.broker.Acknowledge(late, name, ids)
	} else {
		p.broker.PushFailed(name)
		wait := backoff(l.Deliveries)
		p.log.Warn("a push failed", "consumer", name, "id", broker.Position(l.Position), "deliveries", l.Deliveries, "again_in", wait.Round(time.Millisecond), "error", err)
		_, err = p.broker.Reject(late, name, ids, wait)
	}
	if err != nil && !errors.Is(err, broker.ErrNoConsumer) && ctx.Err() == nil {
		p.log.Warn("a push was not settled", "consumer", name, "error", err)
	}
}

// allowed asks whether the application that made a consumer may still have its messages.
func (p *pushing) allowed(ctx context.Context, name string) error {
	config, err := p.broker.ConsumerConfig(name)
	if err != nil || config.Owner == "" || p.rules == nil {
		return err
	}
	return p.rules(ctx, config.Owner, config.Filters)
}

// backoff is how long a message waits after so many deliveries: twice as long each time, and up to a half more or less, so
// that many do not come at once.
func backoff(deliveries uint32) time.Duration {
	d := lastBackoff
	if n := deliveries - 1; n < 16 {
		d = min(firstBackoff<<n, lastBackoff)
	}
	return d/2 + mathrand.N(d)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// sign is the signature of a body: HMAC-SHA256 over the time, a full stop and the body.
func sign(secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}

// post sends a message, and returns nil if the answer is 2xx.
func (p *pushing) post(ctx context.Context, name string, c *broker.Push, l *broker.Leased) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	now := time.Now()
	body, err := json.Marshal(viewLeased(l, asFits, now))
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for key, value := range c.Headers {
		req.Header.Set(key, value)
	}
	stamp := strconv.FormatInt(now.Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "barid")
	req.Header.Set("Barid-Consumer", name)
	req.Header.Set("Barid-Message-Id", broker.Position(l.Position))
	req.Header.Set("Barid-Deliveries", strconv.FormatUint(uint64(l.Deliveries), 10))
	req.Header.Set("Barid-Timestamp", stamp)
	req.Header.Set("Barid-Signature", sign(c.Secret, stamp, body))
	res, err := p.client.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.CopyN(io.Discard, res.Body, 4<<10) // so that the connection can be used again
	_ = res.Body.Close()
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("the answer was %s", res.Status)
	}
	return nil
}

// close ends all; the context that it was made with is done.
func (p *pushing) close() {
	p.wg.Wait()
	p.client.CloseIdleConnections()
}

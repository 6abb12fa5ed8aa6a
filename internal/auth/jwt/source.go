package jwt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// The times of a key set that is fetched.
const (
	fetchTimeout = 10 * time.Second
	minBackoff   = time.Second
	// unknownCooldown is how long after an attempt a token with an unknown key id may cause another: whoever makes such
	// tokens up cannot make us hammer the issuer.
	unknownCooldown = 10 * time.Second
)

// source holds the keys, and gets new ones.
type source struct {
	load     func(ctx context.Context) ([]key, error)
	interval time.Duration // between two loads; 0: only when asked
	report   func(error)   // of a load that failed after one that did not, and nil when it works again
	keys     atomic.Pointer[[]key]
	want     chan struct{} // asks run for a load

	mu      sync.Mutex
	tried   time.Time     // the last load's end; want is written and cleared under mu too
	settled chan struct{} // closed when the load that is asked for or under way is over

	cancel context.CancelFunc
	done   chan struct{}
}

func newSource(load func(context.Context) ([]key, error), interval time.Duration, report func(error)) *source {
	return &source{load: load, interval: interval, report: report, want: make(chan struct{}, 1), settled: make(chan struct{})}
}

// start loads in the background until close.
func (s *source) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.done = cancel, make(chan struct{})
	go s.run(ctx)
}

func (s *source) close() {
	if s.cancel != nil {
		s.cancel()
		<-s.done
	}
}

func (s *source) run(ctx context.Context) {
	defer close(s.done)
	backoff, failing := minBackoff, false
	for ctx.Err() == nil {
		err := s.refresh(ctx)
		pause := s.interval
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if !failing {
				s.report(err)
			}
			failing, pause = true, backoff
			backoff = min(2*backoff, max(s.interval, minBackoff))
		case failing:
			s.report(nil)
			fallthrough
		default:
			backoff, failing = minBackoff, false
		}
		s.wait(ctx, pause)
	}
}

// wait returns when it is time for the next load.
func (s *source) wait(ctx context.Context, pause time.Duration) {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-s.want:
	}
}

// refresh loads once. Keys that were there stay if it fails.
func (s *source) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	keys, err := s.load(ctx)
	if err == nil {
		s.keys.Store(&keys)
	}
	s.mu.Lock()
	s.tried = time.Now()
	close(s.settled)
	s.settled = make(chan struct{})
	select {
	case <-s.want: // this load is what was asked for
	default:
	}
	s.mu.Unlock()
	return err
}

// find returns the keys that may verify a token with that header. If none does and the set is fetched, it is fetched
// anew first, as far as that was not just done.
func (s *source) find(ctx context.Context, id, alg string) []key {
	if found := s.at(id, alg); len(found) > 0 || s.done == nil {
		return found
	}
	s.mu.Lock()
	settled, recent := s.settled, !s.tried.IsZero() && time.Since(s.tried) < unknownCooldown
	if !recent {
		select {
		case s.want <- struct{}{}:
		default: // somebody asked already
		}
	}
	s.mu.Unlock()
	if recent {
		return s.at(id, alg) // it may have come meanwhile
	}
	select {
	case <-settled:
	case <-ctx.Done():
	case <-s.done:
	}
	return s.at(id, alg)
}

func (s *source) at(id, alg string) []key {
	keys := s.keys.Load()
	if keys == nil {
		return nil
	}
	var found []key
	for _, k := range *keys {
		if k.fits(id, alg) {
			found = append(found, k)
		}
	}
	return found
}

// errInsecure is why a redirect is not followed.
var errInsecure = errors.New("the server leads from https to somewhere without")

// fromURL fetches a key set. At most maxJWKSBytes are read, and redirects stay with HTTPS: who changed an answer on its way
// would be anybody.
func fromURL(client *http.Client, url string) func(context.Context) ([]key, error) {
	c := *client
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		switch {
		case len(via) >= 10:
			return errors.New("the server leads on and on")
		case via[0].URL.Scheme == "https" && req.URL.Scheme != "https":
			return errInsecure
		}
		return nil
	}
	client = &c
	return func(ctx context.Context) ([]key, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, fmt.Errorf("fetching the key set: %w", err)
		}
		req.Header.Set("Accept", "application/json, application/jwk-set+json")
		resp, err := client.Do(req)
		if err != nil {
			return nil, fmt.Errorf("fetching the key set: %w", err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("fetching the key set: the server answered %s", resp.Status)
		}
		text, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKSBytes+1))
		if err != nil {
			return nil, fmt.Errorf("fetching the key set: %w", err)
		}
		if len(text) > maxJWKSBytes {
			return nil, fmt.Errorf("fetching the key set: it has more than %d bytes", maxJWKSBytes)
		}
		keys, err := parseJWKS(text, false)
		if err != nil {
			return nil, fmt.Errorf("the key set fetched: %w", err)
		}
		return keys, nil
	}
}

// fromFile reads keys from a file: a key set or PEM.
func fromFile(file string, parse func([]byte) ([]key, error)) func(context.Context) ([]key, error) {
	return func(context.Context) ([]key, error) {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, maxJWKSBytes+1))
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		if len(text) > maxJWKSBytes {
			return nil, errors.New(file + " is larger than any key set")
		}
		keys, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s%s: %w", file, lineOf(text, err), err)
		}
		return keys, nil
	}
}

// lineOf is :line where an error of JSON says where in the text it is.
func lineOf(text []byte, err error) string {
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	at := int64(-1)
	switch {
	case errors.As(err, &syntax):
		at = syntax.Offset
	case errors.As(err, &wrong):
		at = wrong.Offset
	}
	if at < 0 || at > int64(len(text)) {
		return ""
	}
	return fmt.Sprintf(":%d", 1+bytes.Count(text[:at], []byte("\n")))
}

package ctl

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// base is where the API's resources are.
const base = "/api/v5"

// answerTimeout is how long the broker may take for one answer.
const answerTimeout = time.Minute

// maxAnswer bounds what is read of an answer.
const maxAnswer = 256 << 20

// errUnreachable says that no broker answers.
var errUnreachable = errors.New("no broker answers")

// problem is an answer of the API that says why there is no other.
type problem struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Error implements error.
func (p *problem) Error() string {
	switch {
	case p.Code == "METHOD_NOT_ALLOWED" || p.Code == "NOT_FOUND" && strings.HasPrefix(p.Message, "there is no /"):
		return "this broker does not know that: it may be of another version than this program"
	case p.Status == http.StatusUnauthorized:
		return p.Message + ": make a key with `barid ctl keys create` where the broker runs, and give it with --key-file"
	case p.Message == "":
		return fmt.Sprintf("the broker answered %d", p.Status)
	}
	return p.Message
}

// session is a connection to a broker's API.
type session struct {
	env    *Env
	json   bool
	http   *http.Client
	root   string // of the API's address
	key    string
	secret string
	where  string // for people
}

func (g *globals) connect(e *Env) (*session, error) {
	s := &session{env: e, json: g.json}
	if g.url == "" {
		if g.key != "" || g.keyFile != "" {
			return nil, &usageError{"--key and --key-file go with --url: the broker here needs no credentials"}
		}
		path, err := e.Socket(g.config, g.sets)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%w at %s: start it, or say which with --config, --set data_dir=… or --url", errUnreachable, path)
		}
		s.root, s.where = "http://localhost", path
		s.http = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}}
		return s, nil
	}
	return s, s.over(g)
}

// over prepares a session over the network.
func (s *session) over(g *globals) error {
	u, err := url.Parse(g.url)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return &usageError{fmt.Sprintf("--url: %q is no http:// or https:// address", g.url)}
	}
	s.root, s.where = u.Scheme+"://"+u.Host+strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), base), u.Host
	text := g.key
	if g.keyFile != "" {
		data, err := os.ReadFile(g.keyFile)
		if err != nil {
			return fmt.Errorf("--key-file: %w", err)
		}
		text = string(data)
	}
	var ok bool
	if s.key, s.secret, ok = strings.Cut(strings.TrimSpace(text), ":"); !ok {
		return &usageError{"--url needs an API key: --key-file FILE, which holds key:secret"}
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if g.caFile != "" {
		data, err := os.ReadFile(g.caFile)
		if err != nil {
			return fmt.Errorf("--cafile: %w", err)
		}
		if trust.RootCAs = x509.NewCertPool(); !trust.RootCAs.AppendCertsFromPEM(data) {
			return fmt.Errorf("--cafile: %s holds no certificate in PEM", g.caFile)
		}
	}
	s.http = &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: trust},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the key is for this broker only
	}
	return nil
}

func (s *session) close() { s.http.CloseIdleConnections() }

// call sends a request below the API's base, or with a path from the root that begins with //, and returns its answer. body is
// encoded as JSON; nil: none.
func (s *session) call(method, path string, query url.Values, body any) ([]byte, error) {
	return s.callWithin(answerTimeout, method, path, query, body)
}

// callWithin is call with a time of its own for the answer.
func (s *session) callWithin(timeout time.Duration, method, path string, query url.Values, body any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(s.env.Ctx, timeout)
	defer cancel()
	target := s.root + base + path
	if strings.HasPrefix(path, "//") {
		target = s.root + path[1:]
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(ctx, method, target, content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if s.key != "" {
		r.SetBasicAuth(s.key, s.secret)
	}
	answer, err := s.http.Do(r)
	if err != nil {
		return nil, s.unreachable(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("the answer ended early: %w", err)
	}
	if answer.StatusCode >= 300 {
		p := &problem{Status: answer.StatusCode}
		if json.Unmarshal(data, p) != nil {
			p.Message = fmt.Sprintf("the broker answered %s", answer.Status)
		}
		return data, p
	}
	return data, nil
}

func (s *session) unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the URL, which says nothing new
	}
	return fmt.Errorf("%w at %s: %w", errUnreachable, s.where, err)
}

// get is call for a GET whose answer is JSON.
func (s *session) get(path string, query url.Values, v any) error {
	data, err := s.call(http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// Package httpauth asks an HTTP server who may connect and what clients may do. Requests and answers are EMQX's, so that
// servers written for it work:
//
//	POST /auth {"clientid": "…", "username": "…", "password": "…"}
//	200 {"result": "allow" | "deny" | "ignore", "is_superuser": false, "expire_at": 1700000000, "acl": […]}
//
// An answer without such a result, of any other status but 204 (allow), or none in time, is a failure: clients are then
// refused, unless OnFailure says that the server is left out.
package httpauth

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
)

// Defaults and bounds.
const (
	DefaultTimeout        = 5 * time.Second
	DefaultMaxConnections = 32
	maxAnswerBytes        = 64 << 10
	waitingPerConnection  = 64 // requests that wait for each connection to the server; beyond that they are refused
	idleTimeout           = 60 * time.Second
)

// Options describe how a server is asked.
type Options struct {
	Method  string   // GET or POST; "": POST
	URL     string   // may hold placeholders behind its host
	Headers []string // "Name: value"
	Body    []string // "key=value with placeholders"; none: those that fit the purpose. For GET they are a query
	Form    bool     // send the body as a form rather than JSON

	Timeout        time.Duration // for an answer; 0: DefaultTimeout
	MaxConnections int           // to the server; 0: DefaultMaxConnections
	TLS            *tls.Config   // nil: the system's authorities
	PassOnFailure  bool          // without an answer the next in the chain is asked; otherwise the client is refused

	CacheTTL     time.Duration // how long an authorisation holds; at least a second
	CacheEntries int           // how many are remembered

	// Report is told when the server begins to fail, and with nil when it answers again. nil: nobody is.
	Report func(error)
}

// client asks one server.
type client struct {
	method  string
	url     template
	headers http.Header
	fields  []field
	form    bool
	timeout time.Duration
	pass    bool
	http    *http.Client
	gate    *auth.Gate
	failing atomic.Bool
	report  func(error)
}

// field is one value that the server gets.
type field struct {
	name  string
	value template
}

// newClient makes a client whose requests may hold all placeholders but those that are foreign to its purpose.
func newClient(o *Options, body []string, foreign []placeholder) (*client, error) {
	c := &client{
		method: strings.ToUpper(o.Method), headers: http.Header{}, form: o.Form, timeout: o.Timeout,
		pass: o.PassOnFailure, report: o.Report,
	}
	if c.method == "" {
		c.method = http.MethodPost
	}
	if c.method != http.MethodGet && c.method != http.MethodPost {
		return nil, fmt.Errorf("method %q: use get or post", o.Method)
	}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	if c.report == nil {
		c.report = func(error) {}
	}
	if len(o.Body) > 0 {
		body = o.Body
	}
	if err := errors.Join(c.setURL(o.URL), c.setHeaders(o.Headers), c.setBody(body)); err != nil {
		return nil, err
	}
	for _, p := range foreign {
		if c.uses(p) {
			return nil, errors.New("a placeholder of authorisation in a request for authentication, or the other way round")
		}
	}
	connections := o.MaxConnections
	if connections <= 0 {
		connections = DefaultMaxConnections
	}
	c.gate = auth.NewGate(connections, connections*waitingPerConnection)
	c.http = newHTTPClient(connections, o.TLS)
	return c, nil
}

func newHTTPClient(connections int, config *tls.Config) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true,
			MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections, MaxIdleConns: connections,
			IdleConnTimeout: idleTimeout, MaxResponseHeaderBytes: maxAnswerBytes,
		},
		// A redirect would send passwords to whoever the answer names.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (c *client) setURL(text string) (err error) {
	u, err := url.Parse(strings.NewReplacer("${", "", "}", "").Replace(text))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("url is not an http:// or https:// URL") // not the text: it may hold a password
	}
	_, rest, _ := strings.Cut(text, "://")
	if host, _, _ := strings.Cut(rest, "/"); strings.Contains(host, "${") {
		return errors.New("url: no placeholder may stand in the host")
	}
	c.url, err = parseTemplate(text)
	if err != nil {
		return fmt.Errorf("url: %w", err)
	}
	return nil
}

func (c *client) setHeaders(headers []string) error {
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(h, "\r\n") {
			return errors.New("a header is not of the form Name: value")
		}
		c.headers.Add(name, strings.TrimSpace(value))
	}
	return nil
}

func (c *client) setBody(body []string) error {
	for _, b := range body {
		name, text, ok := strings.Cut(b, "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return fmt.Errorf("body: %q is not name=value, for example clientid=${clientid}", b)
		}
		t, err := parseTemplate(strings.TrimSpace(text))
		if err != nil {
			return fmt.Errorf("body: %w", err)
		}
		c.fields = append(c.fields, field{name, t})
	}
	return nil
}

// uses reports whether requests depend on a value.
func (c *client) uses(of placeholder) bool {
	return c.url.uses(of) || slices.ContainsFunc(c.fields, func(f field) bool { return f.value.uses(of) })
}

// ask asks the server, when it is this request's turn. The error says that there is no answer.
func (c *client) ask(ctx context.Context, v *values) (a answer, err error) {
	err = c.gate.Do(ctx, func() error {
		a, err = c.exchange(ctx, v)
		if ctx.Err() == nil && c.failing.Swap(err != nil) != (err != nil) {
			c.report(err)
		}
		return err
	})
	return a, err
}

func (c *client) exchange(ctx context.Context, v *values) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := c.request(ctx, v)
	if err != nil {
		return answer{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var where *url.Error
		if errors.As(err, &where) {
			err = where.Err // not the URL: it may hold a password
		}
		return answer{}, fmt.Errorf("no answer: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return answer{}, fmt.Errorf("no whole answer: %w", err)
	case len(text) > maxAnswerBytes:
		return answer{}, fmt.Errorf("the answer has more than %d bytes", maxAnswerBytes)
	case resp.StatusCode == http.StatusNoContent:
		return answer{result: allow}, nil
	case resp.StatusCode != http.StatusOK:
		return answer{}, fmt.Errorf("the server answered %s", resp.Status)
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return parseAnswer(kind, text)
}

// request fills the templates in. Values go through the escaping of where they stand, so that none of them can change
// what else is asked.
func (c *client) request(ctx context.Context, v *values) (*http.Request, error) {
	target, kind := c.url.expand(v, segment), ""
	var body []byte
	switch {
	case c.method == http.MethodGet:
		if len(c.fields) > 0 {
			separator := "?"
			if strings.Contains(target, "?") {
				separator = "&"
			}
			target += separator + c.query(v)
		}
	case c.form:
		kind, body = "application/x-www-form-urlencoded", []byte(c.query(v))
	default:
		object := make(map[string]string, len(c.fields))
		for _, f := range c.fields {
			object[f.name] = f.value.expand(v, plain)
		}
		text, err := json.Marshal(object)
		if err != nil {
			return nil, fmt.Errorf("making the request: %w", err)
		}
		kind, body = "application/json", text
	}
	req, err := http.NewRequestWithContext(ctx, c.method, target, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("making the request: the URL is not valid with this client's values")
	}
	req.Header = c.headers.Clone()
	if kind != "" && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", kind)
	}
	req.Header.Set("Accept", "application/json")
	return req, nil
}

func (c *client) query(v *values) string {
	q := url.Values{}
	for _, f := range c.fields {
		q.Set(f.name, f.value.expand(v, plain))
	}
	return q.Encode()
}

func (c *client) close() { c.http.CloseIdleConnections() }

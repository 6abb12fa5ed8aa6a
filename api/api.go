// Package api is the HTTP side of the broker: administration in the shapes that scripts for EMQX's API v5 know,
// publishing and consuming, metrics and the dashboard.
//
// openapi.yaml is the contract: a test holds the routes against it. A request passes, in this order:
//
//	guard   → the Host it names, the origin that a browser sends, the size of its body
//	route   → method and path, or 404 and 405
//	login   → who it is: an API key (Basic) or a token (Bearer); open routes skip this
//	role    → may that role do this
//	handler → answers, or returns an error, which becomes {code, message}
//	audit   → what changed something is noted with who did it and how it ended
package api

import (
	"container/list"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/barid-mqtt/barid/internal/auth/builtin"
	"github.com/barid-mqtt/barid/internal/metrics"
)

// Base is where the resources are.
const Base = "/api/v5"

// maxBodyBytes bounds the body of a request; a route may have a limit of its own.
const maxBodyBytes = 4 << 20

// Options are what a Server is made of. Every part is static afterwards.
type Options struct {
	Log          *slog.Logger
	Documents    Documents   // keeps API keys and users of the API
	Admin        Admin       // the first user
	Origins      []string    // other origins whose pages may use the API: scheme://host[:port]
	Hosts        []string    // names besides addresses and localhost under which the API is reached; empty: see LoopbackOnly
	TLS          *tls.Config // nil: HTTP without TLS
	LoopbackOnly bool        // the API is reached from this machine only: without Hosts, no name but localhost is its own
	Passwords    Passwords   // hashes the passwords of users
	Now          func() time.Time
	Broker       Broker
	Ready        func() error // nil: ready to serve
	Version      string
	Node         string
	MQTT         http.Handler        // serves MQTT over WebSocket at /mqtt; nil: that is not there
	Room         func(net.Conn) bool // whether there is a descriptor for a connection; nil: always
	Crowded      func()              // called when a connection is closed for want of room; may be nil
	Metrics      http.Handler        // for Prometheus; nil: there is nothing to show
	OpenMetrics  bool                // without credentials
	Settings     Settings            // nil: the configuration is not shown
	Resources    []Resource
	PushAllow    []string // where consumers may push to; empty: see consumers.push_allow
}

// Broker is what the API shows and does.
type Broker interface {
	Clients
	Subscriptions
	Injector
	Retained
	Explainer
	Streams
	AccessControl
	Sources
	OnBehalf
	Pending
	Listening
	Groups
	Observed
	Consumers
	Taps
}

// Admin is the user that the configuration names.
type Admin struct{ Username, Password string }

// Resource is a part of the API: its routes.
type Resource interface {
	Routes() []Route
}

// Server serves the API.
type Server struct {
	opts    Options
	log     *slog.Logger
	tokens  *tokens
	tickets *tokens // for streams of events; each is good once
	push    *pushing
	keys    *keys
	users   *users
	audit   *audit
	scrape  scrape
	routes  []Route
	inner   http.Handler // all routes
	root    http.Handler // and the guard before them
	cross   *http.CrossOriginProtection

	requests []*metrics.Requests // static

	mu        sync.Mutex // guards servers and listeners
	servers   []*http.Server
	listeners []*sockets
	serving   sync.WaitGroup
	closed    sync.Once
	ctx       context.Context // of requests: ends with Close
	cancel    context.CancelFunc
}

// New makes a server. Serve opens it to the world, Close ends it.
func New(o Options) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{
		opts: o, log: o.Log, cross: http.NewCrossOriginProtection(),
		tokens: newTokens(o.Now, tokenLife, tokenCount), tickets: newTokens(o.Now, ticketLife, ticketCount),
	}
	s.keys = &keys{docs: o.Documents, now: o.Now}
	s.users = &users{docs: o.Documents, admin: o.Admin, passwords: o.Passwords, now: o.Now, revoke: func(name string) {
		theirs := func(_ [sha256.Size]byte, p Principal) bool { return p.Name == name }
		s.tokens.revoke(theirs)
		s.tickets.revoke(theirs)
	}}
	for _, origin := range o.Origins {
		if err := s.cross.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("api.cors_origins: %w", err)
		}
	}
	var err error
	if s.audit, err = newAudit(o.Now, o.Log, o.Documents); err != nil {
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.push = newPushing(s.ctx, o.Broker, o.PushAllow, o.Log)
	s.push.rules = s.keys.mayStillConsume
	s.scrape = scrape{handler: o.Metrics, anonymous: o.OpenMetrics}
	for _, r := range slices.Concat(s.own(), o.Resources) {
		s.routes = append(s.routes, r.Routes()...)
	}
	s.inner = s.mux()
	s.root = s.guard(s.inner)
	return s, nil
}

// StartPushing begins to push for the consumers that were made before, until Close.
func (s *Server) StartPushing() { s.push.start() }

// own are the resources that every server has.
func (s *Server) own() []Resource {
	o := &s.opts
	return []Resource{
		s.health(), s.scrape, s.login(), s.keys, s.users, s.audit, reference{}, &profiles{}, settingsResource{o.Settings}, pages{mqtt: o.MQTT},
		&sources{broker: o.Broker}, &onBehalf{broker: o.Broker, node: o.Node}, &pending{o.Broker}, &bans{access: o.Broker, now: o.Now}, &mqttUsers{access: o.Broker}, &allRules{o.Broker},
		&rules{access: o.Broker, kind: builtin.ForClient, plural: "clients", field: "clientid"},
		&rules{access: o.Broker, kind: builtin.ForUser, plural: "users", field: "username"},
		&rules{access: o.Broker, kind: builtin.ForRole, plural: "roles", field: "role"},
		&listeners{broker: o.Broker, node: o.Node}, &groups{o.Broker},
		&clients{broker: o.Broker, node: o.Node, now: o.Now}, &subscriptions{broker: o.Broker, node: o.Node},
		&publishing{o.Broker}, &retainer{o.Broker},
		&explaining{broker: o.Broker, node: o.Node}, &tracing{broker: o.Broker, node: o.Node},
		&streams{o.Broker}, &consumers{o.Broker, s.push}, &events{o.Broker, o.Broker, s},
		&observe{broker: o.Broker, node: o.Node, version: o.Version}, &alarms{broker: o.Broker, node: o.Node},
	}
}

// ServeHTTP implements http.Handler, for tests and for other listeners.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.root.ServeHTTP(w, r) }

// Routes lists what is served.
func (s *Server) Routes() []Route { return s.routes }

// Serve answers the connections of ln until Close. It returns at once.
func (s *Server) Serve(ln net.Listener) { s.serve(ln, s.root) }

// Trusted answers clients that need no credentials, since only the administrator reaches them.
func (s *Server) Trusted() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.root.ServeHTTP(w, r.WithContext(withPrincipal(r.Context(), Principal{Name: "local", Role: Administrator, Trusted: true})))
	})
}

func (s *Server) serve(ln net.Listener, h http.Handler) {
	own := &sockets{Listener: ln, room: s.opts.Room, crowded: s.opts.Crowded, most: maxSockets, open: list.New()}
	ln = own
	if s.opts.TLS != nil {
		ln = tls.NewListener(ln, s.opts.TLS)
	}
	srv := &http.Server{
		ConnContext: withSocket, ConnState: stateOf,
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return s.ctx },
	}
	s.mu.Lock()
	s.servers, s.listeners = append(s.servers, srv), append(s.listeners, own)
	s.mu.Unlock()
	s.serving.Go(func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the HTTP API is closed", "address", ln.Addr().String(), "error", err)
		}
	})
}

// Close ends streams, waits for other requests until ctx is done, and then breaks them off.
func (s *Server) Close(ctx context.Context) error {
	s.cancel()
	s.mu.Lock()
	servers := s.servers
	s.mu.Unlock()
	var errs []error
	for _, srv := range servers {
		if err := srv.Shutdown(ctx); err != nil {
			errs = append(errs, srv.Close())
		}
	}
	s.serving.Wait()
	s.push.close()
	s.closed.Do(s.audit.close)
	return errors.Join(errs...)
}

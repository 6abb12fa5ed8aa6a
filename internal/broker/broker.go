// Package broker assembles the parts: it opens listeners, joins connections to sessions, keeps the registry of
// sessions, and starts and stops everything in its order. It is the only package that reads the configuration.
package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/listener"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/retain"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/share"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/storage/badger"
	"github.com/barid-mqtt/barid/internal/storage/memory"
	"github.com/barid-mqtt/barid/internal/sys"
	"github.com/barid-mqtt/barid/mqtt"
)

// catchUpWorkers read the log for sessions that lag behind.
const catchUpWorkers = 2

// workers is how many slow things (authentication, for one) happen at a time.
const workers = 64

// Broker is an MQTT broker.
type Broker struct {
	// Static after construction.
	cfg           *config.Config
	log           *slog.Logger
	metrics       *metrics.Metrics
	engine        storage.Engine
	retained      *retain.Store
	router        *router.Router
	registry      *registry
	groups        *groups
	exclusive     exclusive
	shareStrategy share.Strategy
	authenticator auth.Authenticator
	authorizer    auth.Authorizer
	methods       map[string]auth.Method
	flusher       *conn.Flusher
	keepAlive     *conn.KeepAlive
	timers        *timers
	entries       entryPool
	listeners     map[string]*listenerState
	started       time.Time
	ctx           context.Context
	cancel        context.CancelFunc
	slots         chan struct{} // of work

	keeps         bool // the engine outlives the process
	keeper        keeper
	seq           atomic.Uint64
	incarnation   atomic.Uint64
	connections   atomic.Int64
	subscriptions atomic.Int64
	delayed       delayed
	sys           sysTopics // owned by the timers' goroutine

	mu      sync.Mutex // guards what follows
	conns   map[*conn.Conn]struct{}
	stopped bool
	wg      sync.WaitGroup // connections and accept loops
	tasks   sync.WaitGroup // work, which connections and the engine ask for
}

// Option changes how a broker is made, for parts that the configuration does not choose.
type Option func(*Broker)

// WithMethod adds a method of enhanced authentication.
func WithMethod(m auth.Method) Option { return func(b *Broker) { b.methods[m.Name()] = m } }

// WithEngine has the broker keep its state in e, which outlives it, and restore what e holds. The broker closes it.
func WithEngine(e storage.Engine) Option {
	return func(b *Broker) { b.engine, b.keeps = e, true }
}

// WithAuthenticator has a decide who may connect, on every listener.
func WithAuthenticator(a auth.Authenticator) Option { return func(b *Broker) { b.authenticator = a } }

// WithAuthorizer has a decide what clients may do.
func WithAuthorizer(a auth.Authorizer) Option { return func(b *Broker) { b.authorizer = a } }

// New makes a broker and starts what it is made of, but its listeners. Stop ends it.
func New(cfg *config.Config, log *slog.Logger, opts ...Option) (*Broker, error) {
	strategy, err := share.ParseStrategy(string(cfg.MQTT.SharedStrategy))
	if err != nil {
		return nil, fmt.Errorf("mqtt.shared_strategy: %w", err)
	}
	m := new(metrics.Metrics)
	b := &Broker{
		cfg: cfg, log: log, metrics: m, shareStrategy: strategy, started: time.Now(),
		registry: newRegistry(), exclusive: exclusive{owners: make(map[string]*client)},
		authorizer: auth.Everything{}, methods: make(map[string]auth.Method),
		listeners: make(map[string]*listenerState), conns: make(map[*conn.Conn]struct{}),
		slots: make(chan struct{}, workers),
	}
	b.sys = sysTopics{tree: sys.New(m), retained: retain.New(retain.Options{}), version: "unknown"}
	for _, o := range opts {
		o(b)
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.groups = &groups{broker: b, byKey: make(map[groupKey]*group)}
	if b.engine == nil {
		if err := b.openEngine(); err != nil {
			return nil, err
		}
	}
	b.retained = retain.New(retain.Options{MaxMessages: cfg.Limits.MaxRetainedMessages, MaxBytes: cfg.Limits.MaxRetainedBytes})
	b.router = router.New(router.Options{Engine: b.engine, Retained: b.retained, Metrics: m, Workers: catchUpWorkers})
	b.flusher = conn.NewFlusher(runtime.GOMAXPROCS(0), m)
	b.keepAlive = conn.NewKeepAlive()
	for name, ln := range cfg.Listeners {
		b.listeners[name] = b.newListenerState(name, ln)
	}
	b.timers = newTimers(b.everySecond)
	if err := b.restore(); err != nil {
		return nil, errors.Join(fmt.Errorf("restoring sessions: %w", err), b.Stop(b.ctx))
	}
	b.startKeeper()
	return b, nil
}

// openEngine opens the engine that the configuration asks for.
func (b *Broker) openEngine() (err error) {
	cfg := b.cfg
	rejects := cfg.Storage.MaxBytes > 0 || cfg.Session.OnFull == config.Reject
	if cfg.Durability == config.DurabilityMemory {
		b.engine = memory.New(memory.Options{
			LogMaxBytes: cfg.Session.QueueMaxBytes, LogLimitRejects: rejects, LogRejectBytes: rejectBytes(cfg),
		})
		return nil
	}
	o := badger.Options{
		Dir: cfg.DataDir, LogMaxBytes: cfg.Session.QueueMaxBytes, LogLimitRejects: rejects, LogRejectBytes: rejectBytes(cfg), Logger: b.log,
	}
	if cfg.Durability == config.DurabilityOS {
		o.Sync = badger.SyncKernel
	}
	if b.engine, err = badger.Open(o); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	b.keeps = true
	return nil
}

func rejectBytes(cfg *config.Config) int64 {
	if cfg.Storage.MaxBytes > 0 {
		return cfg.Storage.MaxBytes
	}
	return cfg.Session.QueueMaxBytes
}

// listenerState is a listener and what its connections have in common.
type listenerState struct {
	name          string
	mount         string
	authenticator auth.Authenticator
	conn          conn.Options
	options       listener.Options
	open          *listener.Listener // nil until Start
}

func (b *Broker) newListenerState(name string, ln config.Listener) *listenerState {
	s := &listenerState{name: name, mount: ln.MountPoint, authenticator: b.authenticator}
	if s.authenticator == nil {
		s.authenticator = auth.Nobody{}
		if b.cfg.AnonymousAllowed(ln) {
			s.authenticator = auth.Anonymous{}
		}
	}
	s.conn = conn.Options{
		MaxPacketBytes:       uint32(b.cfg.PacketLimit(ln)),
		TopicAliasMaximum:    uint16(b.cfg.MQTT.TopicAliasMaximum),
		TopicAliasOutMaximum: uint16(b.cfg.MQTT.TopicAliasOutboundMaximum),
		OutMaxBytes:          int(b.cfg.MQTT.OutBufferMaxBytes),
		ConnectTimeout:       time.Duration(b.cfg.MQTT.ConnectTimeoutSeconds) * time.Second,
		Metrics:              b.metrics, KeepAlive: b.keepAlive, Flusher: b.flusher,
	}
	s.options = listener.Options{
		Name: name, Type: string(ln.Type), Bind: ln.Bind, Path: ln.Path,
		CertFile: ln.CertFile, KeyFile: ln.KeyFile, ClientCAFile: ln.ClientCAFile, RequireClientCert: ln.RequireClientCert,
		MaxConnections: ln.MaxConnections, ProxyProtocol: ln.ProxyProtocol, AcceptRate: ln.AcceptRatePerSecond,
		OnProblem: func(p listener.Problem) {
			b.log.Debug("connection not accepted", "listener", p.Listener, "reason", string(p.Reason), "address", p.Remote, "error", p.Err)
		},
	}
	return s
}

func (s *listenerState) tlsState(c net.Conn) *tls.ConnectionState {
	if a, ok := c.(*listener.Accepted); ok {
		return a.TLS
	}
	return nil
}

// Start opens all listeners, or none.
func (b *Broker) Start() error {
	for _, s := range b.listeners {
		l, err := listener.Listen(s.options)
		if err != nil {
			return errors.Join(err, b.closeListeners())
		}
		s.open = l
	}
	for _, s := range b.listeners {
		b.wg.Go(func() {
			if err := s.open.Serve(func(a *listener.Accepted) { b.accept(a, s) }); err != nil {
				b.log.Error("listener stopped", "listener", s.name, "error", err)
			}
		})
	}
	return nil
}

func (b *Broker) closeListeners() error {
	var errs []error
	for _, s := range b.listeners {
		if s.open != nil {
			errs = append(errs, s.open.Close())
		}
	}
	return errors.Join(errs...)
}

// ListenerInfo is one open listener.
type ListenerInfo struct {
	Name string
	Type string
	Addr string // with the port that was taken, where the configuration says 0
}

// Listeners lists the open listeners.
func (b *Broker) Listeners() []ListenerInfo {
	var infos []ListenerInfo
	for _, s := range b.listeners {
		if s.open != nil {
			infos = append(infos, ListenerInfo{s.name, s.options.Type, s.open.Addr().String()})
		}
	}
	return infos
}

// Reload reads certificates again. Those that cannot be read stay as they were, and the error says so.
func (b *Broker) Reload() error {
	var errs []error
	for _, s := range b.listeners {
		if s.open != nil {
			errs = append(errs, s.open.Reload())
		}
	}
	return errors.Join(errs...)
}

// accept serves a connection of a listener.
func (b *Broker) accept(a *listener.Accepted, s *listenerState) {
	socket := conn.Socket{Conn: a, Bare: a.Bare(), WouldBlock: listener.ErrWouldBlock}
	if a.Raw != nil && socket.Bare == nil {
		if raw, err := a.Raw.SyscallConn(); err == nil {
			socket.Below, socket.ReadNow = raw, a.ReadNow
		}
	}
	b.serve(socket, s)
}

// Serve serves a connection as one of the named listener, which need not be open, until it ends.
func (b *Broker) Serve(nc net.Conn, listenerName string) error {
	s := b.listeners[listenerName]
	if s == nil {
		return fmt.Errorf("no listener is named %q", listenerName)
	}
	b.serve(conn.Socket{Conn: nc}, s)
	return nil
}

// serve starts the goroutine of a connection.
func (b *Broker) serve(socket conn.Socket, s *listenerState) {
	k := &connecting{broker: b, listener: s, net: socket.Conn}
	c := conn.New(&s.conn, k, conn.Info{Listener: s.name, RemoteAddr: socket.Conn.RemoteAddr()})
	k.conn = c
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		_ = socket.Conn.Close()
		return
	}
	b.conns[c] = struct{}{}
	b.metrics.Sockets.Inc()
	run := conn.Drive(c, socket)
	b.wg.Go(func() {
		run()
		b.mu.Lock()
		delete(b.conns, c)
		b.mu.Unlock()
	})
}

// work runs fn on a goroutine of its own, as soon as one of a bounded number is free.
func (b *Broker) work(fn func()) {
	b.tasks.Go(func() {
		b.slots <- struct{}{}
		defer func() { <-b.slots }()
		fn()
	})
}

func (b *Broker) requestOf(l *link) auth.Request {
	return auth.Request{ClientID: l.client.id, Username: l.identity.Username, Version: l.version, Listener: l.listener.name,
		RemoteAddr: l.conn.Info().RemoteAddr}
}

// logEnd is the place of the next record of the log.
func (b *Broker) logEnd() message.Position { return b.engine.Health().Next }

// trimBytes is the size of the log below which it is left alone.
const trimBytes = 1 << 20

// everySecond is what has to be done from time to time.
func (b *Broker) everySecond(now time.Time) {
	b.retained.Sweep(now, 10_000)
	b.trim()
	b.publishSys(now)
}

// trim lets the log forget what every reader has passed.
func (b *Broker) trim() {
	h := b.engine.Health()
	if h.LogBytes < trimBytes {
		return
	}
	begun := b.router.Begun()
	keep := message.Position{Block: begun}
	consider := func(pos message.Position, ok bool) {
		if ok && pos.Less(keep) {
			keep = pos
		}
	}
	for _, c := range b.registry.all() {
		consider(c.oldest(begun))
	}
	b.groups.each(func(g *group) { consider(g.oldest(begun)) })
	if err := b.engine.Trim(b.ctx, 0, keep); err != nil && b.ctx.Err() == nil {
		b.log.Error("log not trimmed", "error", err)
	}
}

// Stop closes the listeners and all connections, version 5 clients told that the server is shutting down, and then
// everything else. It gives up waiting for connections when ctx is done.
func (b *Broker) Stop(ctx context.Context) error {
	b.mu.Lock()
	if b.stopped {
		b.mu.Unlock()
		return nil
	}
	b.stopped = true
	conns := make([]*conn.Conn, 0, len(b.conns))
	for c := range b.conns {
		conns = append(conns, c)
	}
	b.mu.Unlock()
	err := b.closeListeners()
	for _, c := range conns {
		c.Close(mqtt.ServerShuttingDown, "the server is shutting down")
		c.FlushSoon()
	}
	b.cancel()
	err = errors.Join(err, wait(ctx, &b.wg, "connections"))
	b.timers.close()
	b.stopKeeper()
	b.keepAlive.Stop()
	err = errors.Join(err, b.engine.Close())
	err = errors.Join(err, wait(ctx, &b.tasks, "tasks")) // now that nobody is left who could ask for one
	b.router.Close()
	b.flusher.Stop()
	return err
}

// wait waits for a group, until ctx is done.
func wait(ctx context.Context, wg *sync.WaitGroup, what string) error {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s did not end in time: %w", what, ctx.Err())
	}
}

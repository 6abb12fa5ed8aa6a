// Package broker assembles the parts: it opens listeners, joins connections to sessions, keeps the registry of
// sessions, and starts and stops everything in its order. It is the only package that reads the configuration.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/admin"
	"github.com/barid-mqtt/barid/internal/alarm"
	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/clock"
	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/retain"
	"github.com/barid-mqtt/barid/internal/router"
	"github.com/barid-mqtt/barid/internal/session"
	"github.com/barid-mqtt/barid/internal/share"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/stream"
	"github.com/barid-mqtt/barid/internal/sys"
	"github.com/barid-mqtt/barid/internal/trace"
	"github.com/barid-mqtt/barid/internal/tracing"
)

// catchUpWorkers read the log for sessions that lag behind.
const catchUpWorkers = 2

// workers is how many slow things (accepting a durable session, for one) happen at a time.
const workers = 64

// Broker is an MQTT broker.
type Broker struct {
	// Static after construction.
	cfg           *config.Config // as it was at the start; see conf
	log           *slog.Logger   // of what has no component of its own
	logs          componentLogs
	metrics       *metrics.Metrics
	trace         *trace.Spine
	engine        storage.Engine
	retained      *retain.Store
	router        *router.Router
	streams       *stream.Streams
	declaring     sync.Mutex // held by who declares a stream or a consumer, or takes one away; over I/O
	history       history
	registry      *registry
	groups        *groups
	consumers     *consumers
	exclusive     exclusive
	shareStrategy share.Strategy
	authenticator auth.Authenticator
	permissions   *auth.Permissions
	access        access
	store         store
	flapping      flapping
	failures      failureWatch
	methods       map[string]auth.Method
	flusher       *conn.Flusher
	collector     collector   // the timers' goroutine's
	loops         *conn.Loops // set by Start; nil: connections have a goroutine each
	keepAlive     *conn.KeepAlive
	memory        *conn.Memory // nil: no limit
	descriptors   descriptors
	timers        *timers
	entries       entryPool
	listeners     map[string]*listenerState
	web           *webListener // of the HTTP API's address; nil: none
	listening     sync.Mutex   // held by whoever opens or closes listeners
	started       time.Time
	alarms        *alarm.Registry
	apiCert       apiCertificate   // set before Start
	wall          func() time.Time // the machine's clock, where a test sets it; nil: the real one
	clock         *clock.Clock     // by which everything expires
	ctx           context.Context
	cancel        context.CancelFunc
	slots         chan struct{} // of work
	admin         *admin.Server // from Start on; nil: none
	local         http.Handler  // of the admin's socket; nil: backups only

	keeps         bool             // the engine outlives the process
	ownsDir       bool             // and is that of the data directory
	trimBytes     int64            // size of the log below which it is left alone
	parkBytes     int64            // and beyond which sleeping sessions are parked
	parkGain      int64            // times that parking has to free more than it takes
	passErrands   int              // for how many sessions a pass is
	parking       atomic.Bool      // a pass is under way
	over          atomic.Bool      // a session has more waiting than may
	counted       atomic.Bool      // what waits for sessions is known
	countTo       message.Position // before it, what waits is to be counted
	upkeep        upkeep
	opened        atomic.Bool // listeners are open
	rates         rates
	restored      atomic.Bool // all readers of the log are known: it may be trimmed
	retainedAt    uint64      // the last change of the retained messages that were restored; static after New
	keeper        keeper
	seq           atomic.Uint64
	incarnation   atomic.Uint64
	connections   atomic.Int64
	current       atomic.Pointer[config.Config]
	subscriptions atomic.Int64
	lastVersion   atomic.Pointer[session.Subscription] // see shared
	taps          atomic.Int64                         // for streams of events
	delayed       delayed
	watch         watch
	tracer        *tracing.Tracer // static; nil: nothing is traced
	releasing     atomic.Int64    // when a commit was told of last; see released
	sys           sysTopics       // owned by the timers' goroutine
	fullFor       int             // seconds for which the memory has been full; owned by the timers' goroutine
	jumpedAt      time.Time       // the machine's clock, last; likewise once that runs
	trimmed       time.Time       // the sessions, last; likewise
	lagLooked     time.Time       // for what waits, last; likewise

	mu      sync.Mutex // guards what follows
	conns   map[*conn.Conn]net.Conn
	stopped bool
	wg      sync.WaitGroup // connections and accept loops
	tasks   sync.WaitGroup // work and turns at gates, which connections and the engine ask for
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
func WithAuthorizer(a auth.Authorizer) Option {
	return func(b *Broker) { b.permissions = auth.NewPermissions([]auth.Authorizer{a}, false) }
}

// New makes a broker and starts what it is made of, but its listeners. Stop ends it.
func New(cfg *config.Config, log *slog.Logger, opts ...Option) (*Broker, error) {
	strategy, err := share.ParseStrategy(string(cfg.MQTT.SharedStrategy))
	if err != nil {
		return nil, fmt.Errorf("mqtt.shared_strategy: %w", err)
	}
	m := new(metrics.Metrics)
	b := &Broker{
		cfg: cfg, log: log.With(logComponent, "broker"), logs: newComponentLogs(log), metrics: m, shareStrategy: strategy, started: time.Now(),
		exclusive: exclusive{owners: make(map[string]*client)},
		methods:   make(map[string]auth.Method),
		listeners: make(map[string]*listenerState), conns: make(map[*conn.Conn]net.Conn),
		descriptors: newDescriptors(descriptorLimit()),
		slots:       make(chan struct{}, workers), trimBytes: trimBytes, parkBytes: parkBytes, parkGain: parkGain, passErrands: passErrands,
	}
	b.current.Store(cfg)
	b.registry = newRegistry(b.tasks.Go)
	b.sys = sysTopics{tree: sys.New(m), retained: retain.New(retain.Options{}), version: "unknown"}
	for _, o := range opts {
		o(b)
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.alarms = alarm.New(b.observe)
	b.watch = newWatch(b.started)
	if b.trace, err = trace.Open(b.traceOptions()); err != nil {
		return nil, err
	}
	b.groups = &groups{broker: b, byKey: make(map[groupKey]*group)}
	b.consumers = newConsumers(b)
	if b.engine == nil {
		if err := b.openEngine(); err != nil {
			return nil, err
		}
	}
	if err := b.openTracing(); err != nil {
		return nil, errors.Join(err, b.engine.Close())
	}
	if err := b.startClock(); err != nil {
		return nil, errors.Join(err, b.engine.Close())
	}
	b.retained = retain.New(retain.Options{MaxMessages: cfg.Limits.MaxRetainedMessages, MaxBytes: cfg.Limits.MaxRetainedBytes})
	b.router = router.New(router.Options{Engine: b.engine, Retained: b.retained, Metrics: m, Trace: b.trace, Workers: catchUpWorkers, RejectFull: cfg.Session.OnFull == config.Reject, KeepsQoS0: cfg.Session.QueueQoS0})
	b.flusher = conn.NewFlusher(runtime.GOMAXPROCS(0), m)
	b.keepAlive = conn.NewKeepAlive()
	b.rates.init(&cfg.Limits)
	b.memory = conn.NewMemory(cfg.Limits.MemoryMaxBytes)
	b.timers = newTimers(b.everySecond)
	if err := b.openAccess(); err != nil {
		return nil, errors.Join(err, b.Stop(b.ctx))
	}
	for name, ln := range cfg.Listeners {
		b.listeners[name] = b.newListenerState(name, ln)
	}
	if err := b.openWeb(); err != nil {
		return nil, errors.Join(err, b.Stop(b.ctx))
	}
	if err := b.openStreams(); err != nil {
		return nil, errors.Join(err, b.Stop(b.ctx))
	}
	b.countTo = b.logEnd()
	b.counted.Store(b.engine.Health().LogBytes == 0)
	if err := b.restore(); err != nil {
		return nil, errors.Join(fmt.Errorf("restoring sessions: %w", err), b.Stop(b.ctx))
	}
	b.retainedAt = b.retained.Changes()
	b.restored.Store(true)
	b.startKeeper()
	return b, nil
}

// work runs fn on a goroutine of its own, as soon as one of a bounded number is free.
func (b *Broker) work(fn func()) {
	b.tasks.Go(func() {
		b.slots <- struct{}{}
		defer func() { <-b.slots }()
		fn()
	})
}

// beside runs fn on a goroutine of its own: for what waits for others, and bounds itself by an auth.Gate. The connection it
// is for is suspended meanwhile, so there is one for each at most.
func (b *Broker) beside(fn func()) { b.tasks.Go(fn) }

// everySecond is what has to be done from time to time.
func (b *Broker) everySecond(now time.Time) {
	b.watchClock(now)
	b.trace.Tick(now)
	b.watchStorage()
	b.watchCertificates(now)
	b.retained.Sweep(b.clock.At(now), 10_000)
	if b.collector.limitMemory() {
		b.work(debug.FreeOSMemory)
	}
	b.watchFailures(now)
	b.trim()
	b.trimSessions(now)
	if b.restored.Load() {
		b.consumers.sweep(now)
		b.streams.Sweep()
	}
	b.relieve()
	b.watchDescriptors(now)
	b.watchLag(now)
	b.watchLoad(now)
	b.publishSys(now)
}

package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/auth/clientcert"
	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/listener"
)

// listenerState is a listener and what its connections have in common.
type listenerState struct {
	name          string
	mount         string
	authenticator auth.Authenticator
	conn          atomic.Pointer[conn.Options] // for the connections to come
	options       listener.Options
	limit         config.Rate                       // that rate was made of
	certName      clientcert.Source                 // what of a client's certificate is its name; "": nothing
	certClientID  bool                              // and its client id too
	rate          atomic.Pointer[rate]              // of all its clients; nil: no limit
	open          atomic.Pointer[listener.Listener] // nil: not open
	last          *listener.Listener                // that was open last, for its counts. Guarded by Broker.listening
}

func (b *Broker) newListenerState(name string, ln config.Listener) *listenerState {
	s := &listenerState{name: name, mount: ln.MountPoint, authenticator: b.authenticatorOf(ln)}
	s.certName, s.certClientID = clientcert.Source(ln.CertUsername), ln.CertClientID
	s.configure(b, b.conf(), ln)
	s.options = listener.Options{
		Name: name, Type: string(ln.Type), Bind: ln.Bind, Path: ln.Path,
		CertFile: ln.CertFile, KeyFile: ln.KeyFile, ClientCAFile: ln.ClientCAFile, RequireClientCert: ln.RequireClientCert,
		CRLFile: ln.CRLFile, MoreCerts: moreCerts(ln), MinVersion: minVersion(ln),
		MaxConnections: ln.MaxConnections, ProxyProtocol: ln.ProxyProtocol, AcceptRate: ln.AcceptRatePerSecond,
		MaxDescriptor: b.descriptors.most,
		OnProblem: func(p listener.Problem) {
			b.countProblem(p.Reason)
			b.logs.listener.Debug("connection not accepted", "listener", p.Listener, "reason", string(p.Reason), "address", p.Remote, "error", p.Err)
		},
	}
	return s
}

// configure sets what may change while the broker runs, for the connections to come.
func (s *listenerState) configure(b *Broker, cfg *config.Config, ln config.Listener) {
	s.conn.Store(&conn.Options{
		MaxPacketBytes:       uint32(cfg.PacketLimit(ln)),
		TopicAliasMaximum:    uint16(cfg.MQTT.TopicAliasMaximum),
		TopicAliasOutMaximum: uint16(cfg.MQTT.TopicAliasOutboundMaximum),
		OutMaxBytes:          int(cfg.MQTT.OutBufferMaxBytes),
		ConnectTimeout:       time.Duration(cfg.MQTT.ConnectTimeoutSeconds) * time.Second,
		Clock:                b.clock.At, Metrics: b.metrics, KeepAlive: b.keepAlive, Flusher: b.flusher, Memory: b.memory, Trace: b.trace,
	})
	if cfg.Limits.Listener != s.limit {
		s.limit = cfg.Limits.Listener
		s.rate.Store(newRate(s.limit))
	}
}

func (s *listenerState) tlsState(c net.Conn) *tls.ConnectionState {
	if a, ok := c.(*listener.Accepted); ok {
		return a.TLS
	}
	return nil
}

// Start opens all listeners, or none.
func (b *Broker) Start() error {
	b.descriptors.log(b.logs.listener)
	b.listening.Lock()
	defer b.listening.Unlock()
	for _, s := range b.listeners {
		b.watchCertFiles(s)
		l, err := listener.Listen(s.options)
		if err != nil {
			return errors.Join(err, b.closeListeners())
		}
		s.opened(l)
	}
	loops, err := conn.NewLoops(runtime.GOMAXPROCS(0), b.metrics)
	if err != nil {
		return errors.Join(err, b.closeListeners())
	}
	b.loops = loops
	b.openAdmin()
	b.opened.Store(true)
	for _, s := range b.listeners {
		b.acceptFrom(s, s.last)
	}
	return nil
}

// acceptFrom begins to accept the connections of an open listener.
func (b *Broker) acceptFrom(s *listenerState, l *listener.Listener) {
	b.wg.Go(func() {
		if err := l.ServeOn(b.loops, func(a *listener.Accepted) { b.accept(a, s) }); err != nil {
			b.logs.listener.Error("listener stopped", "listener", s.name, "error", err)
		}
	})
}

// closeListeners closes those that are open. The caller holds b.listening.
func (b *Broker) closeListeners() error {
	var errs []error
	for _, s := range b.listeners {
		errs = append(errs, s.close())
	}
	if b.web != nil {
		errs = append(errs, b.web.close())
	}
	return errors.Join(errs...)
}

// Reload reads again what may change while the broker runs: certificates, users and rules. What cannot be read stays as
// it was, and the error says so.
func (b *Broker) Reload() error {
	errs := []error{b.access.reload()}
	for _, s := range b.listeners {
		if l := s.open.Load(); l != nil {
			errs = append(errs, l.Reload())
		}
	}
	return errors.Join(errs...)
}

// accept serves a connection of a listener.
func (b *Broker) accept(a *listener.Accepted, s *listenerState) {
	socket := conn.Socket{Conn: a, Bare: a.Bare()}
	if a.Raw != nil && socket.Bare == nil {
		if raw, err := a.Raw.SyscallConn(); err == nil {
			a.WriteLater()
			socket.Below, socket.Layers = raw, a
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

// serve starts a connection.
func (b *Broker) serve(socket conn.Socket, s *listenerState) {
	k := &connecting{broker: b, listener: s, net: socket.Conn, limits: s.conn.Load()}
	c := conn.New(k.limits, k, conn.Info{Listener: s.name, RemoteAddr: socket.Conn.RemoteAddr()})
	k.conn = c
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		_ = socket.Conn.Close()
		return
	}
	b.conns[c] = socket.Conn
	b.metrics.Sockets.Inc()
	socket.Loops = b.loops
	b.wg.Add(1)
	conn.Drive(c, socket)(func() {
		b.mu.Lock()
		delete(b.conns, c)
		b.mu.Unlock()
		b.wg.Done()
	})
}

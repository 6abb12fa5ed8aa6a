package broker

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/barid-mqtt/barid/internal/conn"
	"github.com/barid-mqtt/barid/internal/listener"
	"github.com/barid-mqtt/barid/mqtt"
)

// ErrNoListener says that the configuration has no listener of a name. Match it with errors.Is.
var ErrNoListener = errors.New("broker: no such listener")

// ListenerInfo is what can be seen of a listener of the configuration.
type ListenerInfo struct {
	Name string
	Type string
	Addr string // with the port that was taken, where the configuration says 0; of one that is stopped: as configured

	Running        bool
	MountPoint     string
	Path           string // of a WebSocket
	ProxyProtocol  bool
	MaxConnections int // 0: no limit
	Stats          listener.Stats
	Certificates   []listener.Certificate // that it shows
}

// Listeners lists the listeners, by name. Before Start there is none.
func (b *Broker) Listeners() []ListenerInfo {
	b.listening.Lock()
	defer b.listening.Unlock()
	var infos []ListenerInfo
	for _, name := range slices.Sorted(maps.Keys(b.listeners)) {
		if s := b.listeners[name]; s.last != nil {
			infos = append(infos, s.info())
		}
	}
	return infos
}

// info describes a listener that was open once. The caller holds b.listening.
func (s *listenerState) info() ListenerInfo {
	i := ListenerInfo{
		Name: s.name, Type: s.options.Type, Addr: s.options.Bind, MountPoint: s.mount, Path: s.options.Path,
		ProxyProtocol: s.options.ProxyProtocol, MaxConnections: s.options.MaxConnections, Stats: s.last.Stats(),
	}
	if l := s.open.Load(); l != nil {
		i.Running, i.Addr, i.Certificates = true, l.Addr().String(), l.Certificates()
	}
	return i
}

// opened takes note of an open listener. The caller holds b.listening.
func (s *listenerState) opened(l *listener.Listener) {
	if s.last != nil {
		l.Succeed(s.last)
	}
	s.last = l
	s.open.Store(l)
}

// close closes the listener if it is open. The caller holds b.listening.
func (s *listenerState) close() error {
	if l := s.open.Swap(nil); l != nil {
		return l.Close()
	}
	return nil
}

// StartListener opens a listener that was stopped. One that is open stays so.
func (b *Broker) StartListener(name string) error {
	return b.withListener(name, b.startListener)
}

// StopListener closes a listener, and the connections that came by it; their sessions stay. Others notice nothing.
func (b *Broker) StopListener(name string) error {
	return b.withListener(name, func(s *listenerState) error {
		if s.open.Load() == nil {
			return nil
		}
		err := s.close()
		b.disconnectOf(s)
		b.logs.listener.Info("listener stopped by an administrator", "listener", s.name)
		return err
	})
}

// RestartListener closes a listener's socket and opens it anew, with its files read again. Connections go on.
func (b *Broker) RestartListener(name string) error {
	return b.withListener(name, func(s *listenerState) error {
		return errors.Join(s.close(), b.startListener(s))
	})
}

func (b *Broker) withListener(name string, fn func(*listenerState) error) error {
	s := b.listeners[name]
	if s == nil {
		return fmt.Errorf("%w: %q", ErrNoListener, name)
	}
	b.listening.Lock()
	defer b.listening.Unlock()
	return fn(s)
}

// startListener is StartListener for whoever holds b.listening.
func (b *Broker) startListener(s *listenerState) error {
	if s.open.Load() != nil {
		return nil
	}
	l, err := listener.Listen(s.options)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return errors.Join(ErrStopping, l.Close())
	}
	s.opened(l)
	b.acceptFrom(s, l)
	b.logs.listener.Info("listener started", "listener", s.name, "address", l.Addr().String())
	return nil
}

// disconnectOf ends the connections that came by a listener.
func (b *Broker) disconnectOf(s *listenerState) {
	b.mu.Lock()
	var conns []*conn.Conn
	for c := range b.conns {
		if c.Info().Listener == s.name {
			conns = append(conns, c)
		}
	}
	b.mu.Unlock()
	for _, c := range conns {
		c.Close(mqtt.AdministrativeAction, "the listener was stopped by an administrator")
		c.FlushSoon()
	}
}

package broker

import "github.com/barid-mqtt/barid/internal/config"

// conf is the configuration in effect. What can change while the broker runs is read from it each time that it counts; cfg
// has what the broker was made of.
func (b *Broker) conf() *config.Config { return b.current.Load() }

// Apply puts a configuration in effect that differs from the one before only in keys that are live. What concerns
// connections (rates of publishing, sizes of packets and buffers, aliases, the time for CONNECT) holds for those to come,
// what concerns sessions and topics for what comes next.
func (b *Broker) Apply(cfg *config.Config) {
	b.current.Store(cfg)
	b.rates.set(&cfg.Limits)
	b.retained.SetLimits(cfg.Limits.MaxRetainedMessages, cfg.Limits.MaxRetainedBytes)
	for name, s := range b.listeners {
		s.configure(b, cfg, b.cfg.Listeners[name])
	}
	if b.web != nil {
		b.web.configure(b, cfg, config.Listener{})
	}
}

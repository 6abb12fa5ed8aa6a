package broker

import (
	"errors"
	"log/slog"
	"maps"
	"slices"

	"github.com/barid-mqtt/barid/internal/alarm"
	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/listener"
)

// Check reads the files that a configuration names, as a start does: users, rules, keys, certificates, revocation lists. It
// returns what a start would say of them, all at once, joined. Nothing is opened, kept or asked over the network.
func Check(cfg *config.Config) error {
	nowhere := slog.New(slog.DiscardHandler)
	b := &Broker{cfg: cfg, log: nowhere, logs: newComponentLogs(nowhere), alarms: alarm.New(nil), methods: make(map[string]auth.Method)}
	b.current.Store(cfg)
	b.access.once = true
	errs := []error{b.openSources()}
	for _, name := range slices.Sorted(maps.Keys(cfg.Listeners)) {
		s := b.newListenerState(name, cfg.Listeners[name])
		errs = append(errs, listener.Check(s.options))
	}
	return errors.Join(append(errs, b.access.close())...)
}

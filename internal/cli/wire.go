package cli

import (
	"log/slog"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/config"
)

// newServer makes the broker that serve runs.
func newServer(cfg *config.Config, log *slog.Logger) (server, error) {
	return broker.New(cfg, log)
}

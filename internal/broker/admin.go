package broker

import (
	"net/http"

	"github.com/barid-mqtt/barid/internal/admin"
)

// openAdmin lets the commands of an administrator reach the data directory while the broker runs. The broker can do
// without: some file systems have no sockets.
func (b *Broker) openAdmin() {
	if !b.ownsDir {
		return
	}
	a, err := admin.Listen(b.cfg.DataDir, b.engine.Snapshot, b.local, b.log)
	if err != nil {
		b.log.Warn("a backup can be made only while the broker is stopped", "error", err)
		return
	}
	b.admin = a
}

// HandleLocal has h answer what the administrator's commands ask on the data directory's socket besides backups. It
// comes before Start.
func (b *Broker) HandleLocal(h http.Handler) { b.local = h }

// closeAdmin comes before the engine's end.
func (b *Broker) closeAdmin() error {
	if b.admin == nil {
		return nil
	}
	return b.admin.Close()
}

package broker

import "log/slog"

// logComponent is the key of the attribute that names a part of the broker. Levels are set by it: logging.levels.
const logComponent = "component"

// componentLogs are the logs of parts of the broker.
type componentLogs struct {
	auth     *slog.Logger // who may connect, bans, files of users and rules
	client   *slog.Logger // clients that connect and disconnect
	listener *slog.Logger
	storage  *slog.Logger
}

func newComponentLogs(log *slog.Logger) componentLogs {
	of := func(component string) *slog.Logger { return log.With(logComponent, component) }
	return componentLogs{auth: of("auth"), client: of("client"), listener: of("listener"), storage: of("storage")}
}

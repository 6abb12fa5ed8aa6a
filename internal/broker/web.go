package broker

import (
	"net/http"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/listener"
)

// webListener takes the connections that come by the HTTP API's address: the dashboard's client connects there, to the
// origin that it was loaded from. But for the socket it is a WebSocket listener like any other.
type webListener struct {
	broker *Broker
	*listenerState
}

// openWeb makes it, if there is an API and MQTT is wanted there.
func (b *Broker) openWeb() error {
	api := &b.cfg.API
	if api.Bind == "" || !api.MQTT {
		return nil
	}
	s := b.newListenerState(config.WebListener, config.Listener{Type: config.WS, Bind: api.Bind})
	s.options.SameOrigin, s.options.AllowedOrigins = true, api.CORSOrigins
	open, err := listener.Handed(s.options)
	if err != nil {
		return err
	}
	s.opened(open)
	b.web = &webListener{b, s}
	return nil
}

// WebSocket serves MQTT to the WebSocket requests of an HTTP server at the address of the API; nil: that is not wanted.
func (b *Broker) WebSocket() http.Handler {
	if b.web == nil {
		return nil
	}
	return b.web
}

// ServeHTTP hands a request's connection over.
func (l *webListener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !l.broker.opened.Load() {
		http.Error(w, "the broker is not ready", http.StatusServiceUnavailable)
		return
	}
	open := l.open.Load()
	if open == nil { // it stops
		http.Error(w, "the broker is stopping", http.StatusServiceUnavailable)
		return
	}
	open.Upgrade(w, r, func(a *listener.Accepted) { l.broker.accept(a, l.listenerState) })
}

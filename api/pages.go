package api

import (
	"net/http"

	"github.com/barid-mqtt/barid/api/dashboard"
)

// pages are what browsers ask for beside the API: the dashboard, and MQTT for its client.
type pages struct {
	mqtt http.Handler // nil: no MQTT here
}

// Routes implements Resource.
func (p pages) Routes() []Route {
	open := func(path string, h http.Handler) Route {
		return Route{Method: "GET", Path: path, Access: Open, Handler: func(w http.ResponseWriter, r *http.Request) error {
			h.ServeHTTP(w, r)
			return nil
		}}
	}
	site := new(dashboard.Site)
	routes := []Route{open("/{$}", site), open("/ui/{file...}", site)}
	if p.mqtt != nil {
		routes = append(routes, open("/mqtt", p.mqtt)) // who may connect is asked in MQTT
	}
	return routes
}

package api

import "net/http"

// pages are what browsers ask for beside the API.
type pages struct {
	mqtt http.Handler // nil: no MQTT here
}

// Routes implements Resource.
func (p pages) Routes() []Route {
	if p.mqtt == nil {
		return nil
	}
	return []Route{{Method: "GET", Path: "/mqtt", Access: Open, Handler: func(w http.ResponseWriter, r *http.Request) error {
		p.mqtt.ServeHTTP(w, r) // who may connect is asked in MQTT
		return nil
	}}}
}

package api

import (
	"net/http"

	"github.com/barid-mqtt/barid/internal/broker"
)

// Sources are what decides who may connect and what clients may do.
type Sources interface {
	Authenticators() []broker.AuthenticatorInfo
	RuleSources() []broker.RuleSourceInfo
}

// sources is /authentication and /authorization/sources, and what exporters made for EMQX ask of what Barid does not have.
type sources struct{ broker Sources }

type authenticatorView struct {
	ID        string `json:"id"` // mechanism:backend
	Mechanism string `json:"mechanism"`
	Backend   string `json:"backend"`
	Enable    bool   `json:"enable"`
}

type ruleSourceView struct {
	Type   string `json:"type"`
	Enable bool   `json:"enable"`
}

// sourceStatus says that a source is in use. What it answered is counted for the broker only, in /metrics.
type sourceStatus struct {
	Status  string `json:"status"`
	Metrics []any  `json:"node_metrics"`
}

// Routes implements Resource.
func (s *sources) Routes() []Route {
	return []Route{
		{Method: "GET", Path: Base + "/authentication", Access: Look, Handler: s.authenticators},
		{Method: "GET", Path: Base + "/authentication/{id}/status", Access: Look, Handler: s.authenticator},
		{Method: "GET", Path: Base + "/authorization/sources", Access: Look, Handler: s.ruleSources},
		{Method: "GET", Path: Base + "/authorization/sources/{type}/status", Access: Look, Handler: s.ruleSource},
		{Method: "GET", Path: Base + "/rules", Access: Look, Handler: func(w http.ResponseWriter, _ *http.Request) error {
			WriteJSON(w, http.StatusOK, Of(Page{1, defaultLimit}, []any{}))
			return nil
		}},
		{Method: "GET", Path: Base + "/bridges", Access: Look, Handler: func(w http.ResponseWriter, _ *http.Request) error {
			WriteJSON(w, http.StatusOK, []any{})
			return nil
		}},
	}
}

func (s *sources) views() []authenticatorView {
	views := []authenticatorView{}
	for _, a := range s.broker.Authenticators() {
		id := a.Mechanism + ":" + a.Backend
		if a.Mechanism == a.Backend {
			id = a.Mechanism
		}
		views = append(views, authenticatorView{id, a.Mechanism, a.Backend, a.Enabled})
	}
	return views
}

func (s *sources) authenticators(w http.ResponseWriter, _ *http.Request) error {
	WriteJSON(w, http.StatusOK, s.views())
	return nil
}

func (s *sources) authenticator(w http.ResponseWriter, r *http.Request) error {
	for _, a := range s.views() {
		if a.ID == r.PathValue("id") {
			writeStatus(w, a.Enable)
			return nil
		}
	}
	return NotFound("NOT_FOUND", "there is no authenticator %q", r.PathValue("id"))
}

func writeStatus(w http.ResponseWriter, enabled bool) {
	status := sourceStatus{Status: "disconnected", Metrics: []any{}}
	if enabled {
		status.Status = "connected"
	}
	WriteJSON(w, http.StatusOK, status)
}

func (s *sources) ruleSources(w http.ResponseWriter, _ *http.Request) error {
	views := []ruleSourceView{}
	for _, r := range s.broker.RuleSources() {
		views = append(views, ruleSourceView{r.Type, r.Enabled})
	}
	WriteJSON(w, http.StatusOK, map[string]any{"sources": views})
	return nil
}

func (s *sources) ruleSource(w http.ResponseWriter, r *http.Request) error {
	for _, source := range s.broker.RuleSources() {
		if source.Type == r.PathValue("type") {
			writeStatus(w, source.Enabled)
			return nil
		}
	}
	return NotFound("NOT_FOUND", "there is no source %q", r.PathValue("type"))
}

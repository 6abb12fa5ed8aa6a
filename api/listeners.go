package api

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/internal/broker"
)

// Listening are the broker's listeners.
type Listening interface {
	Listeners() []broker.ListenerInfo
	StartListener(name string) error
	StopListener(name string) error
	RestartListener(name string) error
}

// listeners is /listeners.
type listeners struct {
	broker Listening
	node   string
}

type listenerView struct {
	ID         string         `json:"id"` // type:name
	Type       string         `json:"type"`
	Name       string         `json:"name"`
	Enable     bool           `json:"enable"`
	Bind       string         `json:"bind"`
	Number     int            `json:"number"` // of nodes that have it
	Status     listenerStatus `json:"status"`
	NodeStatus []nodeStatus   `json:"node_status"`
}

type listenerStatus struct {
	Running bool `json:"running"`
	Max     any  `json:"max_connections"` // a number, or infinity
	Current int  `json:"current_connections"`
}

type nodeStatus struct {
	Node   string         `json:"node"`
	Status listenerStatus `json:"status"`
}

// listenerDetail is a listener by itself.
type listenerDetail struct {
	listenerView
	listenerStatus
	MountPoint    string            `json:"mountpoint"`
	Path          string            `json:"path,omitempty"`
	ProxyProtocol bool              `json:"proxy_protocol"`
	Accepted      uint64            `json:"accepted"`
	Refused       uint64            `json:"refused"`
	Failed        uint64            `json:"handshake_failures"`
	AcceptErrors  uint64            `json:"accept_errors"`
	Certificates  []certificateView `json:"certificates"`
}

type certificateView struct {
	File     string   `json:"file"`
	Subject  string   `json:"subject"`
	Names    []string `json:"names"`
	NotAfter string   `json:"not_after"`
}

// Routes implements Resource.
func (l *listeners) Routes() []Route {
	const path = Base + "/listeners"
	return []Route{
		{Method: "GET", Path: path, Access: Look, Handler: l.list},
		{Method: "GET", Path: path + "/{id}", Access: Look, Handler: l.get},
		{Method: "POST", Path: path + "/{id}/start", Access: Manage, MaxBodyBytes: 4 << 10, Handler: l.act(l.broker.StartListener)},
		{Method: "POST", Path: path + "/{id}/stop", Access: Manage, MaxBodyBytes: 4 << 10, Handler: l.act(l.broker.StopListener)},
		{Method: "POST", Path: path + "/{id}/restart", Access: Manage, MaxBodyBytes: 4 << 10, Handler: l.act(l.broker.RestartListener)},
	}
}

func (l *listeners) view(i *broker.ListenerInfo) listenerView {
	s := listenerStatus{Running: i.Running, Max: "infinity", Current: int(i.Stats.Current)}
	if i.MaxConnections > 0 {
		s.Max = i.MaxConnections
	}
	return listenerView{ID: i.Type + ":" + i.Name, Type: i.Type, Name: i.Name, Enable: i.Running, Bind: i.Addr, Number: 1,
		Status: s, NodeStatus: []nodeStatus{{l.node, s}}}
}

func (l *listeners) list(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	kind := listenerType(q.OneOf("type", "tcp", "tls", "ssl", "ws", "wss", "unix", "quic"))
	if err := q.Done(); err != nil {
		return err
	}
	views := []listenerView{}
	infos := l.broker.Listeners()
	for i := range infos {
		if kind == "" || infos[i].Type == kind {
			views = append(views, l.view(&infos[i]))
		}
	}
	WriteJSON(w, http.StatusOK, views)
	return nil
}

// listenerType returns what a type is called here: EMQX says ssl.
func listenerType(name string) string {
	if name == "ssl" {
		return "tls"
	}
	return name
}

// find returns the listener that the path names as type:name.
func (l *listeners) find(r *http.Request) (broker.ListenerInfo, error) {
	id := r.PathValue("id")
	kind, name, ok := strings.Cut(id, ":")
	for _, i := range l.broker.Listeners() {
		if ok && i.Name == name && i.Type == listenerType(kind) {
			return i, nil
		}
	}
	return broker.ListenerInfo{}, NotFound("BAD_LISTENER_ID", "there is no listener %q: they are called type:name, as tcp:default", id)
}

func (l *listeners) get(w http.ResponseWriter, r *http.Request) error {
	i, err := l.find(r)
	if err != nil {
		return err
	}
	v := listenerDetail{
		listenerView: l.view(&i), MountPoint: i.MountPoint, Path: i.Path, ProxyProtocol: i.ProxyProtocol, Accepted: i.Stats.Accepted,
		Refused: i.Stats.Refused, Failed: i.Stats.HandshakeFailures, AcceptErrors: i.Stats.AcceptErrors, Certificates: []certificateView{},
	}
	v.listenerStatus = v.Status
	for _, c := range i.Certificates {
		v.Certificates = append(v.Certificates, certificateView{c.File, c.Subject, append([]string{}, c.Names...), c.NotAfter.UTC().Format(time.RFC3339)})
	}
	WriteJSON(w, http.StatusOK, v)
	return nil
}

// act answers a request to start, stop or restart a listener. EMQX's answer has no body.
func (l *listeners) act(do func(name string) error) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		i, err := l.find(r)
		if err != nil {
			return err
		}
		if err := do(i.Name); errors.Is(err, broker.ErrNoListener) {
			return NotFound("BAD_LISTENER_ID", "there is no listener %q", i.Name)
		} else if err != nil {
			return BadRequest("%v", err)
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}
}

package api

import (
	"context"
	"net/http"

	"github.com/barid-mqtt/barid/internal/broker"
)

// Groups are the groups of shared subscriptions.
type Groups interface {
	Groups(ctx context.Context, match func(name, filter string) bool, skip, limit int) (page []broker.GroupInfo, total int, err error)
}

// groups is /groups.
type groups struct{ broker Groups }

type sharedGroupView struct {
	Name     string            `json:"name"`
	Filter   string            `json:"filter"`
	Strategy string            `json:"strategy"`
	Durable  bool              `json:"durable"`
	Declared bool              `json:"declared"`
	Members  []groupMemberView `json:"members"`
	Lag      int64             `json:"lag"`
	LagExact bool              `json:"lag_exact"`
}

type groupMemberView struct {
	ClientID  string `json:"clientid"`
	Connected bool   `json:"connected"`
	InFlight  int    `json:"inflight"`
}

// Routes implements Resource.
func (g *groups) Routes() []Route {
	return []Route{{Method: "GET", Path: Base + "/groups", Access: Look, Handler: g.list}}
}

func (g *groups) list(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	page, name, filter := q.Page(), q.String("name"), q.String("filter")
	if err := q.Done(); err != nil {
		return err
	}
	found, total, err := g.broker.Groups(r.Context(), func(n, f string) bool {
		return (name == "" || n == name) && (filter == "" || f == filter)
	}, page.Skip(), page.Limit)
	if err != nil {
		return err
	}
	views := make([]sharedGroupView, len(found))
	for i := range found {
		views[i] = viewSharedGroup(&found[i])
	}
	WriteJSON(w, http.StatusOK, List[sharedGroupView]{Data: views, Meta: page.meta(total)})
	return nil
}

func viewSharedGroup(i *broker.GroupInfo) sharedGroupView {
	v := sharedGroupView{Name: i.Name, Filter: i.Filter, Strategy: i.Strategy, Durable: i.Durable, Declared: i.Declared,
		Members: make([]groupMemberView, len(i.Members)), Lag: i.Lag, LagExact: i.LagExact}
	for k, m := range i.Members {
		v.Members[k] = groupMemberView{m.ClientID, m.Connected, m.InFlight}
	}
	return v
}

package api

import (
	"net/http"
	"time"

	"github.com/barid-mqtt/barid/internal/alarm"
)

// alarms is /alarms.
type alarms struct {
	broker Observed
	node   string
}

// alarmView is an alarm in EMQX's shape.
type alarmView struct {
	Node     string         `json:"node"`
	Name     string         `json:"name"`
	Message  string         `json:"message"`
	Details  map[string]any `json:"details"`
	Duration int64          `json:"duration"` // milliseconds
	At       string         `json:"activate_at"`
	Until    string         `json:"deactivate_at"` // infinity: it is active
}

// Routes implements Resource.
func (a *alarms) Routes() []Route {
	return []Route{
		{Method: "GET", Path: Base + "/alarms", Access: Look, Handler: a.list},
		{Method: "DELETE", Path: Base + "/alarms", Access: Manage, Handler: a.forget},
	}
}

func (a *alarms) view(of *alarm.Alarm, now time.Time) alarmView {
	v := alarmView{
		Node: a.node, Name: of.Name, Message: of.Message, Details: of.Details,
		Duration: of.Duration(now).Milliseconds(), At: stamp(of.ActivatedAt), Until: "infinity",
	}
	if v.Details == nil {
		v.Details = map[string]any{}
	}
	if !of.Active() {
		v.Until = stamp(of.DeactivatedAt)
	}
	return v
}

// list shows the alarms that hold, or with activated=false those that are over.
func (a *alarms) list(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	page, activated := q.Page(), q.Bool("activated")
	if err := q.Done(); err != nil {
		return err
	}
	all := a.broker.Alarms().Active()
	if activated != nil && !*activated {
		all = a.broker.Alarms().History()
	}
	cut, now := Of(page, all), time.Now() // the alarms' clock
	views := make([]alarmView, len(cut.Data))
	for i := range cut.Data {
		views[i] = a.view(&cut.Data[i], now)
	}
	WriteJSON(w, http.StatusOK, List[alarmView]{Data: views, Meta: cut.Meta})
	return nil
}

// forget forgets the alarms that are over. Those that hold go by themselves.
func (a *alarms) forget(w http.ResponseWriter, _ *http.Request) error {
	a.broker.Alarms().ClearHistory()
	NoContent(w)
	return nil
}

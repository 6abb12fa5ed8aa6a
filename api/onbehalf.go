package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/mqtt"
)

// OnBehalf subscribes clients that did not ask for it.
type OnBehalf interface {
	SubscribeFor(ctx context.Context, id string, filters []mqtt.FilterOptions) ([]broker.SubscriptionInfo, error)
	UnsubscribeFor(ctx context.Context, id string, filters []string) error
}

// onBehalf is /clients/{clientid}/subscribe and unsubscribe.
type onBehalf struct {
	broker OnBehalf
	node   string
}

type subscribeInput struct {
	Topic string `json:"topic"`
	QoS   int    `json:"qos"`
	NL    int    `json:"nl"`
	RAP   int    `json:"rap"`
	RH    int    `json:"rh"`
}

// Routes implements Resource.
func (o *onBehalf) Routes() []Route {
	const path = Base + "/clients/{clientid}"
	return []Route{
		{Method: "POST", Path: path + "/subscribe", Access: Manage, MaxBodyBytes: 256 << 10, Handler: o.subscribe},
		{Method: "POST", Path: path + "/subscribe/bulk", Access: Manage, Handler: o.subscribeMany},
		{Method: "POST", Path: path + "/unsubscribe", Access: Manage, MaxBodyBytes: 256 << 10, Handler: o.unsubscribe},
		{Method: "POST", Path: path + "/unsubscribe/bulk", Access: Manage, Handler: o.unsubscribeMany},
	}
}

// options checks the input. where is put before the names of fields.
func (in *subscribeInput) options(where string) (f mqtt.FilterOptions, err error) {
	for _, c := range []struct {
		name      string
		value, to int
	}{{"qos", in.QoS, 2}, {"nl", in.NL, 1}, {"rap", in.RAP, 1}, {"rh", in.RH, 2}} {
		if c.value < 0 || c.value > c.to {
			return f, BadRequest("%s%s: must be from 0 to %d", where, c.name, c.to)
		}
	}
	if in.Topic == "" {
		return f, BadRequest("%stopic: is missing", where)
	}
	return mqtt.FilterOptions{Filter: in.Topic, QoS: mqtt.QoS(in.QoS), NoLocal: in.NL == 1, RetainAsPublished: in.RAP == 1,
		RetainHandling: mqtt.RetainHandling(in.RH)}, nil
}

// notSubscribed translates the broker's error. where says which item of a list it is about.
func notSubscribed(id string, where func(i int) string, err error) error {
	var r *broker.RefusedFilter
	switch {
	case errors.Is(err, broker.ErrNotConnected):
		return Conflict("CLIENT_SHUTDOWN", "%q is not connected: what it is subscribed to is changed while it is", id)
	case errors.As(err, &r) && r.Code == mqtt.NotAuthorized:
		return problem(http.StatusBadRequest, "NOT_AUTHORIZED", "%stopic: the client's rules do not allow it", where(r.Index))
	case errors.As(err, &r) && r.Code == mqtt.QuotaExceeded:
		return Conflict("QUOTA_EXCEEDED", "%stopic: there are as many subscriptions as there may be", where(r.Index))
	case errors.As(err, &r):
		return BadRequest("%stopic: %s", where(r.Index), r.Code)
	}
	return noClient(id, err)
}

func alone(int) string    { return "" }
func inList(i int) string { return fmt.Sprintf("[%d].", i) }

func (o *onBehalf) subscribe(w http.ResponseWriter, r *http.Request) error {
	var in subscribeInput
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	f, err := in.options("")
	if err != nil {
		return err
	}
	id := r.PathValue("clientid")
	infos, err := o.broker.SubscribeFor(r.Context(), id, []mqtt.FilterOptions{f})
	if err != nil {
		return notSubscribed(id, alone, err)
	}
	WriteJSON(w, http.StatusOK, viewSubscription(o.node, &infos[0]))
	return nil
}

func (o *onBehalf) subscribeMany(w http.ResponseWriter, r *http.Request) error {
	var in []subscribeInput
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	if len(in) > maxChanges {
		return BadRequest("at most %d at a time", maxChanges)
	}
	filters := make([]mqtt.FilterOptions, len(in))
	for i := range in {
		var err error
		if filters[i], err = in[i].options(inList(i)); err != nil {
			return err
		}
	}
	id := r.PathValue("clientid")
	infos, err := o.broker.SubscribeFor(r.Context(), id, filters)
	if err != nil {
		return notSubscribed(id, inList, err)
	}
	views := make([]subscriptionView, len(infos))
	for i := range infos {
		views[i] = viewSubscription(o.node, &infos[i])
	}
	WriteJSON(w, http.StatusOK, views)
	return nil
}

type unsubscribeInput struct {
	Topic string `json:"topic"`
}

func (o *onBehalf) unsubscribe(w http.ResponseWriter, r *http.Request) error {
	var in unsubscribeInput
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	return o.end(w, r, alone, []unsubscribeInput{in})
}

func (o *onBehalf) unsubscribeMany(w http.ResponseWriter, r *http.Request) error {
	var in []unsubscribeInput
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	if len(in) > maxChanges {
		return BadRequest("at most %d at a time", maxChanges)
	}
	return o.end(w, r, inList, in)
}

// end ends subscriptions. Those that the client does not have are no error.
func (o *onBehalf) end(w http.ResponseWriter, r *http.Request, where func(int) string, in []unsubscribeInput) error {
	filters := make([]string, len(in))
	for i := range in {
		if filters[i] = in[i].Topic; filters[i] == "" {
			return BadRequest("%stopic: is missing", where(i))
		}
	}
	id := r.PathValue("clientid")
	if err := o.broker.UnsubscribeFor(r.Context(), id, filters); err != nil {
		return notSubscribed(id, where, err)
	}
	NoContent(w)
	return nil
}

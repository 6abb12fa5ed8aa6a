package api

import (
	"net/http"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/mqtt"
)

// Explainer says why messages reach clients, or do not.
type Explainer interface {
	Explain(q broker.ExplainQuery) broker.Explanation
	Tracer
}

// explaining is /explain.
type explaining struct {
	broker Explainer
	node   string
}

// Routes implements Resource.
func (x *explaining) Routes() []Route {
	const path = Base + "/explain"
	return []Route{
		{Method: "GET", Path: path, Access: Look, Handler: x.explain},
		{Method: "GET", Path: path + "/messages", Access: Look, Handler: x.messages},
		{Method: "GET", Path: path + "/messages/{id}", Access: Look, Handler: x.message},
		{Method: "GET", Path: path + "/events", Access: Look, Handler: x.events},
	}
}

type explanationView struct {
	ClientID      string               `json:"clientid"`
	Topic         string               `json:"topic"`
	QoS           int                  `json:"qos"`
	Outcome       string               `json:"outcome"`
	Verdict       string               `json:"verdict"`
	Steps         []explainStepView    `json:"steps"`
	Subscriptions []explainedMatchView `json:"subscriptions"`
	Recent        []tallyView          `json:"recent"`
}

type explainStepView struct {
	Step   string       `json:"step"`
	OK     bool         `json:"ok"`
	What   string       `json:"what"`
	Why    string       `json:"why"`
	Effect string       `json:"effect"`
	Reason string       `json:"reason,omitempty"`
	Rules  []groundView `json:"rules,omitempty"`
}

type groundView struct {
	Source   string `json:"source"`
	Decision string `json:"decision"`
	Rule     string `json:"rule"`
	Where    string `json:"where,omitempty"`
}

type explainedMatchView struct {
	subscriptionView
	Kind       string              `json:"kind"`
	Identifier uint32              `json:"subscription_identifier,omitempty"`
	Permission string              `json:"permission"`
	OwnMessage bool                `json:"own_message"`
	Pending    bool                `json:"pending"`
	Group      *explainedGroupView `json:"group,omitempty"`
}

type explainedGroupView struct {
	Name     string                `json:"name"`
	Strategy string                `json:"strategy"`
	Durable  bool                  `json:"durable"`
	Members  int                   `json:"members_cnt"`
	Ready    int                   `json:"ready_cnt"`
	Queued   int                   `json:"queued"`
	Behind   bool                  `json:"behind"`
	List     []explainedMemberView `json:"members"`
}

type explainedMemberView struct {
	ClientID  string `json:"clientid"`
	Connected bool   `json:"connected"`
	Ready     bool   `json:"ready"`
}

// explain answers whether a client would get a message.
func (x *explaining) explain(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	e := broker.ExplainQuery{ClientID: q.String("clientid"), Username: q.String("username"), Topic: q.String("topic")}
	e.QoS = mqtt.QoS(q.Int("qos", 1, 0, 2))
	if retain := q.Bool("retain"); retain != nil {
		e.Retain = *retain
	}
	if id, name := q.String("from_clientid"), q.String("from_username"); id != "" || name != "" {
		e.From = &broker.ExplainSender{ClientID: id, Username: name}
	}
	if e.ClientID == "" {
		q.wrong("clientid", "is missing: the subscriber")
	}
	if e.Topic == "" {
		q.wrong("topic", "is missing: what is published to")
	}
	if err := q.Done(); err != nil {
		return err
	}
	v := x.view(&e, x.broker.Explain(e))
	x.recently(&v)
	WriteJSON(w, http.StatusOK, v)
	return nil
}

func (x *explaining) view(q *broker.ExplainQuery, e broker.Explanation) explanationView {
	v := explanationView{
		ClientID: q.ClientID, Topic: q.Topic, QoS: int(q.QoS), Outcome: string(e.Outcome), Verdict: e.Verdict,
		Steps: []explainStepView{}, Subscriptions: []explainedMatchView{},
	}
	for _, s := range e.Steps {
		v.Steps = append(v.Steps, explainStepView{s.Name, s.OK, s.What, s.Why, string(s.Effect), s.Reason.String(), viewGrounds(s.Rules)})
	}
	for i := range e.Subscriptions {
		s := &e.Subscriptions[i]
		v.Subscriptions = append(v.Subscriptions, explainedMatchView{
			viewSubscription(x.node, &s.SubscriptionInfo), s.Kind, s.Identifier, s.Permission.String(), s.OwnMessage, s.Pending, viewGroup(s.Group),
		})
	}
	return v
}

func viewGrounds(grounds []auth.Ground) (views []groundView) {
	for _, g := range grounds {
		views = append(views, groundView{g.Source, g.Decision.String(), g.Rule, g.Where})
	}
	return views
}

func viewGroup(g *broker.ExplainedGroup) *explainedGroupView {
	if g == nil {
		return nil
	}
	v := &explainedGroupView{
		Name: g.Name, Strategy: g.Strategy, Durable: g.Durable, Members: g.Members, Ready: g.Ready, Queued: g.Queued, Behind: g.Behind,
		List: []explainedMemberView{},
	}
	for _, m := range g.SomeOfThem {
		v.List = append(v.List, explainedMemberView(m))
	}
	return v
}

package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/mqtt"
)

// Clients are the broker's sessions.
type Clients interface {
	// Clients lists a page of those that match, by client id, and says how many there are.
	Clients(match func(*broker.ClientInfo) bool, skip, limit int) (page []broker.ClientInfo, total int)
	Client(id string) (broker.ClientInfo, error)
	SubscriptionsOf(id string) ([]broker.SubscriptionInfo, error)
	Kick(ctx context.Context, id string) error
}

// clients is /clients.
type clients struct {
	broker Clients
	node   string
	now    func() time.Time
}

// clientView is a client in EMQX's shape.
type clientView struct {
	ClientID       string  `json:"clientid"`
	Username       *string `json:"username"`
	Node           string  `json:"node"`
	IPAddress      string  `json:"ip_address,omitempty"`
	Port           int     `json:"port,omitempty"`
	Listener       string  `json:"listener,omitempty"`
	MountPoint     string  `json:"mountpoint,omitempty"`
	Connected      bool    `json:"connected"`
	ConnectedAt    string  `json:"connected_at,omitempty"`
	DisconnectedAt string  `json:"disconnected_at,omitempty"`
	CreatedAt      string  `json:"created_at"`
	ProtoName      string  `json:"proto_name,omitempty"`
	ProtoVer       int     `json:"proto_ver,omitempty"`
	KeepAlive      int     `json:"keepalive"`
	CleanStart     bool    `json:"clean_start"`
	Expiry         uint32  `json:"expiry_interval"`
	IsExpired      bool    `json:"is_expired"`
	Durable        bool    `json:"durable"`
	Subscriptions  int     `json:"subscriptions_cnt"`
	SubsMax        any     `json:"subscriptions_max"`
	InFlight       int     `json:"inflight_cnt"`
	InFlightMax    int     `json:"inflight_max"`
	Queued         int     `json:"mqueue_len"`
	QueueMax       any     `json:"mqueue_max"`
	AwaitingRel    int     `json:"awaiting_rel_cnt"`
	AwaitingRelMax any     `json:"awaiting_rel_max"`
	Behind         bool    `json:"behind"`
	Will           *will   `json:"will,omitempty"`
	clientCounts
}

// will is what is published if a client goes without saying so.
type will struct {
	Topic  string `json:"topic"`
	QoS    int    `json:"qos"`
	Retain bool   `json:"retain"`
	Size   int    `json:"payload_size"`
	Delay  uint32 `json:"delay_interval"`
}

// Routes implements Resource.
func (c *clients) Routes() []Route {
	const path = Base + "/clients"
	return []Route{
		{Method: "GET", Path: path, Access: Look, Handler: c.list},
		{Method: "GET", Path: path + "/{clientid}", Access: Look, Handler: c.get},
		{Method: "DELETE", Path: path + "/{clientid}", Access: Manage, Handler: c.kick},
		{Method: "POST", Path: path + "/kickout/bulk", Access: Manage, Handler: c.kickMany},
		{Method: "GET", Path: path + "/{clientid}/subscriptions", Access: Look, Handler: c.subscriptions},
	}
}

func (c *clients) view(i *broker.ClientInfo) clientView {
	v := clientView{
		ClientID: i.ClientID, Node: c.node, Listener: i.Listener, MountPoint: i.MountPoint, Connected: i.Connected,
		CreatedAt: stamp(i.Created), KeepAlive: int(i.KeepAlive), CleanStart: i.CleanStart, Expiry: i.Expiry, Durable: i.Durable,
		Subscriptions: i.Subscriptions, SubsMax: orInfinity(i.SubscriptionsMax), QueueMax: orInfinity(i.QueueMax), AwaitingRelMax: orInfinity(i.AwaitingRelMax), InFlight: i.InFlight, InFlightMax: i.ReceiveMaximum,
		Queued: i.Queued, AwaitingRel: i.AwaitingRel, Behind: i.Behind, clientCounts: countsOf(i),
	}
	if i.Username != "" {
		v.Username = &i.Username
	}
	if w := i.Will; w != nil {
		v.Will = &will{w.Topic, int(w.QoS), w.Retain, w.PayloadBytes, w.DelaySeconds}
	}
	if !i.Connected {
		v.DisconnectedAt = stamp(i.LeftAt)
		return v
	}
	v.ConnectedAt, v.ProtoName, v.ProtoVer = stamp(i.ConnectedAt), "MQTT", int(i.Version)
	if i.Version == mqtt.V31 {
		v.ProtoName = "MQIsdp"
	}
	v.IPAddress, v.Port = hostPort(i.Address)
	return v
}

// orInfinity says a limit, of which 0 is none.
func orInfinity(limit int64) any {
	if limit == 0 {
		return "infinity"
	}
	return limit
}

// stamp is a time as the API says it; the zero time is empty.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

func hostPort(a net.Addr) (host string, port int) {
	if a == nil {
		return "", 0
	}
	host, text, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String(), 0 // a Unix socket
	}
	port, _ = strconv.Atoi(text)
	return host, port
}

func (c *clients) list(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	page := q.Page()
	q.node(c.node)
	match, fields := clientFilter(q), q.fields(clientFields)
	if err := q.Done(); err != nil {
		return err
	}
	infos, total := c.broker.Clients(match, page.Skip(), page.Limit)
	views := make([]any, len(infos))
	for i := range infos {
		v := c.view(&infos[i])
		if views[i] = &v; len(fields) > 0 {
			views[i] = pick(&v, fields)
		}
	}
	WriteJSON(w, http.StatusOK, List[any]{Data: views, Meta: page.meta(total)})
	return nil
}

// clientFilter reads what a client has to be like.
func clientFilter(q *Query) func(*broker.ClientInfo) bool {
	ids, names := q.Strings("clientid"), q.Strings("username")
	likeID, likeName, ip := q.String("like_clientid"), q.String("like_username"), q.address("ip_address")
	state := q.OneOf("conn_state", "connected", "idle", "disconnected")
	clean, version := q.Bool("clean_start"), q.Int("proto_ver", 0, 3, 5)
	created, connected := q.between("created_at"), q.between("connected_at")
	return func(i *broker.ClientInfo) bool {
		host, _ := hostPort(i.Address)
		return (len(ids) == 0 || slices.Contains(ids, i.ClientID)) &&
			(len(names) == 0 || slices.Contains(names, i.Username)) &&
			strings.Contains(i.ClientID, likeID) && strings.Contains(i.Username, likeName) &&
			(ip == "" || host == ip) &&
			(state == "" || (state == "connected") == i.Connected && state != "idle") &&
			(clean == nil || i.Connected && *clean == i.CleanStart) &&
			(version == 0 || i.Connected && version == int(i.Version)) &&
			created(i.Created) && connected(i.ConnectedAt)
	}
}

// between reads gte_<name> and lte_<name>.
func (q *Query) between(name string) func(time.Time) bool {
	from, to := q.Time("gte_"+name), q.Time("lte_"+name)
	return func(t time.Time) bool {
		return (from.IsZero() || !t.IsZero() && !t.Before(from)) && (to.IsZero() || !t.IsZero() && !t.After(to))
	}
}

// address reads an IP address, and returns it as addresses are written.
func (q *Query) address(name string) string {
	v := q.String(name)
	if v == "" {
		return ""
	}
	a, err := netip.ParseAddr(v)
	if err != nil {
		q.wrong(name, "%q is no IP address", v)
	}
	return a.String()
}

// noClient translates the broker's error.
func noClient(id string, err error) error {
	if errors.Is(err, broker.ErrNoClient) {
		return NotFound("CLIENTID_NOT_FOUND", "there is no client %q", id)
	}
	return err
}

func (c *clients) get(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("clientid")
	i, err := c.broker.Client(id)
	if err != nil {
		return noClient(id, err)
	}
	WriteJSON(w, http.StatusOK, c.view(&i))
	return nil
}

func (c *clients) kick(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("clientid")
	if err := c.broker.Kick(r.Context(), id); err != nil {
		return noClient(id, err)
	}
	NoContent(w)
	return nil
}

// kickMany ends many sessions; those that are not there are none already.
func (c *clients) kickMany(w http.ResponseWriter, r *http.Request) error {
	var ids []string
	if err := ReadJSON(r, &ids); err != nil {
		return err
	}
	for _, id := range ids {
		if err := c.broker.Kick(r.Context(), id); err != nil && !errors.Is(err, broker.ErrNoClient) {
			return err
		}
	}
	NoContent(w)
	return nil
}

func (c *clients) subscriptions(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("clientid")
	infos, err := c.broker.SubscriptionsOf(id)
	if err != nil {
		return noClient(id, err)
	}
	views := make([]subscriptionView, len(infos))
	for i := range infos {
		views[i] = viewSubscription(c.node, &infos[i])
	}
	WriteJSON(w, http.StatusOK, views)
	return nil
}

// Subscriptions are those of all clients.
type Subscriptions interface {
	Subscriptions(match func(*broker.SubscriptionInfo) bool) []broker.SubscriptionInfo
}

// subscriptions is /subscriptions and /topics.
type subscriptions struct {
	broker Subscriptions
	node   string
}

type subscriptionView struct {
	Node     string `json:"node"`
	Topic    string `json:"topic"`
	ClientID string `json:"clientid"`
	QoS      int    `json:"qos"`
	NL       int    `json:"nl"`
	RAP      int    `json:"rap"`
	RH       int    `json:"rh"`
	Durable  bool   `json:"durable"`
}

func viewSubscription(node string, i *broker.SubscriptionInfo) subscriptionView {
	bit := map[bool]int{true: 1}
	return subscriptionView{node, i.Filter, i.ClientID, int(i.QoS), bit[i.NoLocal], bit[i.RetainAsPublished], int(i.RetainHandling), i.Durable}
}

// Routes implements Resource.
func (s *subscriptions) Routes() []Route {
	return []Route{
		{Method: "GET", Path: Base + "/subscriptions", Access: Look, Handler: s.list},
		{Method: "GET", Path: Base + "/topics", Access: Look, Handler: s.topics},
		{Method: "GET", Path: Base + "/topics/{topic...}", Access: Look, Handler: s.topic},
	}
}

func (s *subscriptions) list(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	page := q.Page()
	q.node(s.node)
	id, topic, group, matches := q.String("clientid"), q.String("topic"), q.String("share_group"), q.String("match_topic")
	qos := q.Int("qos", -1, 0, 2)
	durable := q.Bool("durable")
	if err := q.Done(); err != nil {
		return err
	}
	infos := s.broker.Subscriptions(func(i *broker.SubscriptionInfo) bool {
		name, filter := cutShare(i.Filter)
		return (id == "" || i.ClientID == id) && (topic == "" || i.Filter == topic) && (group == "" || name == group) &&
			(qos < 0 || int(i.QoS) == qos) && (durable == nil || *durable == i.Durable) &&
			(matches == "" || mqtt.MatchTopic(filter, matches))
	})
	cut := Of(page, infos)
	views := make([]subscriptionView, len(cut.Data))
	for i := range cut.Data {
		views[i] = viewSubscription(s.node, &cut.Data[i])
	}
	WriteJSON(w, http.StatusOK, List[subscriptionView]{Data: views, Meta: cut.Meta})
	return nil
}

// cutShare takes the group off a shared subscription's filter.
func cutShare(filter string) (group, rest string) {
	if after, ok := strings.CutPrefix(filter, "$share/"); ok {
		group, rest, _ = strings.Cut(after, "/")
		return group, rest
	}
	return "", filter
}

type topicView struct {
	Topic string `json:"topic"`
	Node  string `json:"node"`
}

// filters lists what is subscribed to, each once.
func (s *subscriptions) filters(match func(string) bool) []topicView {
	seen := map[string]bool{}
	s.broker.Subscriptions(func(i *broker.SubscriptionInfo) bool {
		if _, filter := cutShare(i.Filter); match(filter) {
			seen[filter] = true
		}
		return false
	})
	views := make([]topicView, 0, len(seen))
	for filter := range seen {
		views = append(views, topicView{filter, s.node})
	}
	slices.SortFunc(views, func(a, b topicView) int { return strings.Compare(a.Topic, b.Topic) })
	return views
}

func (s *subscriptions) topics(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	page, topic := q.Page(), q.String("topic")
	q.node(s.node)
	if err := q.Done(); err != nil {
		return err
	}
	WriteJSON(w, http.StatusOK, Of(page, s.filters(func(f string) bool { return topic == "" || f == topic })))
	return nil
}

func (s *subscriptions) topic(w http.ResponseWriter, r *http.Request) error {
	topic := r.PathValue("topic")
	if decoded, err := url.PathUnescape(topic); err == nil && topic != decoded {
		topic = decoded // a filter may have been escaped twice, since + means a space to some
	}
	views := s.filters(func(f string) bool { return f == topic })
	if len(views) == 0 {
		return NotFound("TOPIC_NOT_FOUND", "nobody subscribes to %q", topic)
	}
	WriteJSON(w, http.StatusOK, views)
	return nil
}

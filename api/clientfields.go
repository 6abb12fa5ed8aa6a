package api

import (
	"reflect"
	"slices"
	"strings"

	"github.com/barid-mqtt/barid/internal/broker"
)

// clientCounts is what a client sent and was sent over its connection, and what was lost since the broker started, in
// EMQX's names.
type clientCounts struct {
	ReceivedReads   int64 `json:"recv_cnt"`
	ReceivedBytes   int64 `json:"recv_oct"`
	ReceivedPackets int64 `json:"recv_pkt"`
	Received        int64 `json:"recv_msg"`
	Received0       int64 `json:"recv_msg.qos0"`
	Received1       int64 `json:"recv_msg.qos1"`
	Received2       int64 `json:"recv_msg.qos2"`
	Refused         int64 `json:"recv_msg.dropped"`
	ReleaseTimeout  int64 `json:"recv_msg.dropped.await_pubrel_timeout"` // which there is none of
	SentWrites      int64 `json:"send_cnt"`
	SentBytes       int64 `json:"send_oct"`
	SentPackets     int64 `json:"send_pkt"`
	Sent            int64 `json:"send_msg"`
	Sent0           int64 `json:"send_msg.qos0"`
	Sent1           int64 `json:"send_msg.qos1"`
	Sent2           int64 `json:"send_msg.qos2"`
	Lost            int64 `json:"send_msg.dropped"`
	LostExpired     int64 `json:"send_msg.dropped.expired"`
	LostFull        int64 `json:"send_msg.dropped.queue_full"`
	LostTooLarge    int64 `json:"send_msg.dropped.too_large"`
	QueueDropped    int64 `json:"mqueue_dropped"`
}

func countsOf(i *broker.ClientInfo) clientCounts {
	in, out, lost := &i.Received, &i.Sent, &i.Lost
	return clientCounts{
		ReceivedReads: in.Transfers, ReceivedBytes: in.Bytes, ReceivedPackets: in.Packets, Received: in.Published(),
		Received0: in.Messages[0], Received1: in.Messages[1], Received2: in.Messages[2], Refused: lost.Refused,
		SentWrites: out.Transfers, SentBytes: out.Bytes, SentPackets: out.Packets, Sent: out.Published(),
		Sent0: out.Messages[0], Sent1: out.Messages[1], Sent2: out.Messages[2],
		Lost: lost.Copies, LostExpired: lost.Expired, LostFull: lost.Full, LostTooLarge: lost.TooLarge, QueueDropped: lost.Full + lost.Slow,
	}
}

// viewField is one of a view, by its name in JSON.
type viewField struct {
	name  string
	index []int
	omit  bool // where it is zero
}

// fieldsOf lists the fields of a view as JSON has them.
func fieldsOf[T any]() (fields []viewField) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		if name, options, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			fields = append(fields, viewField{name, f.Index, options == "omitempty"})
		}
	}
	return fields
}

// clientFields are those of a client, as the parameter fields may name them.
var clientFields = fieldsOf[clientView]()

// fields reads which fields of a view are wanted; none: all.
func (q *Query) fields(known []viewField) (wanted []viewField) {
	text := q.String("fields")
	if text == "" || text == "all" {
		return nil
	}
	for name := range strings.SplitSeq(text, ",") {
		i := slices.IndexFunc(known, func(f viewField) bool { return f.name == name })
		switch {
		case i < 0:
			q.wrong("fields", "%q is no field of these; it takes all, or names with commas", name)
			return nil
		case slices.ContainsFunc(wanted, func(f viewField) bool { return f.name == name }):
			q.wrong("fields", "%q is there twice", name)
			return nil
		}
		wanted = append(wanted, known[i])
	}
	return wanted
}

// pick returns some fields of a view.
func pick[T any](v *T, fields []viewField) map[string]any {
	some, value := make(map[string]any, len(fields)), reflect.ValueOf(v).Elem()
	for _, f := range fields {
		if x := value.FieldByIndex(f.index); !f.omit || !x.IsZero() {
			some[f.name] = x.Interface()
		}
	}
	return some
}

// node reads the parameter node, of which there is one.
func (q *Query) node(name string) {
	if n := q.String("node"); n != "" && n != name {
		q.wrong("node", "there is no node %q; this one is %q", n, name)
	}
}

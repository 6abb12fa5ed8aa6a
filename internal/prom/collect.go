package prom

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/mqtt"
)

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// traffic is what came in and went out.
func traffic(w writer, m *metrics.Metrics) {
	w.counter("barid_received_bytes_total", "Bytes read from clients.", m.BytesReceived.Load())
	w.counter("barid_sent_bytes_total", "Bytes written to clients.", m.BytesSent.Load())
	for t := mqtt.CONNECT; t <= mqtt.AUTH; t++ {
		w.counter("barid_packets_received_total", "MQTT control packets received.", m.PacketsReceived.Of(t), "type", t.String())
		w.counter("barid_packets_sent_total", "MQTT control packets sent.", m.PacketsSent.Of(t), "type", t.String())
	}
	for q := range m.PublishReceived {
		qos := strconv.Itoa(q)
		w.counter("barid_messages_received_total", "PUBLISH packets received.", m.PublishReceived[q].Load(), "qos", qos)
		w.counter("barid_messages_sent_total", "PUBLISH packets sent.", m.PublishSent[q].Load(), "qos", qos)
	}
	w.counter("barid_messages_resent_total", "PUBLISH packets that had been sent before; they are in barid_messages_sent_total.", m.PublishResent.Load())
	w.counter("barid_payload_received_bytes_total", "Payloads of PUBLISH packets received.", m.PublishBytesReceived.Load())
	w.counter("barid_payload_sent_bytes_total", "Payloads of PUBLISH packets sent.", m.PublishBytesSent.Load())
	w.counter("barid_messages_published_total", "Messages from clients, wills and the HTTP API.", m.Published.Load())
	w.counter("barid_messages_retained_total", "Messages published with RETAIN.", m.Retained.Load())
	w.counter("barid_messages_delayed_total", "Messages published with a delay.", m.Delayed.Load())
	w.counter("barid_messages_logged_total", "Messages written to the log.", m.Logged.Load())
	w.counter("barid_deliveries_acknowledged_total", "Deliveries that subscribers completed.", m.Acknowledged.Load())
	w.counter("barid_publishes_repeated_total", "QoS 2 PUBLISH packets whose message was there already.", m.PublishRepeated.Load())
	for _, t := range []mqtt.Type{mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP} {
		const name, help = "barid_acknowledgements_unmatched_total", "Acknowledgements that belong to no message, or to one at another step."
		w.counter(name, help, m.Unacknowledged.Unknown.Of(t), "type", t.String(), "why", "unknown")
		w.counter(name, help, m.Unacknowledged.Misplaced.Of(t), "type", t.String(), "why", "misplaced")
	}
}

// clients are connections, sessions and who they are.
func clients(w writer, m *metrics.Metrics) {
	w.counter("barid_sockets_total", "Network connections accepted.", m.Sockets.Load())
	w.counter("barid_connects_total", "CONNECT packets answered.", m.Connects.Load(), "result", "accepted")
	w.counter("barid_connects_total", "CONNECT packets answered.", m.ConnectsRefused.Load(), "result", "refused")
	w.counter("barid_disconnects_total", "Connections of clients that ended.", m.Disconnects.Load())
	const authentications, who = "barid_authentications_total", "Clients that were asked who they are."
	w.counter(authentications, who, m.Authenticated.Load(), "result", "success")
	w.counter(authentications, who, m.Anonymous.Load(), "result", "anonymous")
	w.counter(authentications, who, m.Hits(metrics.LimitAuthenticationFailure), "result", "failure")
	const authorizations, may = "barid_authorizations_total", "Answers about topics, where there are rules."
	w.counter(authorizations, may, m.AccessAllowed.Load(), "result", "allow")
	w.counter(authorizations, may, m.AccessDenied.Load(), "result", "deny")
	const cache, remembered = "barid_authorization_cache_total", "The same answers, by whether the connection remembered them."
	w.counter(cache, remembered, m.AccessRemembered.Load(), "result", "hit")
	w.counter(cache, remembered, m.AccessAsked.Load(), "result", "miss")
	const sessions, events = "barid_sessions_total", "What became of sessions. Those that expired or were discarded have ended as well."
	for event, c := range map[string]*metrics.Counter{
		"created": &m.SessionsCreated, "resumed": &m.SessionsResumed, "taken_over": &m.SessionsTakenOver,
		"expired": &m.SessionsExpired, "discarded": &m.SessionsDiscarded, "ended": &m.SessionsEnded,
	} {
		w.counter(sessions, events, c.Load(), "event", event)
	}
}

// refusals are what went no further, and why.
func refusals(w writer, m *metrics.Metrics) {
	for _, r := range message.DropReasons() {
		w.counter("barid_dropped_total", "Messages, or one subscriber's copies of them, that went no further.", m.Dropped(r), "reason", r.String())
	}
	for _, l := range metrics.Limits() {
		w.counter("barid_limit_hits_total", "How often a limit refused, ended or held back something.", m.Hits(l), "limit", l.String())
	}
	w.counter("barid_no_local_total", "Copies that a subscriber did not get of its own messages, as it asked for.", m.NoLocal.Load())
	w.counter("barid_publishes_refused_total", "PUBLISH packets that were not allowed.", m.PublishesRefused.Load())
	w.counter("barid_publish_errors_total", "PUBACK and PUBREC packets sent with an error.", m.PublishErrors.Load())
	w.counter("barid_subscribes_refused_total", "Topic filters of SUBSCRIBE that were refused, for whatever reason.", m.SubscribesRefused.Load())
	w.counter("barid_subscribes_unauthorized_total", "Topic filters of SUBSCRIBE that were not allowed.", m.SubscribesUnauthorized.Load())
	w.counter("barid_unsubscribes_unknown_total", "Topic filters of UNSUBSCRIBE without a subscription.", m.UnsubscribesUnknown.Load())
	for what, n := range m.Consumed() {
		w.counter("barid_consumers_messages_total", "What happened to messages of all consumers of the HTTP API.", n, "event", metrics.Consumed(what).String())
	}
	w.counter("barid_alarms_activated_total", "Alarms that began.", m.AlarmsActivated.Load())
	w.counter("barid_alarms_deactivated_total", "Alarms that ended.", m.AlarmsDeactivated.Load())
	w.counter("barid_clock_jumps_total", "Jumps of the machine's clock.", m.ClockJumps.Load())
}

// levels are what there is.
func levels(w writer, l *metrics.Levels, d *broker.Detail) {
	n := func(level metrics.Level) float64 { return float64(level.Now) }
	w.gauge("barid_connections", "Connected clients.", n(l.Connected))
	w.gauge("barid_sessions", "Sessions, connected or not.", n(l.Sessions))
	w.gauge("barid_sessions_durable_away", "Durable sessions without a connection.", float64(l.DurableAway))
	w.gauge("barid_subscriptions", "Subscriptions, shared ones included.", n(l.Subscriptions))
	w.gauge("barid_subscriptions_shared", "Shared subscriptions.", n(l.Shared))
	w.gauge("barid_subscriptions_durable", "Subscriptions of durable sessions.", float64(l.DurableSubscriptions))
	w.gauge("barid_topic_filters", "Topic filters that are subscribed to, each once.", n(l.Topics))
	w.gauge("barid_retained_messages", "Retained messages.", n(l.Retained))
	w.gauge("barid_retained_bytes", "Their size.", float64(d.RetainedBytes))
	w.gauge("barid_delayed_messages", "Messages that wait for their delay.", n(l.Delayed))
	w.gauge("barid_delayed_bytes", "Their size.", float64(d.DelayedBytes))
	w.gauge("barid_groups", "Shared groups.", float64(d.GroupCount))
	w.gauge("barid_consumers", "Consumers of the HTTP API.", float64(d.ConsumerCount))
	w.gauge("barid_streams", "Declared streams.", float64(len(d.Streams)))
	w.gauge("barid_alarms_active", "Alarms that hold.", float64(len(d.Alarms)))
	for _, name := range d.Alarms {
		w.gauge("barid_alarm", "An alarm that holds; always 1.", 1, "alarm", name)
	}
	w.gauge("barid_buffer_bytes", "Queued messages and buffers of connected clients. Counted only where limits.memory_max_bytes is set.", float64(d.MemoryUsed))
	w.gauge("barid_buffer_limit_bytes", "limits.memory_max_bytes; 0: no limit.", float64(d.MemoryLimit))
}

// parts are listeners, groups, streams and loops.
func parts(w writer, d *broker.Detail) {
	for _, l := range d.Listeners {
		labels := []string{"listener", l.Name, "type", l.Type}
		w.gauge("barid_listener_connections", "Open connections of a listener, handshakes included.", float64(l.Current), labels...)
		w.counter("barid_listener_accepted_total", "Connections that a listener accepted.", int64(l.Accepted), labels...)
		w.counter("barid_listener_refused_total", "Connections that a listener turned away.", int64(l.Refused), labels...)
		w.counter("barid_listener_handshake_failures_total", "TLS, WebSocket and PROXY handshakes that failed.", int64(l.HandshakeFailures), labels...)
		w.counter("barid_listener_accept_errors_total", "Connections that the system did not give.", int64(l.AcceptErrors), labels...)
	}
	for _, g := range d.Groups {
		labels := []string{"group", g.Name, "filter", g.Filter}
		w.gauge("barid_group_members", "Members of a shared group, of those 50 that lag most.", float64(g.Members), labels...)
		w.gauge("barid_group_queued_messages", "Messages that a group has read and not given to a member.", float64(g.Queued), labels...)
		w.gauge("barid_group_lag_messages", "Messages that wait for a durable group, in the log and parked, as far as that was counted since the start.", float64(g.Waiting), labels...)
		w.gauge("barid_group_lag_bytes", "Their size.", float64(g.WaitingBytes), labels...)
	}
	for i := range d.Consumers {
		consumer(w, &d.Consumers[i])
	}
	for _, s := range d.Streams {
		w.gauge("barid_stream_messages", "Messages that a stream keeps.", float64(s.Messages), "stream", s.Name)
		w.gauge("barid_stream_bytes", "Their size.", float64(s.Bytes), "stream", s.Name)
	}
	for i, busy := range d.Loops {
		w.put(prometheus.CounterValue, "barid_loop_busy_seconds_total", "For how long an event loop has been busy.", busy.Seconds(), []string{"loop", strconv.Itoa(i)})
	}
}

// consumer is one consumer of the HTTP API.
func consumer(w writer, c *broker.ConsumerDetail) {
	w.gauge("barid_consumer_lag_messages", "Messages that a consumer has not given out yet, of those 50 that lag most, as far as that was counted since the start.", float64(c.Waiting), "consumer", c.Name)
	w.gauge("barid_consumer_lag_bytes", "Size of those in the log and parked.", float64(c.Bytes), "consumer", c.Name)
	w.gauge("barid_consumer_leased_messages", "Messages that a consumer has given out, and that are not acknowledged.", float64(c.Leased), "consumer", c.Name)
	w.gauge("barid_consumer_waiting_requests", "Requests that wait for messages of a consumer.", float64(c.Pollers), "consumer", c.Name)
	for what, n := range c.Consumed {
		w.counter("barid_consumer_messages_total", "What happened to messages of a consumer, of those 50 that lag most.", n, "consumer", c.Name, "event", metrics.Consumed(what).String())
	}
}

// store is the log and what keeps it.
func store(w writer, m *metrics.Metrics, d *broker.Detail) {
	h := &d.Health
	w.gauge("barid_storage_healthy", "1: what is to be stored is stored. 0: it is refused.", one(h.Err == nil && !h.Full))
	w.gauge("barid_storage_log_bytes", "What the log holds.", float64(h.LogBytes))
	w.gauge("barid_storage_log_blocks", "Blocks in the log; a commit is one.", float64(h.Blocks))
	w.gauge("barid_storage_segments", "Files of the log on disk.", float64(h.Segments))
	w.gauge("barid_storage_position", "The block that the next commit with messages will be.", float64(h.Next.Block))
	w.gauge("barid_storage_queue_bytes", "What waits for its commit.", float64(h.QueueBytes))
	w.gauge("barid_storage_free_bytes", "What the disk has free; 0: nothing is kept on disk.", float64(h.FreeBytes))
	w.gauge("barid_storage_reserve_bytes", "What the broker keeps of that for itself.", float64(h.ReserveBytes))
	w.counter("barid_storage_written_bytes_total", "Bytes of the blocks that were written.", m.LogWritten.Load())
	w.counter("barid_storage_units_total", "Units that were committed in them: messages, changes of sessions.", m.CommittedUnits.Load())
}

// most leaves out the bounds for what lasts minutes; minutes leaves out those below a millisecond, and coarse all but one
// in three.
func most(bound time.Duration) bool    { return bound <= 10*time.Second }
func minutes(bound time.Duration) bool { return bound >= time.Millisecond }
func coarse(bound time.Duration) bool {
	switch bound {
	case time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, 2500 * time.Millisecond, 10 * time.Second:
		return true
	}
	return false
}

// latencies are how long things took.
func latencies(w writer, m *metrics.Metrics) {
	w.histogram("barid_commit_seconds", "How long a commit took, from the first unit on.", m.Commit.Load(), most)
	for _, s := range []struct {
		stage string
		h     *metrics.Histogram
	}{{"gather", &m.Gather}, {"write", &m.Write}, {"fsync", &m.Sync}} {
		w.histogram("barid_commit_stage_seconds", "How long a stage of a commit took.", s.h.Load(), most, "stage", s.stage)
	}
	w.histogram("barid_publish_ack_seconds", "From reading a PUBLISH to its PUBACK or PUBREC, where that waited for a commit.", m.Acknowledge.Load(), most)
	w.histogram("barid_delivery_lag_seconds", "From publishing a message to delivering it from the log, to readers that keep up (once a message) and that do not (each).", m.Tail.Load(), minutes, "path", "tail")
	w.histogram("barid_delivery_lag_seconds", "From publishing a message to delivering it from the log, to readers that keep up (once a message) and that do not (each).", m.CatchUp.Load(), minutes, "path", "catch_up")
	w.histogram("barid_connect_seconds", "From CONNECT to the CONNACK of a client that is accepted.", m.Connect.Load(), most)
}

// requests are those of the HTTP API, of the routes that were asked for.
func requests(w writer, all []*metrics.Requests) {
	for _, r := range all {
		d := r.Took.Load()
		if d.Count() == 0 {
			continue
		}
		w.histogram("barid_http_request_seconds", "How long requests to the HTTP API took.", d, coarse, "method", r.Method, "route", r.Route)
		for i := range r.Status {
			if n := r.Status[i].Load(); n > 0 {
				w.counter("barid_http_requests_total", "Requests to the HTTP API.", n, "method", r.Method, "route", r.Route, "status", strconv.Itoa(i)+"xx")
			}
		}
	}
}

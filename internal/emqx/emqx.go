// Package emqx says the broker's counters and levels under the names that EMQX has for them, so that scripts, exporters and
// dashboards written for it work. What is not there in Barid, and cannot be other than 0, says so.
package emqx

import (
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/mqtt"
)

// Value is a number with its names.
type Value struct {
	Name       string // dotted, as the HTTP API has it: packets.received
	Prometheus string // as Prometheus has it: emqx_packets_received; "": it is not shown there
	Help       string
	Value      int64
}

// Counters are EMQX's metrics.
func Counters(m *metrics.Metrics) []Value {
	all := packets(m)
	all = append(all, messages(m)...)
	all = append(all, deliveries(m)...)
	return append(all, clients(m)...)
}

func packets(m *metrics.Metrics) []Value {
	received, sent := m.PacketsReceived.Of, m.PacketsSent.Of
	unknown, misplaced := m.Unacknowledged.Unknown.Of, m.Unacknowledged.Misplaced.Of
	return []Value{
		{"bytes.received", "emqx_bytes_received", "Bytes received.", m.BytesReceived.Load()},
		{"bytes.sent", "emqx_bytes_sent", "Bytes sent.", m.BytesSent.Load()},
		{"packets.received", "emqx_packets_received", "Control packets received.", m.PacketsReceived.Load()},
		{"packets.sent", "emqx_packets_sent", "Control packets sent.", m.PacketsSent.Load()},
		{"packets.connect.received", "emqx_packets_connect", "CONNECT packets received.", received(mqtt.CONNECT)},
		{"packets.connack.sent", "emqx_packets_connack_sent", "CONNACK packets sent.", sent(mqtt.CONNACK)},
		{"packets.connack.error", "emqx_packets_connack_error", "CONNECT packets refused.", m.ConnectsRefused.Load()},
		{"packets.connack.auth_error", "emqx_packets_connack_auth_error", "CONNECT packets refused for who the client is.", m.ConnacksUnauthorized.Load()},
		{"packets.publish.received", "emqx_packets_publish_received", "PUBLISH packets received.", received(mqtt.PUBLISH)},
		{"packets.publish.sent", "emqx_packets_publish_sent", "PUBLISH packets sent.", sent(mqtt.PUBLISH)},
		{"packets.publish.inuse", "emqx_packets_publish_inuse", "QoS 2 PUBLISH packets whose identifier was in use.", m.PublishRepeated.Load()},
		{"packets.publish.error", "emqx_packets_publish_error", "PUBACK and PUBREC packets sent with an error.", m.PublishErrors.Load()},
		{"packets.publish.auth_error", "emqx_packets_publish_auth_error", "PUBLISH packets that were not allowed.", m.PublishesRefused.Load()},
		{"packets.publish.dropped", "emqx_packets_publish_dropped", "PUBLISH packets beyond the receive maximum.", m.Hits(metrics.LimitReceiveMaximum)},
		{"packets.puback.received", "emqx_packets_puback_received", "PUBACK packets received.", received(mqtt.PUBACK)},
		{"packets.puback.sent", "emqx_packets_puback_sent", "PUBACK packets sent.", sent(mqtt.PUBACK)},
		{"packets.puback.inuse", "emqx_packets_puback_inuse", "PUBACK packets for a message at another step.", misplaced(mqtt.PUBACK)},
		{"packets.puback.missed", "emqx_packets_puback_missed", "PUBACK packets for no message.", unknown(mqtt.PUBACK)},
		{"packets.pubrec.received", "emqx_packets_pubrec_received", "PUBREC packets received.", received(mqtt.PUBREC)},
		{"packets.pubrec.sent", "emqx_packets_pubrec_sent", "PUBREC packets sent.", sent(mqtt.PUBREC)},
		{"packets.pubrec.inuse", "emqx_packets_pubrec_inuse", "PUBREC packets for a message at another step.", misplaced(mqtt.PUBREC)},
		{"packets.pubrec.missed", "emqx_packets_pubrec_missed", "PUBREC packets for no message.", unknown(mqtt.PUBREC)},
		{"packets.pubrel.received", "emqx_packets_pubrel_received", "PUBREL packets received.", received(mqtt.PUBREL)},
		{"packets.pubrel.sent", "emqx_packets_pubrel_sent", "PUBREL packets sent.", sent(mqtt.PUBREL)},
		{"packets.pubrel.missed", "emqx_packets_pubrel_missed", "PUBREL packets for no message.", unknown(mqtt.PUBREL)},
		{"packets.pubcomp.received", "emqx_packets_pubcomp_received", "PUBCOMP packets received.", received(mqtt.PUBCOMP)},
		{"packets.pubcomp.sent", "emqx_packets_pubcomp_sent", "PUBCOMP packets sent.", sent(mqtt.PUBCOMP)},
		{"packets.pubcomp.inuse", "emqx_packets_pubcomp_inuse", "PUBCOMP packets for a message at another step.", misplaced(mqtt.PUBCOMP)},
		{"packets.pubcomp.missed", "emqx_packets_pubcomp_missed", "PUBCOMP packets for no message.", unknown(mqtt.PUBCOMP)},
		{"packets.subscribe.received", "emqx_packets_subscribe_received", "SUBSCRIBE packets received.", received(mqtt.SUBSCRIBE)},
		{"packets.subscribe.error", "emqx_packets_subscribe_error", "Topic filters that were refused.", m.SubscribesRefused.Load()},
		{"packets.subscribe.auth_error", "emqx_packets_subscribe_auth_error", "Topic filters that were not allowed.", m.SubscribesUnauthorized.Load()},
		{"packets.suback.sent", "emqx_packets_suback_sent", "SUBACK packets sent.", sent(mqtt.SUBACK)},
		{"packets.unsubscribe.received", "emqx_packets_unsubscribe_received", "UNSUBSCRIBE packets received.", received(mqtt.UNSUBSCRIBE)},
		{"packets.unsubscribe.error", "emqx_packets_unsubscribe_error", "Topic filters without a subscription.", m.UnsubscribesUnknown.Load()},
		{"packets.unsuback.sent", "emqx_packets_unsuback_sent", "UNSUBACK packets sent.", sent(mqtt.UNSUBACK)},
		{"packets.pingreq.received", "emqx_packets_pingreq_received", "PINGREQ packets received.", received(mqtt.PINGREQ)},
		{"packets.pingresp.sent", "emqx_packets_pingresp_sent", "PINGRESP packets sent.", sent(mqtt.PINGRESP)},
		{"packets.disconnect.received", "emqx_packets_disconnect_received", "DISCONNECT packets received.", received(mqtt.DISCONNECT)},
		{"packets.disconnect.sent", "emqx_packets_disconnect_sent", "DISCONNECT packets sent.", sent(mqtt.DISCONNECT)},
		{"packets.auth.received", "emqx_packets_auth_received", "AUTH packets received.", received(mqtt.AUTH)},
		{"packets.auth.sent", "emqx_packets_auth_sent", "AUTH packets sent.", sent(mqtt.AUTH)},
	}
}

// notTaken are drops on the way in, before anybody's copy was made.
var notTaken = []message.DropReason{message.DropNoSubscriber, message.DropLogFull, message.DropLimit, message.DropInvalid}

// MessagesDropped is how many messages were dropped on the way in: nobody got a copy.
func MessagesDropped(m *metrics.Metrics) int64 {
	n := m.PublishesRefused.Load()
	for _, r := range notTaken {
		n += m.Dropped(r)
	}
	return n
}

func messages(m *metrics.Metrics) []Value {
	q := func(c *metrics.ByQoS, i int) int64 { return c[i].Load() }
	return []Value{
		{"messages.received", "emqx_messages_received", "Messages received from clients.", m.PublishReceived.Load()},
		{"messages.sent", "emqx_messages_sent", "Messages sent to clients.", m.PublishSent.Load()},
		{"messages.qos0.received", "emqx_messages_qos0_received", "QoS 0 messages received.", q(&m.PublishReceived, 0)},
		{"messages.qos0.sent", "emqx_messages_qos0_sent", "QoS 0 messages sent.", q(&m.PublishSent, 0)},
		{"messages.qos1.received", "emqx_messages_qos1_received", "QoS 1 messages received.", q(&m.PublishReceived, 1)},
		{"messages.qos1.sent", "emqx_messages_qos1_sent", "QoS 1 messages sent.", q(&m.PublishSent, 1)},
		{"messages.qos2.received", "emqx_messages_qos2_received", "QoS 2 messages received.", q(&m.PublishReceived, 2)},
		{"messages.qos2.sent", "emqx_messages_qos2_sent", "QoS 2 messages sent.", q(&m.PublishSent, 2)},
		{"messages.publish", "emqx_messages_publish", "Messages published by clients, wills and the HTTP API.", m.Published.Load()},
		{"messages.dropped", "emqx_messages_dropped", "Messages dropped before anybody got a copy.", MessagesDropped(m)},
		{"messages.dropped.no_subscribers", "emqx_messages_dropped_no_subscribers", "Messages that no subscription matched.", m.Dropped(message.DropNoSubscriber)},
		{"messages.dropped.expired", "emqx_messages_dropped_expired", "Copies of messages that expired before they were sent.", m.Dropped(message.DropExpired)},
		{"messages.dropped.await_pubrel_timeout", "", "Always 0: a message that waits for PUBREL does not time out.", 0},
		{"messages.dropped.quota_exceeded", "emqx_messages_dropped_quota_exceeded", "Messages refused by a limit or for want of space.", max(0, m.Dropped(message.DropLogFull)+m.Dropped(message.DropLimit)-m.Hits(metrics.LimitReceiveMaximum))},
		{"messages.dropped.receive_maximum", "emqx_messages_dropped_receive_maximum", "Messages beyond the receive maximum.", m.Hits(metrics.LimitReceiveMaximum)},
		{"messages.forward", "emqx_messages_forward", "Always 0: there are no other nodes.", 0},
		{"messages.retained", "emqx_messages_retained", "Messages published with RETAIN.", m.Retained.Load()},
		{"messages.delayed", "emqx_messages_delayed", "Messages published with a delay.", m.Delayed.Load()},
		{"messages.delivered", "emqx_messages_delivered", "Messages sent to clients for the first time.", m.PublishSent.Load() - m.PublishResent.Load()},
		{"messages.acked", "emqx_messages_acked", "Deliveries that clients completed.", m.Acknowledged.Load()},
		{"messages.persisted", "emqx_messages_persisted", "Messages written to the log.", m.Logged.Load()},
	}
}

// DeliveriesDropped is how many copies for subscribers were dropped.
func DeliveriesDropped(m *metrics.Metrics) int64 {
	n := m.DroppedTotal() + m.NoLocal.Load() - m.PublishesRefused.Load() // these are not_authorized as well
	for _, r := range notTaken[1:] {
		n -= m.Dropped(r)
	}
	return max(0, n) // counters of different things are not read at one moment
}

func deliveries(m *metrics.Metrics) []Value {
	return []Value{
		{"delivery.dropped", "emqx_delivery_dropped", "Copies for subscribers that were dropped.", DeliveriesDropped(m)},
		{"delivery.dropped.no_local", "emqx_delivery_dropped_no_local", "Copies that a subscriber does not get of its own messages.", m.NoLocal.Load()},
		{"delivery.dropped.too_large", "emqx_delivery_dropped_too_large", "Copies larger than the client's maximum packet size.", m.Dropped(message.DropTooLarge)},
		{"delivery.dropped.qos0_msg", "emqx_delivery_dropped_qos0_msg", "QoS 0 copies for clients that are away or do not read.",
			m.Dropped(message.DropSlowConsumer) + m.Dropped(message.DropOffline) + m.Dropped(message.DropMemory)},
		{"delivery.dropped.queue_full", "emqx_delivery_dropped_queue_full", "Copies for which a queue had no room.", m.Dropped(message.DropQueueFull) + m.Dropped(message.DropQueueAge)},
		{"delivery.dropped.expired", "emqx_delivery_dropped_expired", "Copies that expired before they were sent.", m.Dropped(message.DropExpired)},
	}
}

func clients(m *metrics.Metrics) []Value {
	checks := m.AccessAllowed.Load() + m.AccessDenied.Load()
	failed := m.Hits(metrics.LimitAuthenticationFailure)
	return []Value{
		{"client.connect", "emqx_client_connect", "CONNECT packets received.", m.PacketsReceived.Of(mqtt.CONNECT)},
		{"client.connack", "emqx_client_connack", "CONNACK packets sent.", m.PacketsSent.Of(mqtt.CONNACK)},
		{"client.connected", "emqx_client_connected", "Clients that connected.", m.Connects.Load()},
		{"client.disconnected", "emqx_client_disconnected", "Clients whose connection ended.", m.Disconnects.Load()},
		{"client.authenticate", "emqx_client_authenticate", "Clients that were authenticated, or not.", m.Authenticated.Load() + m.Anonymous.Load() + failed},
		{"client.auth.anonymous", "emqx_client_auth_anonymous", "Clients that connected without credentials.", m.Anonymous.Load()},
		{"client.authorize", "emqx_client_authorize", "Questions about topics, where there are rules.", checks},
		{"client.subscribe", "emqx_client_subscribe", "SUBSCRIBE packets received.", m.PacketsReceived.Of(mqtt.SUBSCRIBE)},
		{"client.unsubscribe", "emqx_client_unsubscribe", "UNSUBSCRIBE packets received.", m.PacketsReceived.Of(mqtt.UNSUBSCRIBE)},
		{"session.created", "emqx_session_created", "Sessions that began.", m.SessionsCreated.Load()},
		{"session.resumed", "emqx_session_resumed", "Sessions that a client came back to.", m.SessionsResumed.Load()},
		{"session.takenover", "emqx_session_takenover", "Connections that another of the same client ended.", m.SessionsTakenOver.Load()},
		{"session.discarded", "emqx_session_discarded", "Sessions that a clean start or an administrator ended.", m.SessionsDiscarded.Load()},
		{"session.terminated", "emqx_session_terminated", "Sessions that ended.", m.SessionsEnded.Load()},
		{"authentication.success", "emqx_authentication_success", "Clients that were let in.", m.Authenticated.Load() + m.Anonymous.Load()},
		{"authentication.success.anonymous", "emqx_authentication_success_anonymous", "Clients that were let in without credentials.", m.Anonymous.Load()},
		{"authentication.failure", "emqx_authentication_failure", "Clients with wrong credentials.", failed},
		{"authorization.allow", "emqx_authorization_allow", "Topics that were allowed, where there are rules.", m.AccessAllowed.Load()},
		{"authorization.deny", "emqx_authorization_deny", "Topics that were denied.", m.AccessDenied.Load()},
		{"authorization.cache_hit", "emqx_authorization_cache_hit", "Answers that the connection remembered.", m.AccessRemembered.Load()},
		{"authorization.cache_miss", "emqx_authorization_cache_miss", "Answers that it did not.", m.AccessAsked.Load()},
	}
}

// Stats are EMQX's statistics, each with the highest there was.
func Stats(l *metrics.Levels) []Value {
	var all []Value
	for _, s := range []struct {
		name, prometheus, help string
		level                  metrics.Level
	}{
		{"connections", "emqx_connections", "Sessions, connected or not.", l.Sessions},
		{"live_connections", "emqx_live_connections", "Connected clients.", l.Connected},
		{"channels", "emqx_channels", "Sessions, connected or not.", l.Sessions},
		{"sessions", "emqx_sessions", "Sessions, connected or not.", l.Sessions},
		{"topics", "emqx_topics", "Topic filters that are subscribed to.", l.Topics},
		{"routes", "emqx_routes", "Topic filters that are subscribed to.", l.Topics},
		{"suboptions", "emqx_suboptions", "Subscriptions.", l.Subscriptions},
		{"subscribers", "emqx_subscribers", "Subscriptions.", l.Subscriptions},
		{"subscriptions", "emqx_subscriptions", "Subscriptions, shared ones included.", l.Subscriptions},
		{"subscriptions.shared", "emqx_subscriptions_shared", "Shared subscriptions.", l.Shared},
		{"retained", "emqx_retained", "Retained messages.", l.Retained},
		{"delayed", "emqx_delayed", "Messages that wait for their delay.", l.Delayed},
	} {
		all = append(all,
			Value{s.name + ".count", s.prometheus + "_count", s.help, s.level.Now},
			Value{s.name + ".max", s.prometheus + "_max", s.help + " The most there were.", s.level.Max})
	}
	return append(all, Value{"durable_subscriptions.count", "emqx_durable_subscriptions_count", "Subscriptions of durable sessions.", l.DurableSubscriptions})
}

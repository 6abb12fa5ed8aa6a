package broker

import (
	"strings"

	"github.com/barid-mqtt/barid/internal/metrics"
)

// This file judges by the limits of the whole broker. What is admitted counts from then on, so that many who ask at once
// do not pass a limit together.

// admitConnection reports whether the broker may have another connection, which then counts.
func (b *Broker) admitConnection() bool {
	limit := b.conf().Limits.MaxConnections
	if n := b.connections.Add(1); limit > 0 && n > int64(limit) {
		b.connections.Add(-1)
		return false
	}
	return true
}

// admitSubscription reports whether a session that has n subscriptions may have another, which then counts.
func (b *Broker) admitSubscription(n int) bool {
	cfg := b.conf()
	own, all := cfg.MQTT.MaxSubscriptionsPerSession, cfg.Limits.MaxSubscriptions
	if own > 0 && n >= own {
		b.metrics.Hit(metrics.LimitSessionSubscriptions)
		return false
	}
	if total := b.subscriptions.Add(1); all > 0 && total > int64(all) {
		b.subscriptions.Add(-1)
		b.metrics.Hit(metrics.LimitSubscriptions)
		return false
	}
	return true
}

// topicWithin reports whether a topic is within the limits, without counting it as one that is not.
func (b *Broker) topicWithin(topic string) bool {
	return len(topic) <= b.conf().MQTT.MaxTopicBytes && strings.Count(topic, "/")+1 <= b.conf().MQTT.MaxTopicLevels
}

// admitTopic reports whether a topic or filter is within the limits.
func (b *Broker) admitTopic(topicBytes, levels int) bool {
	switch {
	case topicBytes > b.conf().MQTT.MaxTopicBytes:
		b.metrics.Hit(metrics.LimitTopicBytes)
	case levels > b.conf().MQTT.MaxTopicLevels:
		b.metrics.Hit(metrics.LimitTopicLevels)
	default:
		return true
	}
	return false
}

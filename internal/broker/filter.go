package broker

import (
	"strings"

	"github.com/barid-mqtt/barid/mqtt"
)

// Prefixes of filters that mean more than themselves.
const (
	queuePrefix     = "$queue/"
	exclusivePrefix = "$exclusive/"
)

// parsedFilter is a filter as a client gave it, taken apart.
type parsedFilter struct {
	filter    string // what topics are matched with: no prefix, but the listener's mount point
	key       string // what the session knows the subscription by
	exclusive bool
}

// parseFilter takes a filter apart and judges it by the configuration. share is "" or names the group.
func (l *link) parseFilter(given string) (p parsedFilter, share string, code mqtt.ReasonCode) {
	cfg := &l.client.broker.cfg.MQTT
	rest := given
	switch {
	case strings.HasPrefix(given, queuePrefix):
		share, rest = "$queue", given[len(queuePrefix):]
	case strings.HasPrefix(given, exclusivePrefix) && cfg.ExclusiveAvailable:
		p.exclusive, rest = true, given[len(exclusivePrefix):]
	}
	f, err := mqtt.ParseTopicFilter(rest)
	if err != nil {
		return p, "", mqtt.TopicFilterInvalid
	}
	if group, ok := f.Group(); ok {
		if share != "" || p.exclusive {
			return p, "", mqtt.TopicFilterInvalid
		}
		share = group
	}
	p.filter = l.mount + f.Filter()
	p.key = given
	if l.mount != "" {
		p.key = l.mount + "\x00" + given
	}
	switch {
	case share != "" && !cfg.SharedAvailable:
		return p, share, mqtt.SharedNotSupported
	case f.HasWildcard() && !cfg.WildcardAvailable:
		return p, share, mqtt.WildcardsNotSupported
	case f.Levels() > cfg.MaxTopicLevels || len(given) > cfg.MaxTopicBytes:
		return p, share, mqtt.TopicFilterInvalid
	}
	return p, share, mqtt.Success
}

// validTopic judges a topic name by the configured limits.
func (b *Broker) validTopic(topic string) bool {
	return len(topic) <= b.cfg.MQTT.MaxTopicBytes && strings.Count(topic, "/") < b.cfg.MQTT.MaxTopicLevels
}

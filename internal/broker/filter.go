package broker

import (
	"strings"

	"github.com/barid-mqtt/barid/internal/stream"
	"github.com/barid-mqtt/barid/mqtt"
)

// Prefixes of filters that mean more than themselves.
const (
	queuePrefix     = "$queue/"
	exclusivePrefix = "$exclusive/"
	streamPrefix    = "$stream/"
)

// parsedFilter is a filter as a client gave it, taken apart.
type parsedFilter struct {
	filter    string // what topics are matched with: no prefix, but the listener's mount point
	key       string // what the session knows the subscription by
	exclusive bool
	stream    *stream.Stream // that is to be read, or consumed by a group; nil: none. filter may be "" then: all of it
}

// topics are the filters of what the subscription may get.
func (p *parsedFilter) topics() []string {
	if p.stream != nil {
		return streamTopics(p.stream, p.filter)
	}
	return []string{p.filter}
}

func streamTopics(st *stream.Stream, filter string) []string {
	if filter == "" {
		return st.Config().Filters
	}
	return []string{filter}
}

// parseFilter takes a filter apart and judges it by the configuration. share is "" or names the group.
func (l *link) parseFilter(given string) (p parsedFilter, share string, code mqtt.ReasonCode) {
	cfg := &l.client.broker.cfg.MQTT
	rest := given
	switch {
	case strings.HasPrefix(given, streamPrefix):
		return l.parseStream(given)
	case strings.HasPrefix(given, queuePrefix):
		if st := l.client.broker.queued(given); st != nil {
			return l.parseQueue(given, st)
		}
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
	p.key = l.key(given)
	switch {
	case share != "" && !cfg.SharedAvailable:
		return p, share, mqtt.SharedNotSupported
	case f.HasWildcard() && !cfg.WildcardAvailable:
		return p, share, mqtt.WildcardsNotSupported
	case !l.client.broker.admitTopic(len(given), f.Levels()):
		return p, share, mqtt.TopicFilterInvalid
	}
	return p, share, mqtt.Success
}

// key is what the session knows a subscription by.
func (l *link) key(given string) string {
	if l.mount == "" {
		return given
	}
	return l.mount + "\x00" + given
}

// parseStream takes $stream/<name>[/<filter>] apart.
func (l *link) parseStream(given string) (p parsedFilter, share string, code mqtt.ReasonCode) {
	b := l.client.broker
	name, filter, narrow := strings.Cut(given[len(streamPrefix):], "/")
	if p.stream = b.streams.Get(name); p.stream == nil {
		return p, "", mqtt.TopicFilterInvalid
	}
	p.key = l.key(given)
	if !narrow {
		if l.mount != "" {
			p.filter = l.mount + "#"
		}
		return p, "", mqtt.Success
	}
	f, err := mqtt.ParseTopicFilter(filter)
	if _, shared := f.Group(); err != nil || shared || !b.admitTopic(len(given), f.Levels()) {
		return p, "", mqtt.TopicFilterInvalid
	}
	if f.HasWildcard() && !b.cfg.MQTT.WildcardAvailable {
		return p, "", mqtt.WildcardsNotSupported
	}
	p.filter = l.mount + f.Filter()
	return p, "", mqtt.Success
}

// validTopic judges a topic name by the configured limits.
func (b *Broker) validTopic(topic string) bool {
	return b.admitTopic(len(topic), strings.Count(topic, "/")+1)
}

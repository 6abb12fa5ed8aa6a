package broker

import (
	"cmp"
	"slices"
	"strings"

	"github.com/barid-mqtt/barid/internal/metrics"
)

// counted counts what happened to messages of the consumer, in numbers that only rise: those that its information shows
// take a delivery back that nobody saw. The caller holds g.mu.
func (c *consumer) counted(what metrics.Consumed, n int64) {
	c.risen[what] += n
	c.broker.metrics.Consume(what, n)
}

// PushFailed counts a push of a consumer that failed.
func (b *Broker) PushFailed(name string) {
	c := b.consumers.get(name)
	if c == nil {
		return
	}
	c.group.mu.Lock()
	defer c.group.mu.Unlock()
	c.counted(metrics.ConsumedPushFailed, 1)
}

// ConsumerDetail is what metrics show of a consumer.
type ConsumerDetail struct {
	Name     string
	Waiting  int64 // messages that were not given out yet, as far as that was counted since the start
	Bytes    int64 // of those in the log and parked
	Leased   int   // given out, and not acknowledged
	Pollers  int   // requests that wait
	Consumed metrics.ConsumedCounts
}

// consumerDetails describes the consumers for which most waits. It reads nothing but memory.
func (b *Broker) consumerDetails(most int) []ConsumerDetail {
	var details []ConsumerDetail
	for _, c := range b.consumers.all() {
		g := c.group
		g.mu.Lock()
		waiting := g.waitingFor()
		details = append(details, ConsumerDetail{
			Name: c.doc.Name, Waiting: waiting.messages + int64(len(g.queue)), Bytes: waiting.bytes,
			Leased: c.account.n - len(c.ready) - len(c.dead), Pollers: len(c.pollers), Consumed: c.risen,
		})
		g.mu.Unlock()
	}
	slices.SortFunc(details, func(x, y ConsumerDetail) int {
		return cmp.Or(cmp.Compare(y.Waiting, x.Waiting), cmp.Compare(y.Leased, x.Leased), strings.Compare(x.Name, y.Name))
	})
	return details[:min(most, len(details))]
}

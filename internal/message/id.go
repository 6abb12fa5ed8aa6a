package message

import (
	"fmt"
	"hash/fnv"
)

// ID names a message in answers, logs and traces: 24 hexadecimal digits that sort by the time of publishing. It follows
// from what the message is, so that it takes no room, and is the same after a restart. Messages that one client publishes
// at the same instant with the same topic, properties and payload share it.
func (m *Message) ID() string {
	h := fnv.New64a()
	for _, part := range [...]string{m.ClientID, m.Topic} {
		_, _ = h.Write([]byte(part))
		_, _ = h.Write([]byte{0})
	}
	_, _ = h.Write(m.Properties)
	_, _ = h.Write(m.Payload)
	sum := h.Sum64() ^ uint64(m.PublishedAt.Nanosecond())
	return fmt.Sprintf("%016X%08X", uint64(m.PublishedAt.UnixMicro()), uint32(sum>>32)^uint32(sum))
}

package metrics

// Limit names a bound at which something was refused, ended or held back. The metric's label is its String;
// docs/security.md says which key sets it and what a client is told.
type Limit uint8

// The limits there are.
const (
	LimitConnectRate           Limit = iota // CONNECT beyond the rate
	LimitConnections                        // of the broker
	LimitListenerConnections                // of a listener
	LimitHandshakes                         // under way on a listener
	LimitDescriptors                        // connections that would take what the storage needs
	LimitSessions                           // connected or not
	LimitSessionSubscriptions               // of one session
	LimitSubscriptions                      // of all sessions
	LimitTopicLevels                        // of a topic or filter
	LimitTopicBytes                         // of a topic or filter
	LimitRetainedMessages                   // kept by the broker
	LimitRetainedBytes                      // kept by the broker
	LimitReceiveMaximum                     // a client has more in flight than it may
	LimitPacketBytes                        // a packet's length
	LimitPublishRate                        // pauses of a publisher
	LimitMemoryConnect                      // CONNECT while the memory is nearly full
	LimitMemoryQoS0                         // QoS 0 copies that would have waited
	LimitMemoryPause                        // pauses of a publisher
	LimitMemoryPacket                       // a large packet, begun and not finished
	LimitMemoryHolder                       // the client that held most was disconnected
	LimitBan                                // a banned client
	LimitFlapping                           // clients that were banned for connecting too often
	LimitAuthenticationFailure              // wrong credentials
	LimitStreams                            // streams that are declared
	LimitAPIConnections                     // of the HTTP API: one was closed to make room
	LimitConsumers                          // consumers of the HTTP API
	LimitConsumerWaiting                    // requests that wait for messages
	LimitConsumerInFlight                   // of one consumer
	LimitEventStreams                       // of server-sent events
	limits
)

var limitNames = [limits]string{
	"connect_rate", "connections", "listener_connections", "handshakes", "descriptors", "sessions", "session_subscriptions",
	"subscriptions", "topic_levels", "topic_bytes", "retained_messages", "retained_bytes", "receive_maximum", "packet_bytes",
	"publish_rate", "memory_connect", "memory_qos0", "memory_pause", "memory_packet", "memory_holder", "ban", "flapping",
	"authentication_failure", "streams", "api_connections", "consumers", "consumer_waiting", "consumer_in_flight", "event_streams",
}

// String returns the limit's name, for example "connect_rate".
func (l Limit) String() string {
	if l < limits {
		return limitNames[l]
	}
	return "unknown"
}

// Limits lists all limits, for metrics that show each of them from the start.
func Limits() []Limit {
	all := make([]Limit, limits)
	for i := range all {
		all[i] = Limit(i)
	}
	return all
}

// Hit counts that a limit was reached once more.
func (m *Metrics) Hit(l Limit) { m.hits[l].Inc() }

// Hits returns how often a limit was reached.
func (m *Metrics) Hits(l Limit) int64 { return m.hits[l].Load() }

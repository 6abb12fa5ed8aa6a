package message

// DropReason names why a message, or one subscriber's copy of it, went no further. The metric's label, the log's field
// and the API's value are its String.
type DropReason uint8

// The reasons there are.
const (
	NotDropped        DropReason = iota
	DropNoSubscriber             // nobody's subscription matched
	DropExpired                  // its message expiry interval passed before it was sent
	DropTooLarge                 // longer than the client's maximum packet size
	DropQueueFull                // the subscriber's queue was full
	DropQueueAge                 // it waited in the subscriber's queue longer than it may
	DropSlowConsumer             // QoS 0, and the subscriber's connection does not take what is written to it
	DropOffline                  // QoS 0, and the session has no connection
	DropNotAuthorized            // the publisher or the subscriber may not
	DropRefused                  // the subscriber answered with a reason code of 0x80 or more
	DropSessionEnded             // the session ended with the message undelivered
	DropGroupEnded               // the last durable member of the shared group ended
	DropLogTrimmed               // the log's limit passed it before the session read it
	DropLogFull                  // the log was at its limit
	DropLimit                    // a limit of the configuration refused it
	DropMemory                   // QoS 0, and it would have waited while the memory is nearly full
	DropMaxDeliver               // a consumer was given it as often as it may be, and has no topic for such
	DropStreamTrimmed            // its stream let go of it before the queue that reads the stream gave it to anyone
	DropInvalid                  // its topic is not valid here, or it asks for a QoS or for RETAIN where that is switched off
	dropReasons
)

var dropNames = [dropReasons]string{
	"", "no_subscriber", "expired", "too_large", "queue_full", "queue_age", "slow_consumer", "offline", "not_authorized", "refused",
	"session_ended", "group_ended", "log_trimmed", "log_full", "limit", "memory", "max_deliver", "stream_trimmed", "invalid",
}

// String returns the reason's name, for example "queue_full".
func (r DropReason) String() string {
	if r < dropReasons {
		return dropNames[r]
	}
	return "unknown"
}

// DropReasons lists all reasons, for metrics that show each of them from the start.
func DropReasons() []DropReason {
	all := make([]DropReason, 0, dropReasons-1)
	for r := NotDropped + 1; r < dropReasons; r++ {
		all = append(all, r)
	}
	return all
}

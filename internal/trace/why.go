package trace

import "github.com/barid-mqtt/barid/internal/message"

// whys say what each reason means, and what to do about it.
var whys = map[message.DropReason]string{
	message.DropNoSubscriber:  "nobody's subscription matched the topic: compare the filters letter by letter, with GET /explain",
	message.DropExpired:       "its message expiry interval passed before it could be sent: the subscriber was away or slow for longer",
	message.DropTooLarge:      "it is longer than the maximum packet size that the subscriber gave in its CONNECT",
	message.DropQueueFull:     "as much waited for the subscriber as may: it is away or too slow; session.queue_max_messages, session.queue_max_bytes and session.queue_memory_messages say how much",
	message.DropQueueAge:      "it waited for the subscriber longer than session.queue_max_seconds",
	message.DropSlowConsumer:  "QoS 0, and the subscriber's connection did not take what was written to it: it reads too slowly, or mqtt.out_buffer_max_bytes is small for it",
	message.DropOffline:       "QoS 0, and the session had no connection: publish and subscribe with QoS 1, or set session.queue_qos0",
	message.DropNotAuthorized: "the rules do not allow it to the publisher, or to the subscriber",
	message.DropRefused:       "the subscriber answered with a reason code of 0x80 or more",
	message.DropSessionEnded:  "the subscriber's session ended before the message was delivered: it began clean, expired or was taken out",
	message.DropGroupEnded:    "the last durable member of the shared group left",
	message.DropLogTrimmed:    "the log's limit passed it before the session read it",
	message.DropLogFull:       "the log took nothing: storage.max_bytes, or the disk, is full",
	message.DropLimit:         "a limit of the configuration refused it",
	message.DropMemory:        "QoS 0, and it would have waited while limits.memory_max_bytes is nearly reached",
	message.DropMaxDeliver:    "a consumer was given it max_deliver times and never acknowledged it: it went to the dead letter topic, where there is one",
	message.DropStreamTrimmed: "its stream let go of it, by keep_seconds or keep_bytes, before the queue that reads the stream gave it to anyone",
	message.DropInvalid:       "the publisher sent what cannot be published here",
}

// Why says in a sentence what a reason means, and what to do about it.
func Why(r message.DropReason) string { return whys[r] }

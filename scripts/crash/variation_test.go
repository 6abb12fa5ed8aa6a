//go:build e2e

package crash

// variations are configurations under which no promise changes. A seed has the one of its number, modulo theirs.
var variations = [][]string{
	nil,
	{"mqtt.shared_strategy=random", "storage.keep_bytes=65536"},
	{"mqtt.shared_strategy=least_inflight", "session.queue_max_messages=1000000", "session.queue_max_seconds=600"},
	{"mqtt.shared_strategy=sticky", "session.in_flight_max=1", "mqtt.receive_maximum=1"},
	{"mqtt.shared_strategy=hash_topic", "session.queue_qos0=true", "storage.keep_seconds=2"},
	{"mqtt.shared_strategy=hash_clientid", "mqtt.out_buffer_max_bytes=4096", "mqtt.topic_alias_outbound_maximum=0"},
}

func variation(seed uint64) []string { return variations[seed%uint64(len(variations))] }

// Package relay is no broker, but what is left of one without all that makes it one: a single thread that waits for
// sockets, reads, and writes what came to all who subscribed to its topic. It knows QoS 0 of MQTT 3.1.1, one filter a
// SUBSCRIBE, and hardly looks at what it gets. What it costs is what the machine and its network cost, so that a broker
// can be compared with the best that there can be there.
package relay

package scenario

import "github.com/barid-mqtt/barid/mqtt"

// kept has the scenarios about what a broker keeps.
func kept() []Scenario {
	l := base()
	l.Publishers, l.Subscribers, l.Groups = 1000, 10, 10
	l.QoS, l.Window, l.Durable, l.Nap = mqtt.AtLeastOnce, 16, true, nap
	few := l
	few.Publishers = 100
	r := base()
	r.Publishers, r.Subscribers, r.Messages, r.Topics = 10, 5, 100_000, TopicPattern
	r.QoS, r.Window, r.Nap = mqtt.AtLeastOnce, 100, nap
	keys := []string{MetricAcked, MetricDrained, MetricCPU}
	return []Scenario{
		{Name: "stored", About: "QoS 1 from 1,000 publishers to 10 persistent sessions that are away, then drained; Barid with fsync before each ack",
			Load: l, Durability: "fsync", Keys: keys, Goal: "≥ 150 k/s stored, ≥ 400 k/s drained", run: stored},
		{Name: "stored-100", About: "the same from 100 publishers", Load: few, Durability: "fsync", Keys: keys, run: stored},
		{Name: "stored-memory", About: "as stored, with nothing on disk", Load: l, Keys: keys, run: stored},
		{Name: "retained", About: "100,000 retained messages of 256 B, then 5 subscribers with a wildcard get them all", Load: r,
			Keys: []string{MetricAcked, MetricReplayed, MetricCPU}, run: retained},
	}
}

// crowdOf returns the load of a scenario about connections: so many clients, so many a second.
func crowdOf(clients int, rate float64) Load {
	l := base()
	l.Clients, l.Rate = clients, rate
	return l
}

// connections has the scenarios about clients that come, subscribe and stay.
func connections() []Scenario {
	secure := crowdOf(16, 0)
	secure.Transport = "mqtts"
	secureIdle := crowdOf(2000, 0)
	secureIdle.Transport = "mqtts"
	web := crowdOf(16, 0)
	web.Transport = "ws"
	million := crowdOf(1000, 0)
	million.Messages = 1_000_000
	idle := []string{MetricPerConn}
	connects := []string{MetricConnCPU, MetricConnects}
	return []Scenario{
		{Name: "connects", About: "100 clients connect and leave, again and again", Load: crowdOf(100, 0),
			Keys: connects, Goal: "≥ 30 k/s; Mosquitto 14 ms CPU a thousand", run: storm},
		{Name: "connects-tls", About: "16 clients make TLS 1.3 handshakes, connect and leave", Load: secure, Keys: connects, run: storm},
		{Name: "connects-ws", About: "16 clients make WebSocket handshakes, connect and leave", Load: web, Keys: connects, run: storm},
		{Name: "subscribes", About: "100 clients subscribe to one filter with a wildcard after the other", Load: crowdOf(100, 0),
			Keys: []string{MetricSubscribe, MetricPerSub}, run: subscribeStorm},
		{Name: "subscriptions", About: "1,000,000 subscriptions of 1,000 clients to a filter with a wildcard each, then idle", Load: million,
			Keys: []string{MetricPerSub, MetricSubscribe}, Goal: "≤ 150 B", run: subscriptions},
		{Name: "idle", About: "10,000 idle connections", Load: crowdOf(10_000, 0), Keys: idle, Goal: "≤ 1.5 kB", run: hold},
		{Name: "idle-tls", About: "2,000 idle TLS connections", Load: secureIdle, Keys: idle, Goal: "≤ 10 kB", run: hold},
	}
}

// neighbours has the scenarios of a healthy pair beside trouble.
func neighbours() []Scenario {
	keys := []string{MetricP99, MetricP999}
	secure := healthy()
	secure.Publishers, secure.Subscribers, secure.Groups, secure.Rate = 50, 10, 10, 0
	secure.Transport, secure.Window, secure.Nap, secure.Duration = "mqtts", 50, nap, base().Duration
	web := secure
	web.Transport = "ws"
	return []Scenario{
		{Name: "beside-stalled", About: "a pair with 1,000 messages/s, QoS 1, beside 4 subscribers that do not read a flood of 20,000 × 1 KiB/s",
			Load: healthy(), Keys: keys, run: beside(stalled)},
		{Name: "beside-connects", About: "the same pair beside 50 clients that connect and leave as fast as they can",
			Load: healthy(), Keys: keys, run: beside(connectFlood)},
		{Name: "fan-in-qos1-tls", About: "as fan-in-qos1, over TLS", Load: secure, Keys: throughput, run: traffic},
		{Name: "fan-in-qos1-ws", About: "as fan-in-qos1, over WebSocket", Load: web, Keys: throughput, run: traffic},
	}
}

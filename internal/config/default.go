package config

// levelDefault is the level of a part of the broker that has none of its own.
const levelDefault = "default"

// Default returns the built-in configuration, which the config.yaml at the root of the project spells out.
func Default() *Config {
	return &Config{
		DataDir:    "./data",
		Durability: DurabilityFsync,
		Listeners: map[string]Listener{
			"tcp": {Type: TCP, Bind: "127.0.0.1:1883"},
			"ws":  {Type: WS, Bind: "127.0.0.1:8083", Path: defaultPath},
		},
		API:       API{Bind: "127.0.0.1:18083", Admin: Admin{Username: "admin"}, MQTT: true, CORSOrigins: []string{}, Hosts: []string{}},
		Tracing:   Tracing{SampleRatio: 0.01},
		MQTT:      defaultMQTT(),
		Session:   defaultSession(),
		Streams:   map[string]Stream{},
		Consumers: Consumers{Max: 1000, MaxWaiting: 500, MaxInFlight: 10_000, MaxEventStreams: 250, PushAllow: []string{}},
		Limits:    Limits{MaxStreams: 1000},
		Logging: Logging{Level: "info", Format: "text", Repeats: 20, Levels: LogLevels{
			API: levelDefault, Auth: levelDefault, Broker: levelDefault, Client: levelDefault, Listener: levelDefault, Storage: levelDefault}},
		Trace: Trace{MaxTraces: 30, MaxBytes: 50 << 20, PayloadMaxBytes: 1024, RecentMaxBytes: 8 << 20},
		Auth: Auth{
			JWT: defaultJWT(), HTTP: defaultHTTP(), HTTPACL: defaultHTTP(), HTTPACLCache: 60, HTTPACLEntries: 10_000,
			Order: []string{}, Flapping: Flapping{WindowSeconds: 60, BanSeconds: 300}, NoMatch: NoMatchDeny, DenyAction: DenyAckAndDrop},
	}
}

func defaultMQTT() MQTT {
	return MQTT{
		ReceiveMaximum:            1024,
		MaxPacketBytes:            1 << 20,
		TopicAliasMaximum:         64,
		TopicAliasOutboundMaximum: 16,
		MaxQoS:                    2,
		RetainAvailable:           true,
		WildcardAvailable:         true,
		SharedAvailable:           true,
		SubscriptionIDsAvailable:  true,
		ConnectTimeoutSeconds:     5,
		Overlap:                   OverlapSingle,
		MaxTopicLevels:            128,
		MaxTopicBytes:             65535,
		MaxClientIDBytes:          65535,
		SharedStrategy:            SharedRoundRobin,
		ExclusiveAvailable:        true,
		DelayedAvailable:          true,
		DelayedMaxSeconds:         4_294_967,
		SysIntervalSeconds:        10,
		RefuseV31Subscribe:        V31Grant,
		OutBufferMaxBytes:         1 << 20,
	}
}

func defaultSession() Session {
	return Session{
		ExpiryMaxSeconds:    604_800,
		ExpiryV3Seconds:     604_800,
		QueueMaxBytes:       1 << 30,
		OnFull:              DropOldest,
		InFlightMax:         1024,
		QueueMemoryMessages: 10000,
	}
}

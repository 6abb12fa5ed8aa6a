// Package config holds the broker's configuration: its keys, their defaults and limits, and how they are read.
//
// The struct tags of [Config] are the only description of a key. From them come the reading of the file with its line
// numbers, the names of environment variables, --set, the checks of ranges and the list that [Keys] returns:
//
//	yaml    the key's name
//	doc     what it means, one sentence
//	min,max the bounds of a number; without min it is 0, without max the type's largest value
//	enum    the allowed values, separated by commas
//	live    "true": it can change while the broker runs
//	secret  "true": never printed; the key with _file appended names a file that holds the value
package config

// Config is the whole configuration. Use [Default] or [Load] to make one.
type Config struct {
	Node       Node                `yaml:"node"`
	DataDir    string              `yaml:"data_dir" doc:"directory of everything that outlives the process"`
	Durability Durability          `yaml:"durability" enum:"fsync,os,memory" doc:"when a message counts as stored: on disk, handed to the kernel, or in memory only"`
	Listeners  map[string]Listener `yaml:"listeners"`
	API        API                 `yaml:"api"`
	MQTT       MQTT                `yaml:"mqtt"`
	Session    Session             `yaml:"session"`
	Storage    Storage             `yaml:"storage"`
	Streams    map[string]Stream   `yaml:"streams"`
	Consumers  Consumers           `yaml:"consumers"`
	Logging    Logging             `yaml:"logging"`
	Trace      Trace               `yaml:"trace"`
	Metrics    Metrics             `yaml:"metrics"`
	Tracing    Tracing             `yaml:"tracing"`
	Auth       Auth                `yaml:"auth"`
	Limits     Limits              `yaml:"limits"`
}

// Node says who this broker is.
type Node struct {
	Name string `yaml:"name" doc:"name of this node; empty: the host's name"`
}

// Durability says when a message counts as stored.
type Durability string

// The kinds of durability.
const (
	DurabilityFsync  Durability = "fsync"
	DurabilityOS     Durability = "os"
	DurabilityMemory Durability = "memory"
)

// ListenerType is the transport of a listener.
type ListenerType string

// The types of listeners.
const (
	TCP  ListenerType = "tcp"
	TLS  ListenerType = "tls"
	WS   ListenerType = "ws"
	WSS  ListenerType = "wss"
	Unix ListenerType = "unix"
)

// CertName is what of a client's certificate is its username.
type CertName string

// The names of certificates.
const (
	CertNone    CertName = "" // certificates are verified, and say nothing about who the client is
	CertCN      CertName = "cn"
	CertDNS     CertName = "dns"
	CertEmail   CertName = "email"
	CertURI     CertName = "uri"
	CertSubject CertName = "subject"
)

// TLSVersion is a version of TLS.
type TLSVersion string

// The versions of TLS.
const (
	TLS12 TLSVersion = "1.2"
	TLS13 TLSVersion = "1.3"
)

// Listener is one address that clients connect to.
type Listener struct {
	Type                ListenerType `yaml:"type" enum:"tcp,tls,ws,wss,unix" doc:"transport; if left out, the listener's name where that is one of them"`
	Bind                string       `yaml:"bind" doc:"host:port, or for unix a path"`
	Path                string       `yaml:"path" doc:"ws, wss: path of the WebSocket, or * for any; empty: /mqtt"`
	CertFile            string       `yaml:"cert_file" doc:"tls, wss: certificate chain, PEM"`
	KeyFile             string       `yaml:"key_file" doc:"tls, wss: private key, PEM"`
	ClientCAFile        string       `yaml:"client_ca_file" doc:"tls, wss: authorities of client certificates, PEM"`
	RequireClientCert   bool         `yaml:"require_client_cert" doc:"tls, wss: refuse clients without a valid certificate"`
	CRLFile             string       `yaml:"crl_file" doc:"tls, wss: client certificates that were revoked, PEM or DER"`
	CertUsername        CertName     `yaml:"cert_username" doc:"tls, wss: what of a client's valid certificate is its username, for which it needs no password: cn, dns, email, uri or subject; empty: nothing"`
	CertClientID        bool         `yaml:"cert_client_id" doc:"tls, wss: the name that cert_username gives is the client id too"`
	SNICertFiles        []string     `yaml:"sni_cert_files" doc:"tls, wss: more certificate chains, for other names that clients ask for, PEM"`
	SNIKeyFiles         []string     `yaml:"sni_key_files" doc:"tls, wss: their private keys, in the same order, PEM"`
	TLSMinVersion       TLSVersion   `yaml:"tls_min_version" doc:"tls, wss: least version of TLS, 1.2 or 1.3; empty: 1.2"`
	MaxConnections      int          `yaml:"max_connections" max:"10000000" doc:"connections at the same time; 0: no limit"`
	ProxyProtocol       bool         `yaml:"proxy_protocol" doc:"every connection begins with a PROXY protocol header, version 1 or 2"`
	MountPoint          string       `yaml:"mount_point" doc:"prefix put before every topic of this listener's clients"`
	AllowAnonymous      *bool        `yaml:"allow_anonymous" doc:"let clients in without credentials; empty: as auth.allow_anonymous"`
	MaxPacketBytes      int64        `yaml:"max_packet_bytes" max:"268435460" doc:"largest packet taken from a client; 0: as mqtt.max_packet_bytes"`
	AcceptRatePerSecond int          `yaml:"accept_rate_per_second" max:"10000000" doc:"new connections a second; 0: no limit"`
}

// API is the HTTP API.
type API struct {
	Bind        string   `yaml:"bind" doc:"host:port of the HTTP API; empty: none"`
	Admin       Admin    `yaml:"admin"`
	CertFile    string   `yaml:"cert_file" doc:"certificate chain, PEM; empty: HTTP without TLS"`
	KeyFile     string   `yaml:"key_file" doc:"private key, PEM"`
	MQTT        bool     `yaml:"mqtt" doc:"MQTT over WebSocket at /mqtt of the same address, for the dashboard's client"`
	CORSOrigins []string `yaml:"cors_origins" doc:"other origins whose pages may use the API, such as https://ops.example.org"`
	Hosts       []string `yaml:"hosts" doc:"names under which browsers reach the API, besides addresses and localhost; empty: any, unless bind is loopback"`
}

// Admin is the first user of the HTTP API.
type Admin struct {
	Username     string `yaml:"username" doc:"name of the administrator"`
	Password     string `yaml:"password" secret:"true" doc:"password of the administrator; empty: made at the first start"`
	PasswordFile string `yaml:"password_file" doc:"file that holds the password"`
}

// Overlap says what a client gets whose subscriptions match a message more than once.
type Overlap string

// The ways of overlapping subscriptions.
const (
	OverlapSingle Overlap = "single" // one copy, with the highest QoS and all subscription identifiers
	OverlapEach   Overlap = "each"   // one copy a subscription
)

// SharedStrategy is how a shared subscription's group picks the member that gets a message.
type SharedStrategy string

// The strategies of shared subscriptions.
const (
	SharedRandom             SharedStrategy = "random"
	SharedRoundRobin         SharedStrategy = "round_robin"
	SharedRoundRobinPerGroup SharedStrategy = "round_robin_per_group"
	SharedSticky             SharedStrategy = "sticky"
	SharedLocal              SharedStrategy = "local"
	SharedHashClientID       SharedStrategy = "hash_clientid"
	SharedHashTopic          SharedStrategy = "hash_topic"
	SharedLeastInflight      SharedStrategy = "least_inflight"
)

// V31Refusal is what happens to an MQTT 3.1 client's SUBSCRIBE that is refused: its SUBACK has no code that says so.
type V31Refusal string

// The ways to refuse a SUBSCRIBE of MQTT 3.1.
const (
	V31Grant V31Refusal = "grant" // say it was granted and deliver nothing
	V31Close V31Refusal = "close" // close the connection
)

// MQTT are the limits and choices of the protocol.
type MQTT struct {
	ReceiveMaximum             int            `yaml:"receive_maximum" min:"1" max:"65535" doc:"unacknowledged QoS 1 and 2 messages that a client may send at a time"`
	MaxPacketBytes             int64          `yaml:"max_packet_bytes" live:"true" min:"64" max:"268435460" doc:"largest packet taken from a client"`
	TopicAliasMaximum          int            `yaml:"topic_alias_maximum" live:"true" max:"65535" doc:"topic aliases that a client may use; 0: none"`
	TopicAliasOutboundMaximum  int            `yaml:"topic_alias_outbound_maximum" live:"true" max:"65535" doc:"topic aliases used towards a client that allows them; 0: none"`
	MaxQoS                     int            `yaml:"max_qos" max:"2" doc:"highest QoS that clients may publish with"`
	RetainAvailable            bool           `yaml:"retain_available" doc:"keep retained messages"`
	WildcardAvailable          bool           `yaml:"wildcard_available" doc:"allow + and # in topic filters"`
	SharedAvailable            bool           `yaml:"shared_available" doc:"allow shared subscriptions"`
	SubscriptionIDsAvailable   bool           `yaml:"subscription_ids_available" doc:"allow subscription identifiers"`
	KeepAliveMaxSeconds        int            `yaml:"keep_alive_max_seconds" live:"true" max:"65535" doc:"longest keep alive, told to MQTT 5 clients; 0: what the client asks for"`
	ConnectTimeoutSeconds      int            `yaml:"connect_timeout_seconds" live:"true" min:"1" max:"3600" doc:"time for a new connection to send CONNECT"`
	Overlap                    Overlap        `yaml:"overlap" enum:"single,each" doc:"overlapping subscriptions of a client: one copy, or one a subscription"`
	MaxTopicLevels             int            `yaml:"max_topic_levels" live:"true" min:"1" max:"65536" doc:"levels of a topic name or filter"`
	MaxTopicBytes              int            `yaml:"max_topic_bytes" live:"true" min:"1" max:"65535" doc:"length of a topic name or filter"`
	MaxClientIDBytes           int            `yaml:"max_client_id_bytes" live:"true" min:"23" max:"65535" doc:"length of a client id"`
	SharedStrategy             SharedStrategy `yaml:"shared_strategy" enum:"random,round_robin,round_robin_per_group,sticky,local,hash_clientid,hash_topic,least_inflight" doc:"how a shared subscription picks the member"`
	ExclusiveAvailable         bool           `yaml:"exclusive_available" doc:"allow $exclusive/<topic>, which admits one subscriber"`
	DelayedAvailable           bool           `yaml:"delayed_available" doc:"allow $delayed/<seconds>/<topic>"`
	DelayedMaxSeconds          int64          `yaml:"delayed_max_seconds" live:"true" min:"1" max:"4294967" doc:"longest delay of a $delayed message"`
	SysIntervalSeconds         int            `yaml:"sys_interval_seconds" live:"true" max:"86400" doc:"time between two publications of $SYS topics; 0: none"`
	RefuseV31Subscribe         V31Refusal     `yaml:"refuse_v31_subscribe" live:"true" enum:"grant,close" doc:"a refused SUBSCRIBE of MQTT 3.1: pretend to grant it, or close the connection"`
	MaxSubscriptionsPerSession int            `yaml:"max_subscriptions_per_session" live:"true" max:"100000000" doc:"subscriptions of one client; 0: no limit"`
	OutBufferMaxBytes          int64          `yaml:"out_buffer_max_bytes" live:"true" min:"4096" max:"1073741824" doc:"bytes waiting for a slow connection before QoS 0 is dropped and QoS 1 and 2 wait in the session"`
}

// OnFull says what happens to a message for a session whose queue is full.
type OnFull string

// The choices of a full queue.
const (
	DropOldest OnFull = "drop_oldest"
	Reject     OnFull = "reject"
)

// Session are the limits of sessions.
type Session struct {
	ExpiryMaxSeconds    int64  `yaml:"expiry_max_seconds" live:"true" max:"4294967295" doc:"longest life of a session without a connection; 0: no limit"`
	ExpiryV3Seconds     int64  `yaml:"expiry_v3_seconds" live:"true" max:"4294967295" doc:"the same for MQTT 3.x clients with clean session 0; 0: no limit"`
	QueueMaxMessages    int64  `yaml:"queue_max_messages" live:"true" max:"1000000000000" doc:"messages waiting for a client; 0: no limit"`
	QueueMaxBytes       int64  `yaml:"queue_max_bytes" live:"true" max:"1000000000000000" doc:"bytes waiting for a client; 0: no limit"`
	QueueMaxSeconds     int64  `yaml:"queue_max_seconds" live:"true" max:"1000000000" doc:"how long a message waits for a client; 0: as long as its session lives"`
	OnFull              OnFull `yaml:"on_full" enum:"drop_oldest,reject" doc:"a full queue drops its oldest message, or refuses the new one"`
	QueueQoS0           bool   `yaml:"queue_qos0" live:"true" doc:"queue QoS 0 messages for clients that are away"`
	InFlightMax         int    `yaml:"in_flight_max" min:"1" max:"65535" doc:"unacknowledged QoS 1 and 2 messages sent to a client at a time"`
	QueueMemoryMessages int    `yaml:"queue_memory_messages" min:"1" max:"100000000" doc:"messages waiting in memory for a client whose session ends with its connection"`
}

// Storage are the limits of the log.
type Storage struct {
	MaxBytes    int64 `yaml:"max_bytes" doc:"size of all stored messages, past which new ones are refused; 0: no limit"`
	KeepSeconds int64 `yaml:"keep_seconds" live:"true" max:"1000000000" doc:"keep delivered messages in the log for so long; 0: not at all, unless keep_bytes is set"`
	KeepBytes   int64 `yaml:"keep_bytes" live:"true" doc:"keep so many bytes of them; 0: none, unless keep_seconds is set"`
}

// Stream is a named history of the messages that its filters match.
type Stream struct {
	Filters     []string `yaml:"filters" doc:"topic filters"`
	KeepSeconds int64    `yaml:"keep_seconds" max:"1000000000" doc:"age of the oldest message; 0: no limit"`
	KeepBytes   int64    `yaml:"keep_bytes" doc:"size; 0: no limit"`
	LastValue   bool     `yaml:"last_value" doc:"keep only the last message of each topic"`
}

// Consumers are those of the HTTP API.
type Consumers struct {
	Max             int      `yaml:"max" max:"1000000" doc:"consumers; 0: no limit"`
	MaxWaiting      int      `yaml:"max_waiting" max:"1000000" doc:"requests that wait for messages at a time; 0: no limit"`
	MaxInFlight     int      `yaml:"max_in_flight" min:"1" max:"60000" doc:"messages of one consumer that are given out and not acknowledged"`
	MaxEventStreams int      `yaml:"max_event_streams" max:"1000000" doc:"streams of server-sent events at a time; 0: no limit"`
	PushAllow       []string `yaml:"push_allow" doc:"where consumers may push to: addresses, prefixes of them, or names of hosts; empty: anywhere but link-local addresses, and only consumers of administrators"`
}

// Logging is where and how much is logged: to standard error.
type Logging struct {
	Level   string    `yaml:"level" live:"true" enum:"debug,info,warn,error" doc:"least severity that is logged"`
	Levels  LogLevels `yaml:"levels"`
	Format  string    `yaml:"format" enum:"text,json" doc:"form of a line"`
	Repeats int       `yaml:"repeats" live:"true" max:"1000000" doc:"lines of one event in ten seconds, past which they are only counted; debugging is not cut short; 0: all"`
}

// LogLevels are the levels of parts of the broker.
type LogLevels struct {
	API      string `yaml:"api" live:"true" enum:"default,debug,info,warn,error" doc:"the HTTP API"`
	Auth     string `yaml:"auth" live:"true" enum:"default,debug,info,warn,error" doc:"who may connect, bans, files of users and rules"`
	Broker   string `yaml:"broker" live:"true" enum:"default,debug,info,warn,error" doc:"what is in none of the others"`
	Client   string `yaml:"client" live:"true" enum:"default,debug,info,warn,error" doc:"clients that connect and disconnect"`
	Listener string `yaml:"listener" live:"true" enum:"default,debug,info,warn,error" doc:"listeners and connections that are not accepted"`
	Storage  string `yaml:"storage" live:"true" enum:"default,debug,info,warn,error" doc:"the storage"`
}

// Trace is what traces to files and the memory of recent decisions may take.
type Trace struct {
	MaxTraces       int   `yaml:"max_traces" min:"0" max:"1000" doc:"traces, stopped ones included; 0: none can be started"`
	MaxBytes        int64 `yaml:"max_bytes" min:"1024" doc:"bytes of one trace's log, past which it takes no more"`
	PayloadMaxBytes int64 `yaml:"payload_max_bytes" min:"0" max:"1048576" doc:"bytes of a payload in a trace that wants payloads"`
	RecentMaxBytes  int64 `yaml:"recent_max_bytes" min:"1048576" doc:"bytes of memory for recent drops, refusals and ends of connections, and for messages that are traced"`
}

// Metrics is the endpoint for Prometheus.
type Metrics struct {
	Bind           string `yaml:"bind" doc:"host:port of a metrics endpoint of its own; empty: only on the API's"`
	AllowAnonymous bool   `yaml:"allow_anonymous" doc:"serve metrics without credentials"`
}

// Tracing is where traces of messages go.
type Tracing struct {
	OTLPEndpoint string  `yaml:"otlp_endpoint" doc:"URL of an OpenTelemetry collector that takes OTLP over HTTP; empty: nothing is traced"`
	SampleRatio  float64 `yaml:"sample_ratio" max:"1" doc:"share of the messages without trace context that are traced, from 0 to 1"`
}

// Rate is how much a client, or some together, may publish. Past it they are read more slowly.
type Rate struct {
	MessagesPerSecond int   `yaml:"messages_per_second" live:"true" max:"1000000000" doc:"PUBLISH packets a second; 0: no limit"`
	BytesPerSecond    int64 `yaml:"bytes_per_second" live:"true" max:"1000000000000" doc:"bytes of topics and payloads a second; 0: no limit"`
}

// Limits are those of the whole broker.
type Limits struct {
	ConnectsPerSecond   int   `yaml:"connects_per_second" live:"true" max:"10000000" doc:"CONNECT packets a second of all listeners, past which clients are refused; 0: no limit"`
	Client              Rate  `yaml:"client"`
	User                Rate  `yaml:"user"`
	Listener            Rate  `yaml:"listener"`
	Total               Rate  `yaml:"total"`
	MaxConnections      int   `yaml:"max_connections" live:"true" max:"100000000" doc:"connections at the same time; 0: no limit"`
	MaxSessions         int   `yaml:"max_sessions" live:"true" max:"100000000" doc:"sessions, connected or not; 0: no limit"`
	MaxSubscriptions    int   `yaml:"max_subscriptions" live:"true" max:"1000000000" doc:"subscriptions of all clients; 0: no limit"`
	MaxRetainedMessages int   `yaml:"max_retained_messages" live:"true" max:"1000000000" doc:"retained messages; 0: no limit"`
	MaxRetainedBytes    int64 `yaml:"max_retained_bytes" live:"true" doc:"bytes of retained messages; 0: no limit"`
	MaxStreams          int   `yaml:"max_streams" live:"true" max:"100000" doc:"streams; 0: no limit"`
	MemoryMaxBytes      int64 `yaml:"memory_max_bytes" doc:"bytes of queued messages and buffers of connected clients, past which publishers are slowed; 0: no limit"`
}

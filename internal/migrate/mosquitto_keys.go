package migrate

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// take is what is done with a key's value.
type take func(m *mosquitto, value string) (Verdict, string)

// mosquittoKeys are the keys of mosquitto.conf but those of bridges and plugins.
var mosquittoKeys = map[string]take{
	// Who may connect and do what.
	"acl_file":                       fileOf("acl_file", "auth.acl_file"),
	"password_file":                  fileOf("password_file", "auth.password_file"),
	"allow_anonymous":                allowAnonymous,
	"allow_zero_length_clientid":     always("true", "clients without a client id get one"),
	"auth_plugin":                    namePlugin,
	"auth_plugin_deny_special_chars": always("true", "names with + or # match no pattern"),
	"auto_id_prefix":                 unsupported("a client id that is made up has no prefix"),
	"check_retain_source":            unsupported("who may publish a retained message is asked when it is published, not again when it is delivered"),
	"clientid_prefixes":              unsupported("a ban of the kind clientid_re refuses clients by their id"),
	"global_plugin":                  namePlugin,
	"plugin":                         namePlugin,
	"psk_file":                       unsupported("there is no TLS with pre-shared keys; use certificates: barid certs"),
	"psk_hint":                       unsupported("there is no TLS with pre-shared keys"),
	"per_listener_settings":          perListener,

	// What is stored.
	"autosave_interval":            needless("what is acknowledged is on disk already"),
	"autosave_on_changes":          needless("what is acknowledged is on disk already"),
	"persistence":                  persistence,
	"persistence_file":             needless("the data directory has files of its own"),
	"persistence_location":         persistenceLocation,
	"persistent_client_expiration": expiration,
	"max_queued_bytes":             limit("session.queue_max_bytes"),
	"max_queued_messages":          limit("session.queue_max_messages"),
	"queue_qos0_messages":          flag("session.queue_qos0"),
	"retain_available":             flag("mqtt.retain_available"),

	// The protocol.
	"allow_duplicate_messages": duplicates,
	"max_inflight_bytes":       unsupported("what is in flight is bounded by messages and by 4 MiB"),
	"max_inflight_messages":    inFlight,
	"max_keepalive":            limit("mqtt.keep_alive_max_seconds"),
	"max_packet_size":          packetSize(Taken, ""),
	"message_size_limit":       packetSize(Changed, "bounds the whole packet, not the payload"),
	"max_qos":                  maxQoS,
	"max_topic_alias":          limit("mqtt.topic_alias_maximum"),
	"memory_limit":             limitAs("limits.memory_max_bytes", Changed, "bounds queues and buffers of connected clients, not the process"),
	"set_tcp_nodelay":          needless("it is always so"),
	"sys_interval":             limit("mqtt.sys_interval_seconds"),
	"upgrade_outgoing_qos":     unsupported("a message has the lower of its own QoS and its subscription's, as the standard says"),

	// Listeners.
	"listener":                 listen,
	"port":                     func(m *mosquitto, v string) (Verdict, string) { m.listener().port = v; return Taken, "" },
	"bind_address":             func(m *mosquitto, v string) (Verdict, string) { m.listener().host = v; return Taken, "" },
	"bind_interface":           unsupported("give the address of the interface as the listener's"),
	"socket_domain":            func(m *mosquitto, v string) (Verdict, string) { m.listener().domain = v; return Taken, "" },
	"protocol":                 protocol,
	"http_dir":                 unsupported("the dashboard is all that is served by HTTP"),
	"max_connections":          ofListener("max_connections"),
	"mount_point":              textOfListener("mount_point"),
	"use_username_as_clientid": unsupported("only a certificate's name can be the client id: cert_client_id"),
	"websockets_origin":        unsupported("the origins of pages are not looked at by MQTT listeners"),
	"websockets_headers_size":  needless("headers of a WebSocket may have 8 KiB"),
	"websockets_log_level":     needless("WebSocket has no log of its own"),

	// TLS.
	"cafile": func(m *mosquitto, v string) (Verdict, string) {
		m.listener().cafile = v
		return Taken, "for client certificates, if they are required"
	},
	"capath":                   unsupported("put the authorities into one file, and name it in cafile"),
	"certfile":                 textOfListener("cert_file"),
	"keyfile":                  textOfListener("key_file"),
	"crlfile":                  textOfListener("crl_file"),
	"require_certificate":      requireCertificate,
	"use_identity_as_username": certName("cn"),
	"use_subject_as_username":  certName("subject"),
	"tls_version":              tlsVersion,
	"ciphers":                  needless("only ciphers that are known to be good are offered"),
	"ciphers_tls1.3":           needless("only ciphers that are known to be good are offered"),
	"dhparamfile":              needless("keys are agreed on over elliptic curves"),
	"tls_engine":               unsupported("keys are read from files"),
	"tls_engine_kpass_sha1":    unsupported("keys are read from files"),
	"tls_keyform":              unsupported("keys are read from PEM files"),

	// The process.
	"connection_messages":  needless("connections are logged at the level info"),
	"log_dest":             logDest,
	"log_facility":         needless("the log goes to standard error, from where the supervisor takes it"),
	"log_timestamp":        needless("lines have the time"),
	"log_timestamp_format": needless("times are in RFC 3339"),
	"log_type":             logType,
	"pid_file":             needless("a supervisor knows it: systemctl status barid"),
	"user":                 needless("start it as its user: the systemd unit does"),
}

func needless(note string) take {
	return func(*mosquitto, string) (Verdict, string) { return NotNeeded, note }
}

func unsupported(note string) take {
	return func(*mosquitto, string) (Verdict, string) { return Unsupported, note }
}

// always is a key whose value want is what Barid does.
func always(want, note string) take {
	return func(_ *mosquitto, v string) (Verdict, string) {
		if v == want {
			return NotNeeded, note
		}
		return Unsupported, note
	}
}

func flag(path string) take {
	return func(m *mosquitto, v string) (Verdict, string) {
		on, err := strconv.ParseBool(v)
		if err != nil {
			return Unsupported, fmt.Sprintf("%q is neither true nor false", v)
		}
		set(m.result.Config, path, on)
		return Taken, path
	}
}

func limit(path string) take { return limitAs(path, Taken, "") }

func limitAs(path string, verdict Verdict, note string) take {
	return func(m *mosquitto, v string) (Verdict, string) {
		n, err := number(v)
		if err != nil {
			return Unsupported, err.Error()
		}
		set(m.result.Config, path, n)
		if note != "" {
			return verdict, path + ": " + note
		}
		return verdict, path
	}
}

func ofListener(key string) take {
	return func(m *mosquitto, v string) (Verdict, string) {
		n, err := number(v)
		if err != nil {
			return Unsupported, err.Error()
		}
		m.listener().values[key] = n
		return Taken, key
	}
}

func textOfListener(key string) take {
	return func(m *mosquitto, v string) (Verdict, string) {
		m.listener().values[key] = v
		return Taken, key
	}
}

// fileOf is a file that holds for a listener with per_listener_settings, and for all without.
func fileOf(key, path string) take {
	return func(m *mosquitto, v string) (Verdict, string) {
		if m.perListener {
			m.listener().files[key] = v
			return Changed, path + ": for all listeners"
		}
		set(m.result.Config, path, v)
		return Taken, path + ": the file is read as it is"
	}
}

func allowAnonymous(m *mosquitto, v string) (Verdict, string) {
	on := v == "true"
	if m.perListener {
		m.listener().values["allow_anonymous"] = on
		return Taken, "of the listener"
	}
	m.anonymous = &on
	set(m.result.Config, "auth.allow_anonymous", on)
	return Taken, "auth.allow_anonymous"
}

func perListener(m *mosquitto, v string) (Verdict, string) {
	if m.perListener = v == "true"; m.perListener {
		return Changed, "allow_anonymous is each listener's; there is one password file and one ACL file for all"
	}
	return Taken, ""
}

func persistence(m *mosquitto, v string) (Verdict, string) {
	if v == "true" {
		return Taken, "durability: fsync, the default"
	}
	set(m.result.Config, "durability", "memory")
	return Taken, "durability: memory"
}

func persistenceLocation(m *mosquitto, v string) (Verdict, string) {
	set(m.result.Config, "data_dir", filepath.Join(v, "barid"))
	return Changed, "data_dir is a directory in it; mosquitto.db is not read: barid import retained copies retained messages"
}

func expiration(m *mosquitto, v string) (Verdict, string) {
	seconds, err := duration(v)
	if err != nil {
		return Unsupported, err.Error()
	}
	set(m.result.Config, "session.expiry_v3_seconds", seconds)
	set(m.result.Config, "session.expiry_max_seconds", seconds)
	return Taken, "session.expiry_v3_seconds and session.expiry_max_seconds"
}

func duplicates(m *mosquitto, v string) (Verdict, string) {
	if v == "true" {
		set(m.result.Config, "mqtt.overlap", "each")
		return Taken, "mqtt.overlap: each"
	}
	return NotNeeded, "mqtt.overlap: single, the default"
}

func inFlight(m *mosquitto, v string) (Verdict, string) {
	n, err := number(v)
	if err != nil {
		return Unsupported, err.Error()
	}
	if n == 0 {
		n = 65535
	}
	set(m.result.Config, "session.in_flight_max", n)
	set(m.result.Config, "mqtt.receive_maximum", n)
	return Taken, "session.in_flight_max and mqtt.receive_maximum"
}

// maxPacketBytes is the largest packet of MQTT.
const maxPacketBytes = 268435460

func packetSize(verdict Verdict, note string) take {
	return func(m *mosquitto, v string) (Verdict, string) {
		n, err := number(v)
		if err != nil {
			return Unsupported, err.Error()
		}
		if n == 0 || n > maxPacketBytes {
			n = maxPacketBytes
		}
		set(m.result.Config, "mqtt.max_packet_bytes", n)
		return verdict, strings.TrimSuffix("mqtt.max_packet_bytes: "+note, ": ")
	}
}

func maxQoS(m *mosquitto, v string) (Verdict, string) {
	n, err := number(v)
	if err != nil || n > 2 {
		return Unsupported, fmt.Sprintf("%q is none of 0, 1, 2", v)
	}
	set(m.result.Config, "mqtt.max_qos", n)
	return Changed, "mqtt.max_qos: of all listeners"
}

func listen(m *mosquitto, v string) (Verdict, string) {
	port, host, _ := strings.Cut(v, " ")
	l := newListener(port, strings.TrimSpace(host))
	if strings.HasPrefix(l.host, "/") {
		l.unix, l.host = l.host, ""
	}
	m.listeners = append(m.listeners, l)
	m.bridge = ""
	return Taken, ""
}

func protocol(m *mosquitto, v string) (Verdict, string) {
	switch v {
	case "mqtt":
	case "websockets":
		m.listener().websockets = true
	default:
		return Unsupported, fmt.Sprintf("%q is neither mqtt nor websockets", v)
	}
	return Taken, ""
}

func requireCertificate(m *mosquitto, v string) (Verdict, string) {
	m.listener().requireCA = v == "true"
	return Taken, "require_client_cert"
}

func certName(name string) take {
	return func(m *mosquitto, v string) (Verdict, string) {
		if v == "true" {
			m.listener().values["cert_username"] = name
		}
		return Taken, "cert_username: " + name
	}
}

func tlsVersion(m *mosquitto, v string) (Verdict, string) {
	switch v {
	case "tlsv1.3":
		m.listener().values["tls_min_version"] = "1.3"
		return Taken, "tls_min_version"
	case "tlsv1.2":
		return Taken, "tls_min_version: 1.2, the default"
	}
	return Changed, "tls_min_version: 1.2 is the least there is"
}

func logDest(_ *mosquitto, v string) (Verdict, string) {
	if v == "stderr" {
		return Taken, ""
	}
	return Changed, "the log goes to standard error, from where the supervisor takes it"
}

func logType(m *mosquitto, v string) (Verdict, string) {
	if v == "all" || v == "debug" {
		set(m.result.Config, "logging.level", "debug")
		return Taken, "logging.level: debug"
	}
	return Changed, "logging.level: everything from info on is logged"
}

// namePlugin takes note of a plugin: the dynamic security plugin's file can be turned into users and rules.
func namePlugin(m *mosquitto, v string) (Verdict, string) {
	m.plugin = v
	if m.isDynamicSecurity() {
		return Changed, "its users and rules become a password file and an ACL file"
	}
	return Unsupported, "plugins of Mosquitto do not run here; see auth.http and auth.jwt"
}

func (m *mosquitto) isDynamicSecurity() bool {
	return strings.Contains(filepath.Base(m.plugin), "dynamic_security")
}

func (m *mosquitto) pluginOption(key, value string) (Verdict, string) {
	if m.isDynamicSecurity() && strings.HasSuffix(key, "_config_file") {
		m.security = value
		return Changed, "users and rules as of now; changes that are made there later do not come over"
	}
	return Unsupported, "an option of a plugin"
}

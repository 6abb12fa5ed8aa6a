package migrate

import (
	"fmt"
	"net"
	"strings"
)

// takeEMQX is what is done with a key's value.
type takeEMQX func(m *emqx, value string) (Verdict, string)

// emqxKeys are the keys of EMQX's configuration that are taken one by one.
var emqxKeys = map[string]takeEMQX{
	"mqtt.max_packet_size":              eBytes("mqtt.max_packet_bytes"),
	"mqtt.max_clientid_len":             eLimit("mqtt.max_client_id_bytes"),
	"mqtt.max_topic_levels":             eLimit("mqtt.max_topic_levels"),
	"mqtt.max_topic_alias":              eLimit("mqtt.topic_alias_maximum"),
	"mqtt.max_qos_allowed":              eLimit("mqtt.max_qos"),
	"mqtt.max_subscriptions":            eLimit("mqtt.max_subscriptions_per_session"),
	"mqtt.retain_available":             eFlag("mqtt.retain_available"),
	"mqtt.wildcard_subscription":        eFlag("mqtt.wildcard_available"),
	"mqtt.shared_subscription":          eFlag("mqtt.shared_available"),
	"mqtt.exclusive_subscription":       eFlag("mqtt.exclusive_available"),
	"mqtt.shared_subscription_strategy": eText("mqtt.shared_strategy"),
	"mqtt.max_inflight":                 eInFlight,
	"mqtt.max_mqueue_len":               eLimit("session.queue_max_messages"),
	"mqtt.mqueue_store_qos0":            eFlag("session.queue_qos0"),
	"mqtt.session_expiry_interval":      eExpiry,
	"mqtt.idle_timeout":                 eSeconds("mqtt.connect_timeout_seconds", 1, 3600),
	"mqtt.server_keepalive":             eKeepAlive,
	"mqtt.peer_cert_as_username":        eCertUser,
	"mqtt.max_awaiting_rel":             eNeedless("mqtt.receive_maximum bounds them"),
	"mqtt.await_rel_timeout":            eNeedless("a message of QoS 2 waits for its release as long as its session lives"),
	"mqtt.retry_interval":               eNeedless("messages are sent again when the client comes back, and only then, as MQTT 5 says"),
	"mqtt.strict_mode":                  eNeedless("a malformed packet always ends the connection"),
	"mqtt.keepalive_backoff":            eNeedless("it is of no effect there"),
	"mqtt.keepalive_check_interval":     eNeedless("clients are looked at when their time is over"),
	"mqtt.mqueue_default_priority":      eNeedless("there are no priorities"),
	"mqtt.mqueue_priorities":            eUnless("disabled", "a session's messages keep their order"),
	"mqtt.keepalive_multiplier":         eUnless("1.5", "a client is gone after one and a half times its keep alive, as MQTT says"),
	"mqtt.upgrade_qos":                  eUnless("false", "a message has the lower of its own QoS and its subscription's, as the standard says"),
	"mqtt.ignore_loop_deliver":          eUnless("false", "No Local is an option of MQTT 5's subscriptions"),
	"mqtt.use_username_as_clientid":     eUnless("false", "only a certificate's name can be the client id: cert_client_id"),
	"mqtt.peer_cert_as_clientid":        eUnless("disabled", "set cert_client_id of the listener, with cert_username"),
	"mqtt.response_information":         eUnless("", "there is no response information"),
	"mqtt.message_expiry_interval":      eUnless("infinity", "a message expires when its publisher says so, or session.queue_max_seconds in a queue"),

	"retainer.enable":                        eFlag("mqtt.retain_available"),
	"retainer.max_payload_size":              eNeedless("mqtt.max_packet_bytes bounds all messages"),
	"retainer.msg_expiry_interval":           eZero("a retained message expires when its publisher says so"),
	"retainer.msg_clear_interval":            eNeedless("what has expired is removed as it does"),
	"retainer.stop_publish_clear_msg":        eUnless("false", "an empty retained message is delivered, as the standard says"),
	"retainer.backend.max_retained_messages": eLimit("limits.max_retained_messages"),
	"retainer.backend.storage_type":          eNeedless("retained messages are in memory and on disk"),
	"retainer.backend.type":                  eNeedless(""),
	"retainer.backend.enable":                eNeedless(""),

	"delayed.enable":               eFlag("mqtt.delayed_available"),
	"delayed.max_delayed_messages": eNeedless("a million at most, and 256 MiB"),

	"authorization.no_match":    eNoMatch,
	"authorization.deny_action": eDenyAction,

	"sys_topics.sys_msg_interval": eSeconds("mqtt.sys_interval_seconds", 1, 86400),
	"log.console.level":           eLogLevel,
	"log.console.formatter":       eLogFormat,

	"dashboard.listeners.http.bind": eDashboard,
}

// emqxPrefixes are the keys of which nothing is taken, by what they begin with.
var emqxPrefixes = map[string]struct {
	verdict Verdict
	note    string
}{
	"authorization.cache":     {NotNeeded, "permissions are remembered, and forgotten when rules change"},
	"authorization.node_cach": {NotNeeded, "permissions are remembered, and forgotten when rules change"},
	"retainer.backend.index":  {NotNeeded, "topics are in order"},
	"retainer.flow_control":   {NotNeeded, "a client gets retained messages as fast as it takes them"},
	"sys_topics.":             {NotNeeded, "the $SYS topics have Mosquitto's names; connections are in the log"},
	"log.":                    {NotNeeded, "the log goes to standard error, from where the supervisor takes it"},
	"dashboard.":              {Unsupported, "the dashboard is on api.bind, and its settings are those of api"},
	"mqtt.client_attrs_init":  {Unsupported, "clients have no attributes"},
	"mqtt.clientid_override":  {Unsupported, "clients name themselves"},
}

// emqxRoots are the objects of which nothing is taken, by their names.
var emqxRoots = map[string]string{
	"rule_engine": noRules, "actions": noRules, "connectors": noRules, "bridges": noRules, "sources": noRules,
	"schema_registry": noRules, "schema_validation": noRules, "message_transformation": noRules, "ai": noRules,
	"gateway":       "there are no gateways: clients speak MQTT",
	"exhook":        "there are no hooks; see auth.http, and consumers over HTTP",
	"rewrite":       "topics are not rewritten",
	"cluster":       "there is one node",
	"node":          "there is one node",
	"rpc":           "there is one node",
	"prometheus":    "metrics are read at /metrics, where EMQX's names are served too; nothing is pushed",
	"opentelemetry": "set tracing.otlp_endpoint", "telemetry": "nothing is reported to anybody",
	"auto_subscribe": "nobody is subscribed without asking", "slow_subs": "the metrics say how long deliveries take",
	"topic_metrics": "see the streams and traces", "psk_authentication": "there is no TLS with pre-shared keys; use certificates: barid certs",
	"limiter": "rates are limits.client, limits.user, limits.listener and limits.total", "zones": "there are no zones",
	"sysmon": "see the alarms", "alarm": "alarms are raised by limits of their own", "force_gc": "memory is looked after otherwise",
	"force_shutdown": "limits.memory_max_bytes bounds what clients hold", "conn_congestion": "see session.queue_max_bytes",
	"durable_sessions": "sessions are on disk (durability: fsync)", "durable_storage": "sessions are on disk (durability: fsync)",
	"broker": "the strategy of shared subscriptions is mqtt.shared_strategy", "crl_cache": "revoked certificates are in a file: crl_file",
	"api_key": "keys are made by barid ctl keys create", "plugins": "there are no plugins", "license": "Barid needs none",
	"file_transfer": "files are not transferred", "multi_tenancy": "there are no namespaces",
}

const noRules = "there is no integration of data: consumers and streams over HTTP are where programs take messages"

func eNeedless(note string) takeEMQX {
	return func(*emqx, string) (Verdict, string) { return NotNeeded, note }
}

// eUnless is a key whose value want is what Barid does.
func eUnless(want, note string) takeEMQX {
	return func(_ *emqx, v string) (Verdict, string) {
		if v == want {
			return NotNeeded, ""
		}
		return Unsupported, note
	}
}

// eZero is a time that Barid has as none.
func eZero(note string) takeEMQX {
	return func(_ *emqx, v string) (Verdict, string) {
		if d, err := hoconDuration(v); err == nil && d == 0 {
			return NotNeeded, ""
		}
		return Unsupported, note
	}
}

func eLimit(path string) takeEMQX {
	return func(m *emqx, v string) (Verdict, string) { return limitOf(m.result.Config, path, v) }
}

func eFlag(path string) takeEMQX {
	return func(m *emqx, v string) (Verdict, string) {
		if v != "true" && v != "false" {
			return Unsupported, fmt.Sprintf("%q is neither true nor false", v)
		}
		set(m.result.Config, path, v == "true")
		return Taken, path
	}
}

func eText(path string) takeEMQX {
	return func(m *emqx, v string) (Verdict, string) {
		set(m.result.Config, path, v)
		return Taken, path
	}
}

func eBytes(path string) takeEMQX {
	return func(m *emqx, v string) (Verdict, string) {
		n, err := hoconBytes(v)
		if err != nil {
			return Unsupported, err.Error()
		}
		if n == 0 || n > maxPacketBytes {
			n = maxPacketBytes
		}
		set(m.result.Config, path, n)
		return Taken, path
	}
}

func eSeconds(path string, least, most int64) takeEMQX {
	return func(m *emqx, v string) (Verdict, string) {
		d, err := hoconDuration(v)
		if err != nil {
			return Unsupported, err.Error()
		}
		set(m.result.Config, path, min(max(int64(d.Seconds()), least), most))
		return Taken, path
	}
}

func eInFlight(m *emqx, v string) (Verdict, string) {
	n, err := number(v)
	if err != nil || n < 1 || n > 65535 {
		return Unsupported, fmt.Sprintf("%q is no number from 1 to 65535", v)
	}
	set(m.result.Config, "session.in_flight_max", n)
	set(m.result.Config, "mqtt.receive_maximum", n)
	return Taken, "session.in_flight_max and mqtt.receive_maximum"
}

func eExpiry(m *emqx, v string) (Verdict, string) {
	d, err := hoconDuration(v)
	if err != nil {
		return Unsupported, err.Error()
	}
	set(m.result.Config, "session.expiry_v3_seconds", int64(d.Seconds()))
	return Changed, "session.expiry_v3_seconds; those of version 5 say it themselves, up to session.expiry_max_seconds"
}

func eKeepAlive(m *emqx, v string) (Verdict, string) {
	if v == "disabled" {
		return NotNeeded, ""
	}
	if n, err := number(v); err == nil && n <= 65535 {
		set(m.result.Config, "mqtt.keep_alive_max_seconds", n)
		return Changed, "mqtt.keep_alive_max_seconds: the longest, not everybody's"
	}
	return Unsupported, fmt.Sprintf("%q is neither disabled nor seconds", v)
}

func eCertUser(m *emqx, v string) (Verdict, string) {
	name, ok := map[string]string{"disabled": "", "cn": "cn", "dn": "subject"}[v]
	if !ok {
		return Unsupported, "the username is a name in the certificate: cert_username"
	}
	m.certUser = name
	for _, l := range m.listeners {
		if l["cert_file"] != nil && name != "" {
			l["cert_username"] = name
		}
	}
	if name == "" {
		return NotNeeded, ""
	}
	return Taken, "cert_username of listeners with TLS"
}

func eNoMatch(m *emqx, v string) (Verdict, string) {
	if v != "allow" && v != "deny" {
		return Unsupported, fmt.Sprintf("%q is neither allow nor deny", v)
	}
	m.noMatch = v
	return Taken, "auth.no_match"
}

func eDenyAction(m *emqx, v string) (Verdict, string) {
	if v == "disconnect" {
		set(m.result.Config, "auth.deny_action", "disconnect")
		return Taken, "auth.deny_action"
	}
	return Taken, "auth.deny_action: ack_and_drop, the default"
}

func eLogLevel(m *emqx, v string) (Verdict, string) {
	level, ok := map[string]string{"debug": "debug", "info": "info", "notice": "info", "warning": "warn"}[v]
	if !ok {
		level = "error"
	}
	set(m.result.Config, "logging.level", level)
	return Taken, "logging.level: " + level
}

func eLogFormat(m *emqx, v string) (Verdict, string) {
	if v == "json" {
		set(m.result.Config, "logging.format", "json")
	}
	return Taken, "logging.format"
}

func eDashboard(m *emqx, v string) (Verdict, string) {
	bind := bindOf(v)
	if host, _, err := net.SplitHostPort(bind); err != nil || strings.TrimSpace(host) == "" {
		return Unsupported, fmt.Sprintf("%q is no address", v)
	}
	set(m.result.Config, "api.bind", bind)
	return Taken, "api.bind"
}

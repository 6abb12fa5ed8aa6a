package migrate

import (
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// emqxTypes are our types of listeners by EMQX's.
var emqxTypes = map[string]string{"tcp": "tcp", "ssl": "tls", "ws": "ws", "wss": "wss"}

// listener takes a listener: path is its type and name.
func (m *emqx) listener(g *group, path []string) {
	say := func(v Verdict, note string) { m.report(clusterFile, g.line, g.name, v, note) }
	if len(path) < 2 {
		say(Unsupported, "this is no listener")
		return
	}
	kind, ok := emqxTypes[path[0]]
	name := strings.Join(path, ":")
	m.off[name] = true // those that EMQX has by default are not added
	switch {
	case !ok:
		say(Unsupported, "there are no listeners of the type "+path[0])
		return
	case g.values["enable"] == "false" || g.values["enabled"] == "false":
		say(NotNeeded, "it is off")
		return
	}
	l := map[string]any{"type": kind}
	m.listeners[ourName(path)] = l
	say(Taken, "listeners."+ourName(path))
	for _, key := range g.keys {
		v, note := m.listenerKey(l, g, key, g.values[key])
		if v != NotNeeded {
			m.report(clusterFile, g.lines[key], shown(g.name+"."+key, g.values[key]), v, note)
		}
	}
	if l["bind"] == nil {
		l["bind"] = "0.0.0.0:" + map[string]string{"tcp": "1883", "tls": "8883", "ws": "8083", "wss": "8084"}[kind]
	}
	if (kind == "tls" || kind == "wss") && (l["cert_file"] == nil || l["key_file"] == nil) {
		delete(m.listeners, ourName(path))
		say(Unsupported, "its certificate or key is in EMQX's own files, not in the export: add the listener by hand")
	}
}

// ourName is tcp for tcp.default, and tcp-name else.
func ourName(path []string) string {
	kind := emqxTypes[path[0]]
	if path[1] == "default" {
		return kind
	}
	return kind + "-" + notOfNames.ReplaceAllString(path[1], "-")
}

var notOfNames = regexp.MustCompile(`[^a-zA-Z0-9_-]`)

// addDefaultListeners adds what EMQX has without being told.
func (m *emqx) addDefaultListeners() {
	for name, port := range map[string]string{"tcp:default": "1883", "ws:default": "8083"} {
		if kind, _, _ := strings.Cut(name, ":"); !m.off[name] {
			m.listeners[kind] = map[string]any{"type": kind, "bind": "0.0.0.0:" + port}
		}
	}
	for _, name := range []string{"ssl:default", "wss:default"} {
		if !m.off[name] {
			m.note("EMQX's listener %s is not taken: its certificate is not in the export (barid certs makes one to try)", name)
		}
	}
}

// listenerKey takes a key of a listener.
func (m *emqx) listenerKey(l map[string]any, g *group, key, value string) (Verdict, string) {
	switch key {
	case "bind":
		l["bind"] = bindOf(value)
		return Taken, ""
	case "max_connections":
		return limitOf(l, "max_connections", value)
	case "max_conn_rate":
		return rateOf(l, "accept_rate_per_second", value)
	case "mountpoint":
		if strings.Contains(value, "${") {
			return Unsupported, "a mount point is the same for all clients here"
		}
		if value != "" {
			l["mount_point"] = value
		}
		return Taken, ""
	case "proxy_protocol":
		l["proxy_protocol"] = value == "true"
		return Taken, ""
	case "enable_authn":
		if value == "false" {
			l["allow_anonymous"] = true
		}
		return Taken, ""
	case "websocket.mqtt_path":
		l["path"] = value
		return Taken, ""
	case "access_rules.0":
		if value == "allow all" {
			return NotNeeded, ""
		}
		return Unsupported, "addresses are not told apart here: a ban of the kind peerhost_net keeps a network out"
	case "authentication", "authentication.0.mechanism":
		return Unsupported, "who may connect is the same on all listeners"
	}
	if rest, ok := strings.CutPrefix(key, "ssl_options."); ok {
		return m.tlsKey(l, g, rest, value)
	}
	for _, prefix := range []string{"tcp_options.", "websocket.", "acceptors", "enable", "zone", "id", "type", "proxy_protocol_timeout", "current_connections", "authentication.", "running"} {
		if strings.HasPrefix(key, prefix) {
			return NotNeeded, ""
		}
	}
	return Unsupported, "not a key of a listener that is known here"
}

// tlsKey takes a key of a listener's ssl_options.
func (m *emqx) tlsKey(l map[string]any, g *group, key, value string) (Verdict, string) {
	file := map[string]string{"certfile": "cert_file", "keyfile": "key_file", "cacertfile": "client_ca_file"}[key]
	switch {
	case file != "":
		if key == "cacertfile" && g.values["ssl_options.verify"] != "verify_peer" {
			return NotNeeded, ""
		}
		name, ok := m.pem(strings.ReplaceAll(g.name, ".", "-")+"-"+key+".pem", value)
		if !ok {
			return Unsupported, "the file " + value + " is not in the export"
		}
		l[file] = name
		if key == "certfile" && m.certUser != "" {
			l["cert_username"] = m.certUser
		}
		return Taken, file
	case key == "fail_if_no_peer_cert":
		if value == "true" && g.values["ssl_options.verify"] == "verify_peer" {
			l["require_client_cert"] = true
		}
		return Taken, ""
	case key == "versions.0":
		if value == "tlsv1.3" && g.values["ssl_options.versions.1"] == "" {
			l["tls_min_version"] = "1.3"
		}
		return Taken, ""
	case key == "enable_crl_check" && value == "true":
		return Unsupported, "name a file of revoked certificates: crl_file"
	case key == "ocsp.enable_ocsp_stapling" && value == "true":
		return Unsupported, "answers of OCSP are not sent along"
	case key == "partial_chain" && value != "false", key == "verify_peer_ext_key_usage", key == "password":
		return Unsupported, "TLS has no such setting here"
	}
	return NotNeeded, ""
}

// pem puts a certificate or key that stands in the configuration into a file of its own; a name of a file is left as it is.
func (m *emqx) pem(name, value string) (file string, ok bool) {
	if strings.Contains(value, "-----BEGIN ") {
		m.result.Files[name] = []byte(strings.TrimRight(value, "\n") + "\n")
		return filepath.Join(m.dir, name), true
	}
	return value, filepath.IsAbs(value)
}

// bindOf is an address as ours has it: EMQX also takes a port alone, which is one of all addresses.
func bindOf(value string) string {
	if _, err := strconv.Atoi(value); err == nil {
		return net.JoinHostPort("0.0.0.0", value)
	}
	if strings.HasPrefix(value, ":") {
		return "0.0.0.0" + value
	}
	return value
}

package migrate

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Mosquitto reads a mosquitto.conf and what it includes. Files that have to be made are for the directory dir.
func Mosquitto(path, dir string) (*Result, error) {
	m := &mosquitto{
		result:    &Result{Config: map[string]any{}, Files: map[string][]byte{}},
		listeners: []*listener{newListener("", "")},
		seen:      map[string]bool{},
		dir:       dir,
	}
	if err := m.file(path); err != nil {
		return nil, err
	}
	if err := m.dynamicSecurity(); err != nil {
		return nil, err
	}
	m.finish()
	return m.result, nil
}

// mosquitto is an import under way.
type mosquitto struct {
	result      *Result
	listeners   []*listener     // the first is the one without a listener line; lines are about the last
	perListener bool            // per_listener_settings
	bridge      string          // the connection that lines are about; empty: none
	seen        map[string]bool // keys
	dir         string          // where files that have to be made will be
	anonymous   *bool
	security    string // file of the dynamic security plugin
	plugin      string // the last plugin that was named
}

// listener is one of mosquitto.conf.
type listener struct {
	port, host string
	unix       string
	domain     string // ipv4, ipv6
	websockets bool
	requireCA  bool
	cafile     string
	files      map[string]string // password_file and acl_file of its own
	values     map[string]any
}

func newListener(port, host string) *listener {
	return &listener{port: port, host: host, files: map[string]string{}, values: map[string]any{}}
}

func (m *mosquitto) listener() *listener { return m.listeners[len(m.listeners)-1] }

// file reads a file line by line.
func (m *mosquitto) file(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, _ := strings.Cut(line, " ")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if key == "include_dir" {
			m.report(path, n, line, Taken, "")
			if err := m.include(value); err != nil {
				return fmt.Errorf("%s:%d: %w", path, n, err)
			}
			continue
		}
		v, note := m.line(key, value)
		m.report(path, n, line, v, note)
	}
	return nil
}

func (m *mosquitto) report(file string, n int, text string, v Verdict, note string) {
	if key, value, ok := strings.Cut(text, " "); ok && secret(key) && value != "" {
		text = key + " …"
	}
	m.result.Lines = append(m.result.Lines, Line{File: file, Number: n, Text: text, Verdict: v, Note: note})
}

// secret reports whether a key's value is not for others to read.
func secret(key string) bool {
	return strings.Contains(key, "password") && key != "password_file" || strings.HasSuffix(key, "_psk")
}

// include reads the .conf files of a directory in the order of their names, capital letters first, as Mosquitto does.
func (m *mosquitto) include(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.conf"))
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	slices.Sort(files)
	for _, f := range files {
		if err := m.file(f); err != nil {
			return err
		}
	}
	return nil
}

// line takes one line and says what became of it.
func (m *mosquitto) line(key, value string) (Verdict, string) {
	if key == "connection" {
		m.bridge = value
	}
	if m.bridge != "" && bridgeKey(key) {
		return Unsupported, "Barid has no bridges yet: the connection " + m.bridge + " is left out"
	}
	m.seen[key] = true
	take, ok := mosquittoKeys[key]
	switch {
	case ok:
		return take(m, value)
	case strings.HasPrefix(key, "plugin_opt_"), strings.HasPrefix(key, "auth_opt_"):
		return m.pluginOption(key, value)
	}
	return Unsupported, "not a key of mosquitto.conf that is known here"
}

// bridgeKey reports whether a line belongs to a connection rather than to the broker.
func bridgeKey(key string) bool {
	if strings.HasPrefix(key, "bridge_") || strings.HasPrefix(key, "remote_") || strings.HasPrefix(key, "local_") ||
		strings.HasPrefix(key, "notification") {
		return true
	}
	switch key {
	case "connection", "address", "addresses", "topic", "cleansession", "clientid", "username", "password", "idle_timeout",
		"keepalive_interval", "restart_timeout", "round_robin", "start_type", "threshold", "try_private":
		return true
	}
	return false
}

// finish makes the listeners and what depends on several lines.
func (m *mosquitto) finish() {
	open, anonymous := m.listeners[1:], false // what Mosquitto does without allow_anonymous
	switch l := m.listeners[0]; {
	case l.port != "" || l.host != "":
		open = m.listeners
	case len(open) == 0:
		l.port, l.host = "1883", "127.0.0.1"
		open, anonymous = m.listeners, true
		m.note("without a listener Mosquitto serves this machine only, and so does this")
	}
	if m.anonymous == nil && !m.perListener && !anonymous {
		set(m.result.Config, "auth.allow_anonymous", false)
		m.note("clients without credentials are refused, as by Mosquitto without allow_anonymous")
	}
	listeners := map[string]any{}
	for _, l := range open {
		l.finish()
		if m.perListener && l.values["allow_anonymous"] == nil {
			l.values["allow_anonymous"] = anonymous
		}
		name := l.kind()
		for listeners[name] != nil {
			name += "-" + l.port
		}
		listeners[name] = l.values
	}
	m.result.Config["listeners"] = listeners
	if m.perListener {
		m.perListenerFiles(open)
	}
	m.defaults()
}

func (m *mosquitto) note(text string) { m.result.Notes = append(m.result.Notes, text) }

// defaults says where Barid's defaults differ from Mosquitto's in ways that are felt.
func (m *mosquitto) defaults() {
	for key, text := range map[string]string{
		"persistence":                  "sessions, retained messages and what is queued are on disk (durability: fsync); Mosquitto keeps them in memory by default",
		"max_queued_messages":          "what waits for a client is bounded by bytes (session.queue_max_bytes), not by 1000 messages",
		"max_inflight_messages":        "a client has up to 1024 messages in flight (session.in_flight_max), not 20",
		"persistent_client_expiration": "a session ends 7 days after its connection did (session.expiry_max_seconds), not never",
	} {
		if !m.seen[key] {
			m.note(text)
		}
	}
	slices.Sort(m.result.Notes)
}

// perListenerFiles finds the one password file and the one ACL file there can be.
func (m *mosquitto) perListenerFiles(all []*listener) {
	for key, path := range map[string]string{"password_file": "auth.password_file", "acl_file": "auth.acl_file"} {
		found := ""
		for _, l := range all {
			switch f := l.files[key]; {
			case f == "":
				if key == "acl_file" && m.seen[key] {
					m.note("acl_file holds for all listeners, also for " + l.address() + ", which has none in mosquitto.conf")
				}
			case found == "":
				found = f
				set(m.result.Config, path, f)
			case f != found:
				m.note(fmt.Sprintf("%s: Barid has one for all listeners: %s is taken, %s is not", key, found, f))
			}
		}
	}
}

func (l *listener) kind() string {
	tls := l.values["cert_file"] != nil
	switch {
	case l.unix != "":
		return "unix"
	case l.websockets && tls:
		return "wss"
	case l.websockets:
		return "ws"
	case tls:
		return "tls"
	}
	return "tcp"
}

func (l *listener) address() string {
	if l.unix != "" {
		return l.unix
	}
	host := l.host
	if host == "" {
		host = map[string]string{"": "::", "ipv6": "::", "ipv4": "0.0.0.0"}[l.domain]
	}
	port := l.port
	if port == "" {
		port = "1883"
	}
	return net.JoinHostPort(host, port)
}

func (l *listener) finish() {
	l.values["type"], l.values["bind"] = l.kind(), l.address()
	if l.websockets {
		l.values["path"] = "*"
	}
	if l.requireCA && l.cafile != "" {
		l.values["client_ca_file"], l.values["require_client_cert"] = l.cafile, true
	}
}

// number reads what may stand for no limit, which is 0 here.
func number(value string) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no number", value)
	}
	return max(n, 0), nil
}

// duration reads 2h, 14d, 3w, 1m (a month) or 1y, as persistent_client_expiration has it, in seconds.
func duration(value string) (int64, error) {
	const day = 24 * 3600
	units := map[byte]int64{'h': 3600, 'd': day, 'w': 7 * day, 'm': 30 * day, 'y': 365 * day}
	if value == "" || units[value[len(value)-1]] == 0 {
		return 0, fmt.Errorf("%q is none of 2h, 14d, 3w, 1m, 1y", value)
	}
	n, err := number(value[:len(value)-1])
	return n * units[value[len(value)-1]], err
}

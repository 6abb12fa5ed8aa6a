package migrate

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// imported imports a mosquitto.conf and returns the configuration as YAML.
func imported(t *testing.T, text string) (*Result, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mosquitto.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Mosquitto(path, "/made")
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.YAML("a comment")
	if err != nil || !strings.HasPrefix(string(out), "# a comment\n") {
		t.Fatalf("%v %s", err, out)
	}
	return r, strings.TrimPrefix(string(out), "# a comment\n")
}

func TestWhatLinesBecome(t *testing.T) {
	const local = "listeners:\n  tcp:\n    bind: 127.0.0.1:1883\n    type: tcp\n"
	for _, tt := range []struct {
		text    string
		verdict Verdict // of the last line
		want    string  // the YAML, without the listener there always is
	}{
		{"max_queued_messages 7", Taken, "session:\n  queue_max_messages: 7\n"},
		{"max_queued_bytes 0", Taken, "session:\n  queue_max_bytes: 0\n"},
		{"queue_qos0_messages true", Taken, "session:\n  queue_qos0: true\n"},
		{"max_inflight_messages 0", Taken, "mqtt:\n  receive_maximum: 65535\nsession:\n  in_flight_max: 65535\n"},
		{"persistent_client_expiration 2h", Taken, "session:\n  expiry_max_seconds: 7200\n  expiry_v3_seconds: 7200\n"},
		{"persistent_client_expiration 2x", Unsupported, ""},
		{"persistence false", Taken, "durability: memory\n"},
		{"persistence true", Taken, ""},
		{"persistence_location /var/lib/mosquitto", Changed, "data_dir: /var/lib/mosquitto/barid\n"},
		{"autosave_interval 60", NotNeeded, ""},
		{"message_size_limit 100", Changed, "mqtt:\n  max_packet_bytes: 100\n"},
		{"max_packet_size 0", Taken, "mqtt:\n  max_packet_bytes: 268435460\n"},
		{"max_keepalive 60", Taken, "mqtt:\n  keep_alive_max_seconds: 60\n"},
		{"max_topic_alias many", Unsupported, ""},
		{"allow_duplicate_messages true", Taken, "mqtt:\n  overlap: each\n"},
		{"retain_available false", Taken, "mqtt:\n  retain_available: false\n"},
		{"retain_available maybe", Unsupported, ""},
		{"allow_anonymous true", Taken, "auth:\n  allow_anonymous: true\n"},
		{"allow_zero_length_clientid false", Unsupported, ""},
		{"password_file /etc/users", Taken, "auth:\n  password_file: /etc/users\n"},
		{"log_type all", Taken, "logging:\n  level: debug\n"},
		{"psk_file /etc/psk", Unsupported, ""},
		{"auth_plugin /x.so", Unsupported, ""},
		{"auth_opt_file x", Unsupported, ""},
		{"no_such_key x", Unsupported, ""},
		{"connection cloud\ncleansession true", Unsupported, ""},
	} {
		r, out := imported(t, "# a comment\n\n"+tt.text+"\n")
		if got := strings.Replace(out, local, "", 1); strings.TrimSpace(got) != strings.TrimSpace(tt.want) && !(tt.want == "" && got == "") {
			t.Errorf("%q became\n%s, not\n%s", tt.text, got, tt.want)
		}
		if last := r.Lines[len(r.Lines)-1]; last.Verdict != tt.verdict {
			t.Errorf("%q: %s (%s), not %s", tt.text, last.Verdict, last.Note, tt.verdict)
		}
	}
}

func TestListeners(t *testing.T) {
	for text, want := range map[string]string{
		"port 1884":                                                       "tcp: {bind: '[::]:1884', type: tcp}",
		"port 1884\nbind_address 10.0.0.1":                                "tcp: {bind: 10.0.0.1:1884, type: tcp}",
		"listener 1884\nsocket_domain ipv4":                               "tcp: {bind: 0.0.0.0:1884, type: tcp}",
		"listener 0 /run/m.sock":                                          "unix: {bind: /run/m.sock, type: unix}",
		"listener 1883\nmax_connections -1":                               "tcp: {bind: '[::]:1883', max_connections: 0, type: tcp}",
		"listener 9001\nprotocol websockets":                              "ws: {bind: '[::]:9001', path: '*', type: ws}",
		"listener 1883\nlistener 1884":                                    "tcp: {bind: '[::]:1883', type: tcp}\ntcp-1884: {bind: '[::]:1884', type: tcp}",
		"listener 8883\ncafile ca\ncertfile c\nkeyfile k\nmount_point x/": "tls: {bind: '[::]:8883', cert_file: c, key_file: k, mount_point: x/, type: tls}",
		"listener 8883\ncafile ca\ncertfile c\nkeyfile k\nrequire_certificate true\ncrlfile r\nuse_subject_as_username true\ntls_version tlsv1.3": "tls: {bind: '[::]:8883', cert_file: c, cert_username: subject, client_ca_file: ca, crl_file: r, key_file: k, require_client_cert: true, tls_min_version: '1.3', type: tls}",
		"listener 8084\nprotocol websockets\ncertfile c\nkeyfile k":                                                                               "wss: {bind: '[::]:8084', cert_file: c, key_file: k, path: '*', type: wss}",
	} {
		r, _ := imported(t, text)
		var expected any
		if err := yaml.Unmarshal([]byte(want), &expected); err != nil {
			t.Fatal(err)
		}
		got, _ := yaml.Marshal(r.Config["listeners"])
		if same, _ := yaml.Marshal(expected); string(got) != string(same) {
			t.Errorf("%q became\n%s", text, got)
		}
		if _, out := imported(t, text); !strings.Contains(out, "allow_anonymous: false") {
			t.Errorf("%q lets anybody in:\n%s", text, out)
		}
	}
}

func TestSettingsOfListeners(t *testing.T) {
	r, out := imported(t, `per_listener_settings true
listener 1883
allow_anonymous true
listener 1884
password_file /etc/users
acl_file /etc/acl
listener 1885
password_file /etc/others
`)
	for _, want := range []string{"password_file: /etc/users", "acl_file: /etc/acl"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Count(out, "allow_anonymous: false") != 2 || strings.Count(out, "allow_anonymous: true") != 1 {
		t.Errorf("who may come without a name:\n%s", out)
	}
	notes := strings.Join(r.Notes, "\n")
	if !strings.Contains(notes, "/etc/others is not") || !strings.Contains(notes, "[::]:1883, which has none") {
		t.Errorf("not said: what does not hold for each listener\n%s", notes)
	}
}

func TestIncludedFilesAndSecrets(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"b.conf": "listener 1885", "A.conf": "listener 1884", "c.txt": "port 1"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, _ := imported(t, "include_dir "+dir+"\nconnection c\nremote_password hunter2\n")
	var texts []string
	for _, l := range r.Lines {
		texts = append(texts, filepath.Base(l.File)+" "+l.Text)
	}
	want := []string{"mosquitto.conf include_dir " + dir, "A.conf listener 1884", "b.conf listener 1885", "mosquitto.conf connection c", "mosquitto.conf remote_password …"}
	if !slices.Equal(texts, want) {
		t.Errorf("lines: %q", texts)
	}
	if _, err := Mosquitto(filepath.Join(dir, "missing"), "."); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// Each key of the manual is known, so that nobody is told of a typing error that is none.
func TestEveryKeyOfTheManualIsKnown(t *testing.T) {
	for key := range strings.FieldsSeq(`acl_file allow_anonymous allow_duplicate_messages allow_zero_length_clientid auth_plugin
		auth_plugin_deny_special_chars auto_id_prefix autosave_interval autosave_on_changes bind_address bind_interface cafile
		capath certfile check_retain_source ciphers ciphers_tls1.3 clientid_prefixes connection_messages crlfile dhparamfile
		global_plugin http_dir keyfile listener log_dest log_facility log_timestamp log_timestamp_format log_type max_connections
		max_inflight_bytes max_inflight_messages max_keepalive max_packet_size max_qos max_queued_bytes max_queued_messages
		max_topic_alias memory_limit message_size_limit mount_point password_file per_listener_settings persistence
		persistence_file persistence_location persistent_client_expiration pid_file plugin port protocol psk_file psk_hint
		queue_qos0_messages require_certificate retain_available set_tcp_nodelay socket_domain sys_interval tls_engine
		tls_engine_kpass_sha1 tls_keyform tls_version upgrade_outgoing_qos use_identity_as_username use_subject_as_username
		use_username_as_clientid user websockets_headers_size websockets_log_level websockets_origin`) {
		if mosquittoKeys[key] == nil {
			t.Errorf("%s is not known", key)
		}
	}
}

package config

import (
	"strings"
	"testing"
)

// Each file has one fault, and the message must name its line, its key and what would be right.
func TestProblemsOfFiles(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"two keys of tokens", "auth:\n  jwt: {secret: x, jwks_file: y}\n", `:2: auth.jwt.jwks_file: is one too many`},
		{"rules of tokens without a key", "auth:\n  jwt:\n    claims: [a=b]\n", `:3: auth.jwt.claims: there is no key to verify tokens with`},
		{"not a URL", "auth:\n  http: {url: localhost/auth}\n", `:2: auth.http.url: is not an http:// or https:// URL`},
		{"credentials in a URL", "auth:\n  http_acl: {url: 'http://u:p@localhost/auth'}\n", `:2: auth.http_acl.url: holds credentials`},
		{"keys of TLS without TLS", "listeners: {tcp: {bind: 127.0.0.1:1, crl_file: x}}", `listeners.tcp.crl_file: has no effect with type tcp; use tls or wss`},
		{"certificate without its key", "listeners: {tls: {bind: 127.0.0.1:1, cert_file: c, key_file: k, sni_cert_files: [a, b], sni_key_files: [x]}}", `there are 1, for 2 sni_cert_files`},
		{"certificate's name without authority", "listeners: {tls: {bind: 127.0.0.1:1, cert_file: c, key_file: k, cert_username: cn}}", `cert_username: needs client_ca_file`},
		{"client id without a name", "listeners: {tls: {bind: 127.0.0.1:1, cert_file: c, key_file: k, client_ca_file: a, cert_client_id: true}}", `cert_client_id: needs cert_username`},
		{"name of a certificate", "listeners: {tls: {bind: 127.0.0.1:1, cert_file: c, key_file: k, client_ca_file: a, cert_username: nick}}", `"nick" is not one of cn, dns`},
		{"version of TLS", "listeners: {tls: {bind: 127.0.0.1:1, cert_file: c, key_file: k, tls_min_version: '1.1'}}", `"1.1" is not one of 1.2, 1.3`},
		{"value", "node:\n  name: x\n\ndurability: fast\n", `:4: durability: "fast" is not one of fsync, os, memory`},
		{"number", "mqtt:\n  max_qos: two\n", `:2: mqtt.max_qos: "two" is not a whole number from 0 to 2`},
		{"number too large", "mqtt: {receive_maximum: 65536}\n", `:1: mqtt.receive_maximum: "65536" is not a whole number from 1 to 65535`},
		{"number too small", "mqtt: {receive_maximum: 0}\n", `from 1 to 65535`},
		{"negative", "storage: {max_bytes: -1}\n", `:1: storage.max_bytes: "-1" is not a whole number of at least 0`},
		{"beyond 64 bits", "storage: {max_bytes: 99999999999999999999}\n", `of at least 0`},
		{"fraction", "mqtt: {max_qos: 1.0}\n", `"1.0" is not a whole number`},
		{"boolean", "mqtt: {retain_available: yes please}\n", `:1: mqtt.retain_available: "yes please" is not true or false`},
		{"no value", "mqtt:\n  max_qos:\n", `:2: mqtt.max_qos: has no value; leave the key out for its default`},
		{"no value of a choice", "durability:\n", `:1: durability: has no value`},
		{"misspelled key", "mqtt:\n  max_qoss: 1\n", `:2: mqtt.max_qoss: unknown key; did you mean mqtt.max_qos?`},
		{"misspelled section", "listener: {}\n", `:1: listener: unknown key; did you mean listeners?`},
		{"key of another section", "max_topic_levels: 4\n", `:1: max_topic_levels: unknown key; did you mean mqtt.max_topic_levels?`},
		{"key like nothing", "node:\n  zzzzzzzzz: 4\n", `:2: node.zzzzzzzzz: unknown key; known here: name`},
		{"key of a listener", "listeners:\n  tcp:\n    port: 1883\n    bind: 127.0.0.1:1\n", `:3: listeners.tcp.port: unknown key`},
		{"key twice", "mqtt:\n  max_qos: 1\n  max_qos: 2\n", `:3: mqtt.max_qos: is there twice, first on line 2`},
		{"section is a value", "mqtt: 5\n", `:1: mqtt: the value "5" where a section of keys belongs`},
		{"section is a list", "listeners: [a]\n", `:1: listeners: a list where a section of keys belongs`},
		{"value is a section", "data_dir: {a: b}\n", `:1: data_dir: a section of keys where one value belongs`},
		{"value is a list", "data_dir: [a]\n", `:1: data_dir: a list where one value belongs`},
		{"list of lists", "streams:\n  s:\n    filters: [[a]]\n", `:3: streams.s.filters: a list where a list of strings belongs`},
		{"syntax", "mqtt: {\n", `:1: not YAML: did not find expected node content`},
		{"second document", "node: {}\n---\nnode: {}\n", `a second YAML document`},
		{"listener's name", "listeners:\n  Office: {type: tcp, bind: 127.0.0.1:1}\n", `:2: listeners: the name "Office": use a to z`},
		{"listener without type", "listeners:\n  office: {bind: 127.0.0.1:1}\n", `:2: listeners.office: needs a type, one of tcp, tls, ws, wss, unix`},
		{"listener without bind", "listeners:\n  tcp: {}\n", `:2: listeners.tcp: needs bind, for example`},
		{"no listener", "listeners: {}\n", `:1: listeners: there is none`},
		{"bind", "listeners:\n  tcp:\n    bind: 1883\n", `:3: listeners.tcp.bind: "1883" is not host:port`},
		{"port", "listeners:\n  tcp: {bind: 127.0.0.1:70000}\n", `:2: listeners.tcp.bind: "127.0.0.1:70000" is not host:port`},
		{"api's address", "api: {bind: nowhere}\n", `:1: api.bind: "nowhere" is not host:port`},
		{"open listener", "listeners:\n  tcp:\n    bind: 0.0.0.0:1883\n",
			":3: listeners.tcp.bind: 0.0.0.0:1883 is open to other machines and nothing says who may connect; to let everyone in, add these two lines:\nauth:\n  allow_anonymous: true"},
		{"tls without key", "listeners:\n  tls: {bind: 127.0.0.1:1, cert_file: a}\n", `:2: listeners.tls: type tls needs cert_file and key_file`},
		{"tls without authority", "listeners:\n  tls: {bind: 127.0.0.1:1, cert_file: a, key_file: b, require_client_cert: true}\n", `:2: listeners.tls.require_client_cert: needs client_ca_file`},
		{"certificate without tls", "listeners:\n  tcp: {bind: 127.0.0.1:1, cert_file: a}\n", `:2: listeners.tcp.cert_file: has no effect with type tcp; use tls or wss`},
		{"client certificate without tls", "listeners:\n  ws: {bind: 127.0.0.1:1, require_client_cert: true}\n", `:2: listeners.ws.require_client_cert: has no effect with type ws`},
		{"path", "listeners:\n  ws: {bind: 127.0.0.1:1, path: mqtt}\n", `:2: listeners.ws.path: "mqtt" does not begin with /, and is not * for any`},
		{"mount point", "listeners:\n  tcp: {bind: 127.0.0.1:1, mount_point: a/#}\n", `:2: listeners.tcp.mount_point: "a/#" holds a wildcard`},
		{"packet limit of a listener", "listeners:\n  tcp: {bind: 127.0.0.1:1, max_packet_bytes: 63}\n", `:2: listeners.tcp.max_packet_bytes: is less than 64`},
		{"same address", "listeners:\n  a: {type: tcp, bind: 127.0.0.1:1}\n  b: {type: tcp, bind: 127.0.0.1:1}\n", `:3: listeners.b.bind: 127.0.0.1:1 is taken by listeners.a.bind`},
		{"address within all", "auth: {allow_anonymous: true}\nlisteners:\n  a: {type: tcp, bind: 127.0.0.1:1}\n  b: {type: tcp, bind: \":1\"}\n", `:4: listeners.b.bind: :1 is taken by listeners.a.bind`},
		{"same socket", "listeners:\n  a: {type: unix, bind: /x}\n  b: {type: unix, bind: /x}\n", `:3: listeners.b.bind: /x is taken by listeners.a.bind`},
		{"api's address taken", "api: {bind: 127.0.0.1:1883}\n", `:1: api.bind: 127.0.0.1:1883 is taken by listeners.tcp.bind`},
		{"metrics' address taken", "metrics: {bind: 127.0.0.1:8083}\n", `:1: metrics.bind: 127.0.0.1:8083 is taken by listeners.ws.bind`},
		{"stream without filters", "streams:\n  s: {keep_seconds: 1}\n", `:2: streams.s: needs filters`},
		{"data directory", "data_dir: ''\n", `:1: data_dir: is empty`},
		{"unknown authenticator", "auth:\n  order: [kerberos]\n", `:2: auth.order: "kerberos" is not one of`},
		{"authenticator twice", "auth:\n  order: [http, http]\n", `:2: auth.order: http is there twice`},
		{"authenticator left out", "auth:\n  password_file: users\n  order: [http]\n", `:3: auth.order: passwords is configured and not in the list`},
	} {
		file := writeFile(t, tt.text)
		_, _, err := Load(Sources{File: file})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), file) {
			t.Errorf("%s: got %v\nwant %s", tt.name, err, tt.want)
		} else if strings.Count(err.Error(), file) != 1 {
			t.Errorf("%s: one fault, several messages:\n%v", tt.name, err)
		}
	}
}

func TestProblemsOfOverrides(t *testing.T) {
	for _, tt := range []struct {
		env, set, want string
	}{
		{env: "BARID_DURABILITY=fast", want: `BARID_DURABILITY: durability: "fast" is not one of fsync, os, memory`},
		{env: "BARID_MQTT=1", want: `BARID_MQTT: mqtt: is a section; set one of its keys`},
		{env: "BARID_LISTENERS__TCP__BIND=0.0.0.0:1883", want: `BARID_LISTENERS__TCP__BIND: listeners.tcp.bind: 0.0.0.0:1883 is open`},
		{env: "BARID_LISTENERS__TCP=1883", want: `BARID_LISTENERS__TCP: listeners.tcp: is a section; set one of its keys, or nothing`},
		{env: "BARID_LISTENERS=1883", want: `BARID_LISTENERS: listeners: is a section`},
		{set: "mqtt.max_qos", want: `--set mqtt.max_qos: give it as path.to.key=value`},
		{set: "mqtt.max_qoss=1", want: `--set mqtt.max_qoss: unknown key; did you mean mqtt.max_qos?`},
		{set: "listeners.tcp.port=1", want: `--set listeners.tcp.port: unknown key`},
		{set: "listeners.Lan.bind=1", want: `the name "Lan": use a to z`},
		{set: "node.name.x=1", want: `--set node.name.x: unknown key; node.name has no keys below it`},
		{set: "listeners.lan.bind=127.0.0.1:1", want: `--set listeners.lan.bind: listeners.lan: needs a type`},
		{set: "=", want: `--set : unknown key`},
	} {
		s := Sources{}
		if tt.env != "" {
			s.Environ = []string{tt.env}
		} else {
			s.Sets = []string{tt.set}
		}
		if _, _, err := Load(s); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s%s: got %v\nwant %s", tt.env, tt.set, err, tt.want)
		}
	}
}

func TestFilesThatAreFine(t *testing.T) {
	for _, text := range []string{
		"", "# nothing\n", "---\n", "mqtt:\n", "auth: {allow_anonymous: true}\nlisteners: {tcp: {bind: \"[::]:1883\"}}\n",
		"listeners: {tcp: {bind: 0.0.0.0:1883, allow_anonymous: false}}\n",
		"listeners: {a: {type: tcp, bind: 127.0.0.1:0}, b: {type: tcp, bind: 127.0.0.1:0}}\n",
		"listeners: {tls: {bind: 0.0.0.0:1, cert_file: a, key_file: b, client_ca_file: c, require_client_cert: true}}\n",
		"listeners: {a: &x {type: tcp, bind: 127.0.0.1:1}}\nnode: {name: &n x}\ndata_dir: *n\n",
		"metrics: {bind: 127.0.0.1:18083}\n", "api: {bind: \"\"}\n", "streams: {s: {filters: a/#}}\n",
	} {
		if _, _, err := Load(Sources{File: writeFile(t, text)}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Whatever a file holds, reading it ends with a configuration or with errors that say where.
func FuzzFile(f *testing.F) {
	f.Add("mqtt: {max_qos: 1}\n")
	f.Add("listeners:\n  tcp: {bind: 127.0.0.1:1}\n  ws:\n")
	f.Add("a: &x {b: *x}\n")
	f.Add("listeners: &x {tcp: *x}\nstreams: {s: &s {filters: *s}}\n")
	f.Add("streams: {s: {filters: [a, b]}}\n? [a]\n: b\n")
	f.Fuzz(func(t *testing.T, text string) {
		l := &loader{cfg: Default(), origin: map[string]place{}}
		l.file("f", []byte(text))
		l.complete()
		if len(l.errs) == 0 {
			l.check()
		}
		for _, err := range l.errs {
			if err.Error() == "" {
				t.Error("an error that says nothing")
			}
		}
	})
}

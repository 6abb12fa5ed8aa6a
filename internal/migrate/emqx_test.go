package migrate

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/auth/builtin"
	"github.com/barid-mqtt/barid/internal/auth/password"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/migrate/exporttest"
	"github.com/barid-mqtt/barid/internal/migrate/hocon"
	"github.com/barid-mqtt/barid/mqtt"
)

// kept is a Sink that remembers.
type kept struct {
	users    []builtin.User
	rules    map[string]string
	bans     []builtin.Ban
	retained []*message.Message
}

func (k *kept) User(u builtin.User) error { k.users = append(k.users, u); return nil }
func (k *kept) Ban(b builtin.Ban) error   { k.bans = append(k.bans, b); return nil }
func (k *kept) Rules(r builtin.Rules) error {
	k.rules[strings.TrimSpace(string(r.Kind)+" "+r.Who)] = string(r.Rules)
	return nil
}
func (k *kept) Retained(m *message.Message) error { k.retained = append(k.retained, m); return nil }

func exportFile(t testing.TB, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "export.tar.gz")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func importExport(t *testing.T, files ...exporttest.File) (*Result, *kept) {
	t.Helper()
	name, k := exportFile(t, exporttest.Archive(files...)), &kept{rules: map[string]string{}}
	r, err := EMQX(name, "/etc/barid", k)
	if err != nil {
		t.Fatal(err)
	}
	dry, err := EMQX(name, "/etc/barid", nil)
	if err != nil || fmt.Sprint(dry.Lines) != fmt.Sprint(r.Lines) || fmt.Sprint(dry.Config) != fmt.Sprint(r.Config) {
		t.Errorf("only looking at it says something else: %v", err)
	}
	return r, k
}

func said(r *Result) string {
	var out strings.Builder
	for _, l := range r.Lines {
		fmt.Fprintf(&out, "%s:%d %s|%s|%s\n", l.File, l.Number, l.Verdict, l.Text, l.Note)
	}
	return out.String() + strings.Join(r.Notes, "\n")
}

func cluster(text string) exporttest.File {
	return exporttest.File{Name: "cluster.hocon", Body: []byte(text)}
}

func table(name string, records ...exporttest.Tuple) exporttest.File {
	return exporttest.File{Name: "mnesia/" + name, Body: exporttest.Table(name, records...)}
}

type (
	atom  = exporttest.Atom
	tuple = exporttest.Tuple
	list  = exporttest.List
)

func user(name, hash, salt string, super bool) tuple {
	return tuple{tuple{atom(globalGroup), name}, hash, salt, super}
}

func TestUsersOfEMQXKeepTheirPasswords(t *testing.T) {
	digest := func(name string, position password.SaltPosition, salt, pw string) string {
		joined := map[password.SaltPosition]string{password.SaltPrefix: salt + pw, password.SaltSuffix: pw + salt, password.SaltDisable: pw}[position]
		return hex.EncodeToString(sum(name, joined))
	}
	for what, c := range map[string]struct{ config, password, hash, salt string }{
		"the default": {"", "secret", digest("sha256", password.SaltPrefix, "0a1b", "secret"), "0a1b"},
		"suffix":      {`{name = sha256, salt_position = suffix}`, "secret", digest("sha256", password.SaltSuffix, "0a1b", "secret"), "0a1b"},
		"no salt":     {`{name = sha512, salt_position = disable}`, "secret", digest("sha512", password.SaltDisable, "", "secret"), ""},
		"md5":         {`{name = md5, salt_position = prefix}`, "secret", digest("md5", password.SaltPrefix, "ff", "secret"), "ff"},
		"capitals":    {`{name = sha, salt_position = prefix}`, "secret", strings.ToUpper(digest("sha", password.SaltPrefix, "ff", "secret")), "ff"},
		"plain":       {`{name = plain}`, "secret", "secret", ""},
		"bcrypt":      {`{name = bcrypt}`, "U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "$2a$05$CCCCCCCCCCCCCCCCCCCCC."},
		"pbkdf2":      {`{name = pbkdf2, mac_fun = sha256, iterations = 4096}`, "password", "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a", "salt"},
	} {
		text := "authentication = {mechanism = password_based, backend = built_in_database}\n"
		if c.config != "" {
			text = "authentication = [{mechanism = password_based, backend = built_in_database, password_hash_algorithm " + c.config + "}]\n"
		}
		r, k := importExport(t, cluster(text), table("emqx_authn_mnesia", user("alice", c.hash, c.salt, true)))
		if len(k.users) != 1 || k.users[0].Name != "alice" || !k.users[0].Superuser {
			t.Errorf("%s: %+v\n%s", what, k.users, said(r))
			continue
		}
		h, err := password.Parse(k.users[0].Hash)
		if err != nil || !h.Matches([]byte(c.password)) || h.Matches([]byte("wrong")) {
			t.Errorf("%s: %s: %v", what, k.users[0].Hash, err)
		}
		if r.Config["auth"].(map[string]any)["built_in"].(map[string]any)["users"] != true {
			t.Errorf("%s: %v", what, r.Config)
		}
	}
}

func TestUsersThatCannotComeOverAreNamed(t *testing.T) {
	r, k := importExport(t, table("emqx_authn_mnesia",
		user("good", "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8", "", false),
		user("odd", "xyz", "", false), user("short", "abcd", "", false), user("", "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8", "", false),
		tuple{tuple{atom("tcp:default"), "elsewhere"}, "00", "", false}))
	text := said(r)
	for _, want := range []string{"taken|1 users", "not supported|user odd|", "not supported|user short|", "the username is empty", "the listener tcp:default only",
		"the export says nothing of how passwords are hashed"} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing says %q:\n%s", want, text)
		}
	}
	if len(k.users) != 1 {
		t.Errorf("%+v", k.users)
	}
}

func TestRulesOfEMQX(t *testing.T) {
	action := func(name string, qos any, retain any) tuple {
		return tuple{atom(name), list{tuple{atom("qos"), qos}, tuple{atom("retain"), retain}}}
	}
	every := func(name string) tuple { return action(name, list{0, 1, 2}, atom("all")) }
	_, k := importExport(t,
		cluster(`authorization { no_match = deny, sources = [{type = built_in_database, enable = true}] }`),
		table("emqx_acl",
			tuple{0, list{tuple{atom("deny"), atom("all"), every("all"), "secret/#"}}},
			tuple{tuple{1, "alice"}, list{
				tuple{atom("allow"), atom("publish"), "up/${username}/#"}, // as it was until 5.7
				tuple{atom("deny"), atom("all"), every("subscribe"), tuple{atom("eq"), "a/+"}},
				tuple{atom("allow"), atom("all"), action("publish", exporttest.Charlist("\x01\x02"), true), "q"},
				tuple{atom("allow"), tuple{atom("ipaddr"), exporttest.Charlist("10.0.0.1")}, every("all"), "#"},
				tuple{atom("deny"), tuple{atom("ipaddr"), exporttest.Charlist("10.0.0.1")}, every("all"), "d"},
				tuple{atom("allow"), atom("all"), every("all"), "x/${zone}/y"},
				tuple{atom("deny"), atom("all"), every("all"), "x/${client_attrs.a}/y"},
				tuple{atom("allow"), atom("all"), every("all"), "a/#/b"},
			}},
			tuple{tuple{2, "c1"}, list{tuple{atom("allow"), atom("all"), every("all"), list{"m/1", "m/2"}}}}))
	want := map[string]string{
		"all": `[{"permission":"deny","action":"all","topic":"secret/#"}]`,
		"username alice": `[{"permission":"allow","action":"publish","topic":"up/${username}/#"},{"permission":"deny","action":"subscribe","topic":"eq a/+"},` +
			`{"permission":"allow","action":"publish","topic":"q","qos":[1,2],"retain":"true"},{"permission":"deny","action":"all","topic":"d"},{"permission":"deny","action":"all","topic":"x/+/y"}]`,
		"clientid c1": `[{"permission":"allow","action":"all","topic":"m/1"},{"permission":"allow","action":"all","topic":"m/2"}]`,
	}
	if fmt.Sprint(k.rules) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", k.rules, want)
	}
}

func TestWhatIsDeniedThereIsNotGrantedHere(t *testing.T) {
	const builtIn = `{type = built_in_database}`
	denied := `[{"permission":"deny","action":"subscribe","topic":"$SYS/#"},{"permission":"deny","action":"subscribe","topic":"eq #"},{"permission":"deny","action":"subscribe","topic":"eq +/#"}`
	for sources, want := range map[string]struct{ noMatch, all string }{
		`[` + builtIn + `]`: {"allow", ""},
		`[` + builtIn + `, {type = file, rules = "{deny, all}."}]`: {"deny", ""},
		`[` + builtIn + `, {type = mysql}]`:                        {"deny", ""},
		`[` + builtIn + `, {type = mysql, enable = false}]`:        {"allow", ""},
		`[]`: {"allow", ""},
		`[{type = file, rules = "{allow, {user, \"dashboard\"}, subscribe, [\"$SYS/#\"]}.\n{allow, {ipaddr, \"127.0.0.1\"}, all, [\"$SYS/#\", \"#\"]}.\n{deny, all, subscribe, [\"$SYS/#\", {eq, \"#\"}]}.\n%% end\n{allow, all}."}, {type = redis}]`: {"deny", denied + "]"},
	} {
		r, k := importExport(t, cluster("authorization.sources = "+sources), table("emqx_acl"))
		auth, _ := r.Config["auth"].(map[string]any)
		if k.rules["all"] != want.all || want.noMatch == "deny" && auth["no_match"] != "deny" || want.noMatch == "allow" && auth["no_match"] == "deny" {
			t.Errorf("%s: %v, rules for all %s", sources, auth, k.rules["all"])
		}
	}
	r, k := importExport(t)
	if k.rules["all"] != denied+`,{"permission":"allow","action":"all","topic":"#"}]` {
		t.Errorf("without a word about rules: %s\n%s", k.rules["all"], said(r))
	}
}

func TestWhoConnectsWithoutAPassword(t *testing.T) {
	for text, want := range map[string]any{
		"":                    false,
		"authentication = []": true,
		"authentication = [{mechanism = password_based, backend = mysql}]":                 false,
		"authentication = [{mechanism = password_based, backend = mysql, enable = false}]": true,
		"authentication = [{mechanism = password_based, backend = built_in_database}]":     nil,
	} {
		r, _ := importExport(t, cluster(text))
		if got := r.Config["auth"].(map[string]any)["allow_anonymous"]; got != want {
			t.Errorf("%q: allow_anonymous is %v, not %v", text, got, want)
		}
	}
}

func TestBansOfEMQX(t *testing.T) {
	later := time.Now().Add(time.Hour).Unix()
	ban := func(as string, who any, until any) tuple {
		return tuple{tuple{atom(as), who}, "ops", "floods", 1_700_000_000, until}
	}
	r, k := importExport(t,
		table("emqx_banned", ban("clientid", "c1", atom("infinity")), ban("username", "mallory", later), ban("peerhost", tuple{192, 0, 2, 1}, later),
			ban("peerhost", tuple{0x2001, 0xdb8, 0, 0, 0, 0, 0, 1}, later), ban("clientid", "over", 1_700_000_001)),
		table("emqx_banned_rules", ban("clientid_re", "^bot-", later), ban("username_re", tuple{tuple{atom("re_pattern"), 0, 0, 0, exporttest.Reference{}}, "evil"}, later),
			ban("peerhost_net", tuple{tuple{10, 0, 0, 0}, tuple{10, 255, 255, 255}, 8}, later), ban("clientid_re", "(?=x)", later)))
	var got []string
	for _, b := range k.bans {
		got = append(got, fmt.Sprintf("%s %s %s %s %v", b.As, b.Who, b.By, b.Reason, b.Until.IsZero()))
	}
	want := []string{"clientid c1 ops floods true", "username mallory ops floods false", "peerhost 192.0.2.1 ops floods false", "peerhost 2001:db8::1 ops floods false",
		"clientid_re ^bot- ops floods false", "username_re evil ops floods false", "peerhost_net 10.0.0.0/8 ops floods false"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if text := said(r); !strings.Contains(text, "not needed|ban of clientid over|it has ended") || !strings.Contains(text, "not supported|ban of clientid_re (?=x)|") {
		t.Error(text)
	}
}

func retained(topic, payload string, expiry int64, properties exporttest.Map) tuple {
	levels := list{}
	for l := range strings.SplitSeq(topic, "/") {
		levels = append(levels, l)
	}
	return tuple{levels, tuple{atom("message"), "0123456789abcdef", 1, "dev-1", exporttest.Map{atom("retain"), true},
		exporttest.Map{atom("username"), "alice", atom("properties"), properties, atom("peerhost"), tuple{127, 0, 0, 1}}, topic, payload, int64(1_718_714_694_185), exporttest.Map{}}, expiry}
}

func TestRetainedMessagesOfEMQX(t *testing.T) {
	later := time.Now().Add(time.Hour).UnixMilli()
	large := strings.Repeat("x", 100_000)
	r, k := importExport(t, table("emqx_retainer_message",
		retained("a/b", "one", 0, nil), retained("a/c", large, later, exporttest.Map{atom("Content-Type"), "text/plain", atom("Payload-Format-Indicator"), 1,
			atom("Response-Topic"), "r", atom("Correlation-Data"), "\x00\xff", atom("User-Property"), list{tuple{"k", "v"}, tuple{"k", "w"}}, atom("Message-Expiry-Interval"), 60}),
		retained("over", "x", 1_700_000_000_000, nil), retained("empty", "", 0, nil), retained("$SYS/brokers", "x", 0, nil), retained("a/#", "x", 0, nil)))
	if len(k.retained) != 2 || !strings.Contains(said(r), "taken|2 retained messages") || !strings.Contains(said(r), "not supported|retained a/#") {
		t.Fatalf("%d messages\n%s", len(k.retained), said(r))
	}
	m := k.retained[0]
	if m.Topic != "a/b" || string(m.Payload) != "one" || m.QoS != 1 || !m.Retain || m.ClientID != "dev-1" || m.Username != "alice" || m.PublishedAt.UnixMilli() != 1_718_714_694_185 || !m.ExpiresAt.IsZero() {
		t.Errorf("%+v", m)
	}
	m = k.retained[1]
	p, err := mqtt.DecodeForward(m.Properties)
	if err != nil || string(m.Payload) != large || m.ExpiresAt.UnixMilli() != later || string(p.ContentType) != "text/plain" || p.PayloadFormat != 1 ||
		string(p.ResponseTopic) != "r" || string(p.CorrelationData) != "\x00\xff" {
		t.Errorf("%+v %v", p, err)
	}
	var pairs []string
	for k, v := range p.User.All() {
		pairs = append(pairs, k+"="+v)
	}
	if !slices.Equal(pairs, []string{"k=v", "k=w"}) {
		t.Errorf("user properties %q", pairs)
	}
}

func TestListenersOfEMQX(t *testing.T) {
	pem := `"-----BEGIN X-----\nabc\n-----END X-----\n"`
	r, _ := importExport(t, cluster(`
listeners.ssl.default { bind = 8883, max_connections = infinity, ssl_options {certfile = `+pem+`, keyfile = `+pem+`, cacertfile = `+pem+`, verify = verify_peer, fail_if_no_peer_cert = true} }
listeners.tcp.default { enable = false }
listeners.tcp.intern { bind = ":1884", mountpoint = "m/", proxy_protocol = true, enable_authn = false, max_conn_rate = "1000/s" }
listeners.wss.default { bind = "0.0.0.0:8084", ssl_options {certfile = "${EMQX_ETC_DIR}/certs/cert.pem"} }
listeners.quic.default { bind = 14567 }
mqtt.peer_cert_as_username = cn
`))
	want := map[string]any{
		"tls": map[string]any{"type": "tls", "bind": "0.0.0.0:8883", "max_connections": int64(0), "cert_file": "/etc/barid/listeners-ssl-default-certfile.pem",
			"key_file": "/etc/barid/listeners-ssl-default-keyfile.pem", "client_ca_file": "/etc/barid/listeners-ssl-default-cacertfile.pem", "require_client_cert": true, "cert_username": "cn"},
		"tcp-intern": map[string]any{"type": "tcp", "bind": "0.0.0.0:1884", "mount_point": "m/", "proxy_protocol": true, "allow_anonymous": true, "accept_rate_per_second": int64(1000)},
		"ws":         map[string]any{"type": "ws", "bind": "0.0.0.0:8083"},
	}
	if fmt.Sprint(r.Config["listeners"]) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", r.Config["listeners"], want)
	}
	if body := string(r.Files["listeners-ssl-default-keyfile.pem"]); body != "-----BEGIN X-----\nabc\n-----END X-----\n" {
		t.Errorf("the key is %q", body)
	}
	for _, l := range r.Lines {
		if strings.Contains(l.Text, "BEGIN") {
			t.Errorf("a key is shown: %s", l.Text)
		}
	}
}

func TestSCRAMUsersOfEMQX(t *testing.T) {
	key := strings.Repeat("k", 32)
	r, _ := importExport(t, cluster("authentication = [{mechanism = scram, backend = built_in_database, iteration_count = 8192}]"),
		table("emqx_authn_scram_mnesia", tuple{tuple{atom(globalGroup), "alice"}, key, key, "salt", false}))
	if got, want := string(r.Files["scram"]), "alice:SCRAM-SHA-256$8192:c2FsdA==$a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=:a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=\n"; got != want {
		t.Errorf("got %q", got)
	}
}

// rawArchive is an archive with entries as they are given.
func rawArchive(t *testing.T, heads ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for _, h := range heads {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		for left := h.Size; left > 0; left -= 1 << 16 {
			if _, err := w.Write(make([]byte, min(left, 1<<16))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestHostileExportsEndInOneError(t *testing.T) {
	meta := tar.Header{Name: "e/META.hocon", Size: 0, Mode: 0o644}
	deep := exporttest.Table("emqx_acl")
	deep = append(deep, 0, 0, 0x27, 0x11, 'b', 'W', 'L', 'A', 131)
	for range 5000 {
		deep = append(deep, 104, 1)
	}
	for what, c := range map[string]struct {
		data []byte
		want string
	}{
		"no archive":             {[]byte("a file of something else"), "gzip"},
		"nothing in it":          {rawArchive(t), "no META.hocon"},
		"cut short":              {exporttest.Archive(table("emqx_acl", tuple{0, list{}}))[:200], "EOF"},
		"a path out of it":       {rawArchive(t, meta, tar.Header{Name: "e/../../etc/passwd"}), "outside of itself"},
		"an absolute path":       {rawArchive(t, tar.Header{Name: "/etc/passwd"}), "outside of itself"},
		"a link":                 {rawArchive(t, tar.Header{Name: "e/mnesia/emqx_acl", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}), "neither a file nor a directory"},
		"two directories":        {rawArchive(t, meta, tar.Header{Name: "f/META.hocon"}), "two directories"},
		"a bomb":                 {rawArchive(t, meta, tar.Header{Name: "e/mnesia/other", Size: 160 << 20, Mode: 0o644}), "200 times"},
		"a large configuration":  {rawArchive(t, tar.Header{Name: "e/cluster.hocon", Size: 20 << 20, Mode: 0o644}), "more than 16777216 bytes"},
		"terms too deep":         {exporttest.Archive(exporttest.File{Name: "mnesia/emqx_acl", Body: deep}), "deep"},
		"configuration too deep": {exporttest.Archive(cluster(strings.Repeat("a{", 1000))), "within each other"},
		"no table":               {exporttest.Archive(exporttest.File{Name: "mnesia/emqx_acl", Body: []byte("x")}), "not a backup"},
		"a user of another make": {exporttest.Archive(table("emqx_authn_mnesia", tuple{"alice", "x"})), "not made as one"},
		"a rule of another make": {exporttest.Archive(table("emqx_acl", tuple{0, list{atom("x")}})), "not made as one"},
		"rules of nobody":        {exporttest.Archive(table("emqx_acl", tuple{tuple{7, "x"}, list{}})), "nobody that is known"},
		"a ban of nobody":        {exporttest.Archive(table("emqx_banned", tuple{tuple{atom("peerhost"), tuple{1, 2}}, "", "", 0, atom("infinity")})), "a ban"},
		"a message of no make":   {exporttest.Archive(table("emqx_retainer_message", tuple{list{}, tuple{}, 0})), "not made as one"},
	} {
		_, err := EMQX(exportFile(t, c.data), "/x", nil)
		if !errors.Is(err, ErrExport) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", what, err)
		}
	}
	many := make([]tar.Header, maxArchiveFiles+1)
	for i := range many {
		many[i] = tar.Header{Name: fmt.Sprintf("e/%d", i)}
	}
	if _, err := EMQX(exportFile(t, rawArchive(t, many...)), "/x", nil); !errors.Is(err, ErrExport) || !strings.Contains(err.Error(), "files") {
		t.Errorf("many files: %v", err)
	}
}

func FuzzEMQX(f *testing.F) {
	f.Add([]byte("authentication = [{mechanism = password_based, backend = built_in_database}]\nlisteners.tcp.default.bind = 1"),
		exporttest.Table("emqx_acl", tuple{0, list{tuple{atom("allow"), atom("publish"), "a"}}}), uint8(0))
	f.Add([]byte("mqtt.max_packet_size = 1MB"), exporttest.Table("emqx_banned", tuple{tuple{atom("peerhost"), tuple{1, 2, 3, 4}}, "", "", 0, atom("infinity")}), uint8(1))
	f.Add([]byte("[]"), []byte{}, uint8(9))
	f.Add([]byte("{}"), exporttest.Table("emqx_retainer_message", retained("a", "b", 0, exporttest.Map{atom("Content-Type"), "x"})), uint8(2))
	f.Add([]byte(""), exporttest.Table("emqx_authn_mnesia", user("a", "00", "", true)), uint8(3))
	f.Add([]byte("flapping_detect {enable = true, window_time = 1m}"), exporttest.Table("emqx_authn_scram_mnesia", tuple{tuple{atom(globalGroup), "a"}, "", "", "", true}), uint8(4))
	names := []string{"emqx_acl", "emqx_banned", "emqx_retainer_message", "emqx_authn_mnesia", "emqx_authn_scram_mnesia", "emqx_app"}
	f.Fuzz(func(t *testing.T, config, records []byte, which uint8) {
		m := newEMQX("/x", nil)
		entries, err := hocon.Parse(config)
		if err != nil {
			entries = nil
		}
		m.keys(entries)
		if err := m.table(names[int(which)%len(names)], bytes.NewReader(records)); err != nil && !errors.Is(err, ErrExport) {
			t.Fatalf("the error %v", err)
		}
		if err := m.finish(); err != nil {
			t.Fatal(err)
		}
		if _, err := m.result.YAML(""); err != nil {
			t.Fatal(err)
		}
	})
}

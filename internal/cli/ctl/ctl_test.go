package ctl

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// fake is a broker's API that answers as it is told, and remembers what it was asked.
type fake struct {
	answers map[string]string // "METHOD path?query" → "status body"; the query may be left out
	asked   []string
	auth    string
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	line := r.Method + " " + r.URL.EscapedPath()
	full := line
	if r.URL.RawQuery != "" {
		full += "?" + r.URL.RawQuery
	}
	asked := full
	if len(body) > 0 {
		asked += " " + string(body)
	}
	f.asked, f.auth = append(f.asked, asked), r.Header.Get("Authorization")
	answer, ok := f.answers[full]
	if !ok {
		answer, ok = f.answers[line]
	}
	if !ok {
		answer = `404 {"code":"NOT_FOUND","message":"there is no ` + r.URL.Path + `"}`
	}
	var status int
	_, _ = fmt.Sscanf(answer, "%d", &status)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, strings.TrimSpace(answer[3:]))
}

// ctl runs a command line against a fake that listens on a socket.
func ctl(t *testing.T, f *fake, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: ln, Config: &http.Server{Handler: f}}
	server.Start()
	defer server.Close()
	return ctlAt(path, stdin, args...)
}

func ctlAt(socket, stdin string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = Run(Env{
		Ctx: context.Background(), Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs,
		Socket:   func(string, []string) (string, error) { return socket, nil },
		Password: func(string) (string, error) { return strings.TrimSuffix(stdin, "\n"), nil },
	}, args)
	return status, out.String(), errs.String()
}

const client = `{"clientid":"a\u001b[31m","username":null,"connected":true,"ip_address":"10.0.0.1","proto_ver":4,"subscriptions_cnt":2,"inflight_cnt":0,
	"mqueue_len":0,"expiry_interval":4294967295,"created_at":"2030-01-01T00:00:00.000Z","behind":false}`

// Each command makes its request, with what was given in its place, and shows the answer.
func TestCommands(t *testing.T) {
	page := func(rows string) string {
		return `200 {"data":[` + rows + `],"meta":{"page":1,"limit":100,"count":2,"hasnext":false}}`
	}
	for _, c := range []struct {
		args, stdin string
		request     string // one of those made
		answer      string
		status      int
		stdout      string // part of what is printed
	}{
		{"clients list --like dev --away --limit 5", "", "GET /api/v5/clients?conn_state=disconnected&like_clientid=dev&limit=5", page(client), 0, `a\x1b[31m`},
		{"clients list --json", "", "GET /api/v5/clients", page(client), 0, `"hasnext": false`},
		{"clients show a/b", "", "GET /api/v5/clients/a%2Fb", "200 " + client, 0, "expiry     never\n"},
		{"clients show ..", "", "GET /api/v5/clients/%2E%2E", "200 " + client, 0, "version    3.1.1\n"},
		{"clients subscribe c a/# --qos 1", "", `POST /api/v5/clients/c/subscribe {"qos":1,"topic":"a/#"}`, `200 {"clientid":"c","topic":"a/#","qos":1}`, 0, "filter    a/#\n"},
		{"clients unsubscribe c a/#", "", `POST /api/v5/clients/c/unsubscribe {"topic":"a/#"}`, "204", 0, "c is not subscribed to a/#\n"},
		{"clients queue c --payload plain", "", "GET /api/v5/clients/c/mqueue_messages?payload=plain", page(`{"topic":"t","qos":1,"publish_at":0,"payload":"a\nb"}`), 0, `a\nb`},
		{"clients inflight c", "", "GET /api/v5/clients/c/inflight_messages", page(`{"packet_id":7,"topic":"t"}`), 0, "7   t"},
		{"alarms list --past", "", "GET /api/v5/alarms?activated=false", page(`{"name":"disk_full","message":"m"}`), 0, "disk_full"},
		{"alarms forget", "", "DELETE /api/v5/alarms", "204", 0, "forgotten"},
		{"clients kick a", "", "DELETE /api/v5/clients/a", "204", 0, "a: its session is over\n"},
		{"subscriptions --match t/1 --qos 1", "", "GET /api/v5/subscriptions?match_topic=t%2F1&qos=1", page(`{"clientid":"c","topic":"t/+","qos":1,"durable":true}`), 0, "c         t/+"},
		{"topics", "", "GET /api/v5/topics", page(`{"topic":"t/#"}`), 0, "FILTER\nt/#\n"},
		{"retained list r/#", "", "GET /api/v5/mqtt/retainer/messages?topic=r%2F%23", page(`{"topic":"r/1","payload_size":3}`), 0, "r/1"},
		{"retained get r/1", "", "GET /api/v5/mqtt/retainer/message/r%2F1", `200 {"payload":"AP8="}`, 0, "\x00\xff"},
		{"retained delete r/1", "", "DELETE /api/v5/mqtt/retainer/message/r%2F1", "204", 0, "r/1: nothing is retained there now\n"},
		{"retained clear --yes", "", "DELETE /api/v5/mqtt/retainer/messages", "204", 0, "nothing is retained now\n"},
		{"publish t -m hi --qos 1 --retain --user a=b", "", `POST /api/v5/publish {"payload":"aGk=","payload_encoding":"base64","properties":{"user_properties":{"a":"b"}},"qos":1,"retain":true,"topic":"t"}`,
			`200 {"id":"1"}`, 0, "published\n"},
		{"publish t -f -", "x", `POST /api/v5/publish {"payload":"eA==","payload_encoding":"base64","topic":"t"}`, `202 {"id":"1","reason_code":16,"message":"no_matching_subscribers"}`, 0, "nobody subscribes"},
		{"bans --as clientid", "", "GET /api/v5/banned?as=clientid", page(`{"as":"clientid","who":"c","until":"infinity"}`), 0, "infinity"},
		{"ban clientid c --reason x", "", `POST /api/v5/banned {"as":"clientid","reason":"x","who":"c"}`, `200 {"as":"clientid","who":"c"}`, 0, "who  c\n"},
		{"unban peerhost_net 10.0.0.0/8", "", "DELETE /api/v5/banned/peerhost_net/10.0.0.0%2F8", "204", 0, "10.0.0.0/8 is not banned\n"},
		{"users add u --superuser --role a --role b", "secret\n", "POST /api/v5" + usersPath + ` {"is_superuser":true,"password":"secret","roles":["a","b"],"user_id":"u"}`,
			`201 {"user_id":"u","is_superuser":true,"roles":["a","b"]}`, 0, "roles      a, b\n"},
		{"users passwd u", "s\n", "PUT /api/v5" + usersPath + `/u {"password":"s"}`, `200 {"user_id":"u"}`, 0, "user  u\n"},
		{"users change u --superuser=false", "", "PUT /api/v5" + usersPath + `/u {"is_superuser":false}`, `200 {"user_id":"u"}`, 0, "user  u\n"},
		{"users list --like u", "", "GET /api/v5" + usersPath + "?like_user_id=u", page(`{"user_id":"u","roles":[]}`), 0, "u"},
		{"users delete u", "", "DELETE /api/v5" + usersPath + "/u", "204", 0, "u is no user\n"},
		{"rules list users --like a", "", "GET /api/v5" + rulesPath + "/users?like_username=a", page(`{"username":"a","rules":[1,2]}`), 0, "a     2\n"},
		{"rules show all", "", "GET /api/v5" + rulesPath + "/all", `200 {"rules":[{"permission":"deny","action":"all","topic":"#"}]}`, 0, "deny"},
		{"rules set clients c/1", `[{"permission":"allow"}]`, "PUT /api/v5" + rulesPath + `/clients/c%2F1 {"rules":[{"permission":"allow"}]}`, "204", 0, "in effect"},
		{"rules set all", `[]`, "POST /api/v5" + rulesPath + `/all {"rules":[]}`, "204", 0, "in effect"},
		{"rules delete roles r", "", "DELETE /api/v5" + rulesPath + "/roles/r", "204", 0, "no such rules"},
		{"groups --name g", "", "GET /api/v5/groups?name=g", page(`{"name":"g","filter":"f","lag":7,"members":[{"clientid":"w","inflight":2,"connected":false}]}`), 0, "w (2) away"},
		{"listeners list", "", "GET /api/v5/listeners", `200 [{"id":"tcp:a","bind":"x:1","status":{"running":true,"max_connections":"infinity"}}]`, 0, "tcp:a     x:1      yes"},
		{"listeners stop tcp:a", "", "POST /api/v5/listeners/tcp:a/stop", "200", 0, "tcp:a is closed\n"},
		{"streams put s --filter a --filter b --keep-seconds 5", "", `PUT /api/v5/streams/s {"filters":["a","b"],"keep_seconds":5}`, `200 {"name":"s"}`, 0, "stream  s\n"},
		{"streams list --page 2", "", "GET /api/v5/streams?page=2", page(`{"name":"s"}`), 0, "s"},
		{"streams delete s", "", "DELETE /api/v5/streams/s", "204", 0, "s is no stream\n"},
		{"consumers list --limit 1", "", "GET /api/v5/consumers?limit=1", page(`{"name":"billing","filters":["o/#"],"lag":7,"push":{"url":"http://h/"}}`), 0, "billing   o/#      7"},
		{"consumers show billing", "", "GET /api/v5/consumers/billing", `200 {"name":"billing","lag":7,"position":"12-0"}`, 0, "position  12-0\n"},
		{"consumers put c --filter a --filter b --start earliest --ack-wait-seconds 5 --max-deliver 2 --dead-letter d --idle-expiry-seconds 9", "",
			`PUT /api/v5/consumers/c {"ack_wait_seconds":5,"dead_letter_topic":"d","filters":["a","b"],"idle_expiry_seconds":9,"max_deliver":2,"start":"earliest"}`,
			`200 {"name":"c"}`, 0, "consumer  c\n"},
		{"consumers put c --filter a --push-url http://h/ --push-header A=b --push-concurrency 2 --push-timeout-seconds 3", "",
			`PUT /api/v5/consumers/c {"filters":["a"],"push":{"concurrency":2,"headers":{"A":"b"},"timeout_seconds":3,"url":"http://h/"}}`,
			`200 {"name":"c","push":{"url":"http://h/","secret":"S"}}`, 0, "secret=S"},
		{"consumers messages c --max 2 --wait 1 --payload base64", "", "GET /api/v5/consumers/c/messages?max=2&payload_encoding=base64&wait_seconds=1",
			`200 {"data":[{"id":"12-0","topic":"o/1","payload":"a\u001b","deliveries":1}]}`, 0, "12-0  1           -   o/1    -    -     a\\x1b\n"},
		{"consumers ack c 12-0 13-0", "", `POST /api/v5/consumers/c/ack {"ids":["12-0","13-0"]}`, `200 {"count":1,"unknown":["13-0"]}`, 0, "acknowledged  1\nunknown       13-0\n"},
		{"consumers nack c 12-0 --delay-seconds 60", "", `POST /api/v5/consumers/c/nack {"delay_seconds":60,"ids":["12-0"]}`, `200 {"count":1,"unknown":[]}`, 0, "given back  1\n"},
		{"consumers delete c", "", "DELETE /api/v5/consumers/c", "204", 0, "c is no consumer\n"},
		{"config list limits.", "", "GET /api/v5/config?prefix=limits.", `200 {"data":[{"key":"limits.a","value":["x","y"],"source":"live","changeable":true}]}`, 0, "limits.a  x,y    live    yes\n"},
		{"config get a", "", "GET /api/v5/config?prefix=a", `200 {"data":[{"key":"a","value":false},{"key":"ab","value":1}]}`, 0, "false\n"},
		{"config set a=1 b=x=y --persist", "", `PUT /api/v5/config?persist=true {"a":"1","b":"x=y"}`, `200 {"changed":["a"]}`, 0, "a: changed for good\n"},
		{"config set a=1", "", `PUT /api/v5/config {"a":"1"}`, `200 {"changed":["a"]}`, 0, "a: changed until the restart; --persist keeps it\n"},
		{"config set a=1", "", `PUT /api/v5/config {"a":"1"}`, `200 {"changed":[]}`, 0, "the same already\n"},
		{"config reset a b", "", `PUT /api/v5/config {"a":null,"b":null}`, `200 {"changed":["a"]}`, 0, "a: as it was configured\n"},
		{"people list", "", "GET /api/v5/users", `200 [{"username":"admin","role":"administrator","backend":"config"}]`, 0, "admin  administrator  config"},
		{"people add eve --role viewer --desc x", "long enough\n", `POST /api/v5/users {"description":"x","password":"long enough","role":"viewer","username":"eve"}`,
			`200 {"username":"eve"}`, 0, "name  eve\n"},
		{"people change eve --role publisher", "", `PUT /api/v5/users/eve {"role":"publisher"}`, `200 {"username":"eve","role":"publisher"}`, 0, "role  publisher\n"},
		{"people passwd eve", "long enough\n", `PUT /api/v5/users/eve {"password":"long enough"}`, `200 {"username":"eve"}`, 0, "name  eve\n"},
		{"people delete eve", "", "DELETE /api/v5/users/eve", "204", 0, "eve cannot log in\n"},
		{"traces list", "", "GET /api/v5/trace", `200 [{"name":"t","type":"topic","topic":"a/#","status":"running","log_size":{"n":12},"lost":0,"full":false}]`, 0, "12     0     no\n"},
		{"traces start t --client c --payload text --format json", "", `POST /api/v5/trace {"clientid":"c","formatter":"json","name":"t","payload_encode":"text","type":"clientid"}`,
			`200 {"name":"t","type":"clientid","clientid":"c"}`, 0, "trace     t\n"},
		{"traces start t --topic a/#", "", `POST /api/v5/trace {"name":"t","topic":"a/#","type":"topic"}`, `200 {"name":"t"}`, 0, "trace  t\n"},
		{"traces start t --ip ::1", "", `POST /api/v5/trace {"ip_address":"::1","name":"t","type":"ip_address"}`, `409 {"code":"ALREADY_EXISTS","message":"m"}`, 1, ""},
		{"traces stop t", "", "PUT /api/v5/trace/t/stop", `200 {"name":"t","enable":false}`, 0, "t has ended\n"},
		{"traces download t --file -", "", "GET /api/v5/trace/t/download", "200 PK", 0, "PK"},
		{"traces delete t", "", "DELETE /api/v5/trace/t", "204", 0, "t is no trace\n"},
		{"keys create k --role client --publish a/#", "", `POST /api/v5/api_key {"name":"k","role":"client","topics":{"publish":["a/#"]}}`, `200 {"api_key":"K","api_secret":"S"}`, 0, "K:S\n"},
		{"keys disable k", "", `PUT /api/v5/api_key/k {"enable":false}`, `200 {"name":"k","enable":false}`, 0, "enabled  no\n"},
		{"explain c t --qos 2", "", "GET /api/v5/explain?clientid=c&qos=2&topic=t", `200 {"verdict":"It would not.","steps":[{"step":"session","ok":false}]}`, 0, "It would not.\n\nSTEP"},
		{"explain messages --client c --topic a/# --since 2030-01-01T00:00:00Z --limit 2", "", "GET /api/v5/explain/messages?clientid=c&limit=2&since=2030-01-01T00%3A00%3A00Z&topic=a%2F%23",
			page(`{"id":"1a","topic":"a/1","from_clientid":"p","qos":1,"payload_bytes":3,"summary":"dropped for \"c\": queue_full"}`), 0, `dropped for "c": queue_full`},
		{"explain message 1a", "", "GET /api/v5/explain/messages/1a", `200 {"topic":"a/1","summary":"dropped","events":[{"event":"dropped","clientid":"c\u001b","reason":"queue_full","count":4}]}`, 0, "a/1: dropped\n\nAT"},
		{"explain message 1a", "", "GET /api/v5/explain/messages/1a", `200 {"topic":"a/1","summary":"dropped","events":[{"event":"dropped","clientid":"c\u001b","reason":"queue_full","count":4}]}`, 0, `c\x1b`},
		{"explain message 1b", "", "GET /api/v5/explain/messages/1b", `404 {"code":"NOT_FOUND","message":"nothing is remembered"}`, 4, ""},
		{"explain events --client c --reason queue_full --json", "", "GET /api/v5/explain/events?clientid=c&reason=queue_full", page(`{"event":"dropped"}`), 0, `"event": "dropped"`},
		{"explain events --topic x", "", "GET /api/v5/explain/events?topic=x", `400 {"code":"BAD_REQUEST","message":"topic: …"}`, 1, ""},
		{"metrics --prefix messages.", "", "GET /api/v5/metrics?aggregate=true", `200 {"messages.received":3,"bytes.sent":7}`, 0, "VALUE\nmessages.received  3\n"},
		{"metrics --json --prefix bytes", "", "GET /api/v5/metrics?aggregate=true", `200 {"messages.received":3,"bytes.sent":7}`, 0, "{\n  \"bytes.sent\": 7\n}\n"},
		{"stats --prefix nothing", "", "GET /api/v5/stats?aggregate=true", `200 {"a":3}`, 1, ""},
		{"node", "", "GET /api/v5/nodes", `200 [{"node":"n1","version":"1.2.3"}]`, 0, "n1"},
		{"audit", "", "GET /api/v5/audit", page(`{"source":"admin","http_method":"POST"}`), 0, "admin"},
		{"clients show nobody", "", "GET /api/v5/clients/nobody", `404 {"code":"CLIENTID_NOT_FOUND","message":"there is no client \"nobody\""}`, 4, ""},
		{"ban ip x", "", `POST /api/v5/banned {"as":"ip","who":"x"}`, `400 {"code":"BAD_REQUEST","message":"as: …"}`, 1, ""},
		{"listeners stop tcp:a", "", "POST /api/v5/listeners/tcp:a/stop", "502 <html>", 1, ""},
	} {
		request, _, _ := strings.Cut(c.request, " {")
		f := &fake{answers: map[string]string{request: c.answer}}
		status, stdout, stderr := ctl(t, f, c.stdin, strings.Fields(c.args)...)
		if !slices.Contains(f.asked, c.request) {
			t.Errorf("%s: asked %q, not %q", c.args, f.asked, c.request)
		}
		if status != c.status || !strings.Contains(stdout, c.stdout) || (stderr == "") != (status == 0) || strings.Count(stderr, "\n") > 1 {
			t.Errorf("%s: status %d, printed\n%s\nand %q", c.args, status, stdout, stderr)
		}
	}
}

// growing is a fake whose trace has grown each time that its log is asked for, and stops after so many.
type growing struct {
	fake
	parts  []string
	listed int
}

func (g *growing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/api/v5/trace":
		status := "running"
		if g.listed++; g.listed >= len(g.parts) {
			status = "stopped"
		}
		g.answers["GET /api/v5/trace"] = `200 [{"name":"u","status":"stopped"},{"name":"t","status":"` + status + `"}]`
	case "/api/v5/trace/t/log":
		all := strings.Join(g.parts[:g.listed], "")
		position, _ := strconv.Atoi(r.URL.Query().Get("position"))
		items, _ := json.Marshal(all[position:])
		g.answers["GET /api/v5/trace/t/log"] = fmt.Sprintf(`200 {"meta":{"position":%d,"bytes":1},"items":%s}`, len(all), items)
	}
	g.fake.ServeHTTP(w, r)
}

func TestATraceIsFollowedUntilItEnds(t *testing.T) {
	for _, json := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "s")
		ln, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		g := &growing{fake: fake{answers: map[string]string{}}, parts: []string{"one\ntw", "o \x1b\n", "three\n"}}
		server := &httptest.Server{Listener: ln, Config: &http.Server{Handler: g}}
		server.Start()
		args, want := []string{"traces", "follow", "t"}, "one\ntwo \\x1b\nthree\n"
		if json {
			args, want = append(args, "--json"), "one\ntwo \x1b\nthree\n"
		}
		if status, stdout, stderr := ctlAt(path, "", args...); status != 0 || stdout != want || stderr != "" {
			t.Errorf("status %d, printed %q and %q", status, stdout, stderr)
		}
		if status, _, stderr := ctlAt(path, "", "traces", "follow", "none"); status != ExitNotFound || stderr == "" {
			t.Errorf("of none: status %d, %q", status, stderr)
		}
		server.Close()
	}
}

// With --json, every command prints JSON or nothing.
func TestJSONIsForScripts(t *testing.T) {
	f := &fake{answers: map[string]string{"GET /readyz": "200 ok", "GET /api/v5/listeners": "200 []"}}
	for _, l := range counted {
		f.answers["GET /api/v5"+l.path] = `200 {"data":[],"meta":{"count":3}}`
	}
	status, stdout, stderr := ctl(t, f, "", "--json", "status")
	var v map[string]any
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || status != 0 || stderr != "" || v["state"] != "ready" || v["sessions"] != 3.0 {
		t.Errorf("status %d, printed %q and %q: %v", status, stdout, stderr, err)
	}
	f = &fake{answers: map[string]string{"DELETE /api/v5/clients/a": "204", "DELETE /api/v5/api_key/a": "204"}}
	for _, args := range []string{"clients kick a --json", "--json keys delete a"} {
		if status, stdout, stderr := ctl(t, f, "", strings.Fields(args)...); status != 0 || stdout != "" || stderr != "" {
			t.Errorf("%s: status %d, printed %q and %q", args, status, stdout, stderr)
		}
	}
}

// Who adds users that nobody asks about is told.
func TestWhatIsNotInEffectIsSaid(t *testing.T) {
	f := &fake{answers: map[string]string{"POST /api/v5" + usersPath: `201 {"user_id":"u"}`, "PUT /api/v5" + rulesPath + "/users/u": "204",
		"GET /api/v5/authentication":        `200 [{"id":"password_based:built_in_database","enable":false}]`,
		"GET /api/v5/authorization/sources": `200 {"sources":[{"type":"built_in_database","enable":false}]}`}}
	for args, want := range map[string]string{"users add u": "auth.built_in.users", "rules set users u": "auth.built_in.rules"} {
		if status, _, stderr := ctl(t, f, "[]", strings.Fields(args)...); status != 0 || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, printed %q", args, status, stderr)
		}
	}
}

// What is given to config get and set, and cannot be had, is answered with what to do.
func TestWhatTheConfigurationRefuses(t *testing.T) {
	f := &fake{answers: map[string]string{
		"PUT /api/v5/config":                 `400 {"code":"BAD_REQUEST","message":"refused"}`,
		"GET /api/v5/config":                 `200 {"data":[{"key":"data_dir","source":"default","changeable":false},{"key":"limits.a","source":"live","changeable":true}]}`,
		"GET /api/v5/config?prefix=limits":   `200 {"data":[{"key":"limits.a"}]}`,
		"GET /api/v5/config?prefix=nonsense": `200 {"data":[]}`,
	}}
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"config set limits.a=x", ExitFailed, "config set: refused\n"},
		{"config get limits", ExitNotFound, "`barid ctl config list limits` shows"},
		{"config get nonsense", ExitNotFound, `there is no key "nonsense"`},
	} {
		if status, stdout, stderr := ctl(t, f, "", strings.Fields(c.args)...); status != c.status || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: status %d, printed %q and %q", c.args, status, stdout, stderr)
		}
	}
	if status, stdout, _ := ctl(t, f, "", "config", "list", "--changed"); status != 0 || !strings.Contains(stdout, "limits.a") || strings.Contains(stdout, "data_dir") {
		t.Errorf("--changed: status %d, printed %s", status, stdout)
	}
	status, stdout, _ := ctl(t, f, "", "config", "list", "--json")
	var v struct{ Data []any }
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || status != 0 || len(v.Data) != 2 {
		t.Errorf("--json: status %d, printed %s: %v", status, stdout, err)
	}
}

// The secret of a consumer's pushes is read from a file: what is on a command line, others may see.
func TestPushSecretIsReadFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("S\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &fake{answers: map[string]string{"PUT /api/v5/consumers/c": `200 {"name":"c"}`}}
	args := []string{"consumers", "put", "c", "--filter", "a", "--push-url", "http://h/", "--push-secret-file"}
	status, _, stderr := ctl(t, f, "", append(args, file)...)
	if want := `PUT /api/v5/consumers/c {"filters":["a"],"push":{"secret":"S","url":"http://h/"}}`; status != 0 || !slices.Contains(f.asked, want) {
		t.Errorf("status %d, asked %q, printed %s", status, f.asked, stderr)
	}
	f.asked = nil
	if status, _, stderr := ctl(t, f, "", append(args, file+".not")...); status != ExitFailed || len(f.asked) > 0 || !strings.Contains(stderr, "--push-secret-file") {
		t.Errorf("without the file: status %d, asked %q, printed %s", status, f.asked, stderr)
	}
}

// A log is longer than one answer, and is printed whole, with nothing in it that drives the terminal.
func TestTraceLogIsPrintedWhole(t *testing.T) {
	const at = "GET /api/v5/trace/t/log?bytes=1048576&position="
	f := &fake{answers: map[string]string{
		at + "0": `200 {"meta":{"position":5},"items":"one\nt"}`, at + "5": `200 {"meta":{"position":9},"items":"wo\u001b\n"}`, at + "9": `200 {"meta":{"position":9},"items":""}`,
	}}
	if status, stdout, stderr := ctl(t, f, "", "traces", "log", "t"); status != 0 || stdout != "one\ntwo\\x1b\n" || len(f.asked) != 3 {
		t.Errorf("status %d, printed %q and %q, asked %q", status, stdout, stderr, f.asked)
	}
	status, stdout, _ := ctl(t, f, "", "traces", "log", "t", "--json")
	var v struct{ Items string }
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || status != 0 || v.Items != "one\ntwo\x1b\n" {
		t.Errorf("--json: status %d, printed %s: %v", status, stdout, err)
	}
}

// An archive takes the place of no file.
func TestTraceDownloadOverwritesNothing(t *testing.T) {
	f := &fake{answers: map[string]string{"GET /api/v5/trace/t/download": "200 PK"}}
	file := filepath.Join(t.TempDir(), "t.zip")
	args := []string{"traces", "download", "t", "--file", file}
	if status, stdout, stderr := ctl(t, f, "", args...); status != 0 || !strings.Contains(stdout, "t.zip: 2 bytes") {
		t.Errorf("status %d, printed %q and %q", status, stdout, stderr)
	}
	f.answers["GET /api/v5/trace/t/download"] = "200 other"
	if status, _, stderr := ctl(t, f, "", args...); status != ExitFailed || !strings.Contains(stderr, "exists") {
		t.Errorf("again: status %d, printed %q", status, stderr)
	}
	if data, err := os.ReadFile(file); string(data) != "PK" {
		t.Errorf("the file holds %q: %v", data, err)
	}
}

func TestWrongUsage(t *testing.T) {
	for args, want := range map[string]string{
		"":                                   "Administer",
		"clents":                             `no command "clents"`,
		"client":                             "did you mean clients?",
		"clients":                            "clients what? clients list, clients show",
		"clients show":                       "CLIENTID is missing",
		"clients show a b":                   `unexpected argument "b"`,
		"clients list --colour":              "not defined: -colour",
		"clients list --limit x":             "a whole number",
		"publish t -m a -f b":                "exclude",
		"publish t --user x":                 "NAME=VALUE",
		"ban clientid c --for x":             "--for",
		"retained clear":                     "--yes",
		"rules show cats x":                  "clients, users, roles",
		"rules show users":                   "NAME is missing",
		"rules show all x":                   "no NAME",
		"--url localhost status":             "--url",
		"--url http://x status":              "API key",
		"--key a:b status":                   "--url",
		"traces start t":                     "one of --client",
		"traces start t --client c --ip ::1": "one of --client",
		"traces start t --ip ::1 --for x":    "--for",
		"keys create k --for tomorrow":       "--for",
		"config set a":                       "NAME=VALUE",
		"config set a=1 a=2":                 "of its own",
		"config set":                         "KEY=VALUE is missing",
		"consumers ack c":                    "ID is missing",
		"consumers":                          "consumers what? consumers list",
		"consumers put c --push-header A=b":  "--push-url",
		"consumers put c --push-url http://h --push-header A": "--push-header",
	} {
		f := &fake{}
		status, stdout, stderr := ctl(t, f, "", strings.Fields(args)...)
		if status != ExitUsage || stdout != "" || !strings.Contains(stderr, want) || len(f.asked) > 0 {
			t.Errorf("%q: status %d, printed %q and %q, asked %q", args, status, stdout, stderr, f.asked)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range []string{"--help", "help", "clients --help"} {
		if status, stdout, _ := ctlAt("", "", strings.Fields(args)...); status != 0 || !strings.Contains(stdout, "listeners restart") {
			t.Errorf("%s: status %d, printed %s", args, status, stdout)
		}
	}
	for i := range commands {
		words := strings.Fields(commands[i].words)
		for _, args := range [][]string{append(slices.Clone(words), "--help"), append([]string{"help"}, words...)} {
			if status, stdout, stderr := ctlAt("", "", args...); status != 0 || !strings.HasPrefix(stdout, "Usage: barid ctl "+commands[i].words) {
				t.Errorf("%v: status %d, printed %s and %s", args, status, stdout, stderr)
			}
		}
	}
}

func TestWhereNoBrokerAnswers(t *testing.T) {
	dir := t.TempDir()
	status, _, stderr := ctlAt(filepath.Join(dir, "none"), "", "status")
	if status != ExitUnreachable || !strings.Contains(stderr, "start it") {
		t.Errorf("without a socket: status %d, printed %s", status, stderr)
	}
	left := filepath.Join(dir, "left")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := ctlAt(left, "", "status"); status != ExitUnreachable || strings.Count(stderr, "\n") != 1 {
		t.Errorf("with one that nobody listens on: status %d, printed %s", status, stderr)
	}
}

func TestABrokerElsewhere(t *testing.T) {
	f := &fake{answers: map[string]string{"GET /api/v5/topics": `200 {"data":[],"meta":{"count":500,"hasnext":true}}`, "GET /api/v5/audit": `307 {}`,
		"GET /api/v5/groups": `401 {"code":"BAD_API_KEY_OR_SECRET","message":"wrong"}`}}
	server := httptest.NewTLSServer(f)
	defer server.Close()
	dir := t.TempDir()
	key, ca := filepath.Join(dir, "key"), filepath.Join(dir, "ca")
	if err := os.WriteFile(key, []byte("K:S\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--url", server.URL + "/api/v5/", "--key-file", key, "--cafile", ca}
	status, _, stderr := ctlAt("", "", append(args, "topics")...)
	if status != 0 || f.auth != "Basic SzpT" || !strings.Contains(stderr, "0 of 500") {
		t.Errorf("status %d, authorization %q, printed %s", status, f.auth, stderr)
	}
	if status, _, stderr := ctlAt("", "", append(args, "groups")...); status != ExitFailed || !strings.Contains(stderr, "keys create") {
		t.Errorf("with a wrong key: status %d, printed %s", status, stderr)
	}
	if status, _, _ := ctlAt("", "", append(args, "audit")...); status != ExitFailed {
		t.Errorf("a redirect: status %d", status)
	}
	if status, _, stderr := ctlAt("", "", append(args[:4:4], "topics")...); status != ExitUnreachable || !strings.Contains(stderr, "certificate") {
		t.Errorf("without its authority: status %d, printed %s", status, stderr)
	}
}

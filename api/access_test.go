package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/mqtt"
)

func TestBansOfEveryKindKeepClientsOutUntilTheyEnd(t *testing.T) {
	b := newBench(t).asAdmin()
	for i, c := range []struct{ as, who, kept string }{
		{"clientid", "c1", "c1"}, {"username", "eve", "eve"}, {"peerhost", "::ffff:192.0.2.1", "192.0.2.1"},
		{"clientid_re", "^bot-", "^bot-"}, {"username_re", "^x", "^x"}, {"peerhost_net", "198.51.100.7/24", "198.51.100.0/24"},
	} {
		body := fmt.Sprintf(`{"as":%q,"who":%q,"reason":"r%d"}`, c.as, c.who, i)
		got := b.ok("POST", "/banned", body)
		if got["who"] != c.kept || got["until"] != "infinity" || got["by"] != "admin" || got["at"] != "2030-01-02T03:04:05Z" {
			t.Errorf("%s: %v", body, got)
		}
		b.ok("POST", "/banned", body) // the same again
		b.fails("POST", "/banned", fmt.Sprintf(`{"as":%q,"who":%q,"reason":"another"}`, c.as, c.who), 400, "ALREADY_EXISTS", "who")
		if _, v := b.do("GET", "/banned?as="+c.as, ""); !slices.Equal(column(v, "who"), []string{c.kept}) {
			t.Errorf("%s: listed are %v", c.as, v)
		}
		for range 2 {
			path := "/banned/" + c.as + "/" + strings.NewReplacer("/", "%2F", "^", "%5E").Replace(c.who)
			if rec := b.raw("DELETE", Base+path, b.header, ""); rec.Code != http.StatusNoContent {
				t.Errorf("%s answered %d %s", path, rec.Code, rec.Body)
			}
		}
	}
	if _, v := b.do("GET", "/banned", ""); len(column(v, "who")) != 0 {
		t.Errorf("left are %v", v)
	}
}

func TestABanDisconnectsAndRefuses(t *testing.T) {
	b := newBench(t).asAdmin()
	d := b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "bot-1"})
	b.ok("POST", "/banned", `{"as":"clientid_re","who":"^bot-[0-9]+$","by":"ops","until":"2099-01-01T01:00:00+01:00"}`)
	if p, ok := d.receive().(*mqtt.Disconnect); !ok || p.Code != mqtt.AdministrativeAction {
		t.Errorf("the client got %v", p)
	}
	_, v := b.do("GET", "/banned?like_clientid=bot", "")
	if data := v.(map[string]any)["data"].([]any); len(data) != 1 || data[0].(map[string]any)["until"] != "2099-01-01T00:00:00Z" || data[0].(map[string]any)["by"] != "ops" {
		t.Errorf("listed: %v", v)
	}
	if code, _ := b.do("DELETE", "/banned", ""); code != http.StatusNoContent {
		t.Errorf("clearing answered %d", code)
	}
	b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "bot-1"})
}

func TestBansAreFiltered(t *testing.T) {
	b := newBench(t).asAdmin()
	for _, ban := range []string{`"clientid","who":"a1"`, `"clientid","who":"a2"`, `"clientid_re","who":"^a"`, `"username","who":"a1"`,
		`"peerhost","who":"10.0.0.1"`, `"peerhost_net","who":"10.0.0.0/8"`} {
		b.ok("POST", "/banned", `{"as":`+ban+`}`)
	}
	for query, want := range map[string][]string{
		"clientid=a1":                {"a1"},
		"clientid=a":                 {},
		"like_clientid=a":            {"a1", "a2", "^a"},
		"username=a1":                {"a1"},
		"peerhost=::ffff:10.0.0.1":   {"10.0.0.1"},
		"like_peerhost=10.":          {"10.0.0.1"},
		"like_peerhost_net=10.0":     {"10.0.0.0/8"},
		"like_username=a&clientid=a": {},
		"as=clientid&limit=1&page=2": {"a2"},
	} {
		code, v := b.do("GET", "/banned?"+query, "")
		if code != 200 || !slices.Equal(column(v, "who"), append([]string(nil), want...)) {
			t.Errorf("%s: %v, not %v", query, v, want)
		}
	}
}

func TestABanThatIsWrongIsRefused(t *testing.T) {
	b := newBench(t).asAdmin()
	for body, part := range map[string]string{
		`{"who":"x"}`:                                                              "as: is missing",
		`{"as":"ip","who":"x"}`:                                                    "as:",
		`{"as":"clientid"}`:                                                        "who: is missing",
		`{"as":"peerhost","who":"x"}`:                                              "who: ",
		`{"as":"clientid_re","who":"("}`:                                           "who: ",
		`{"as":"peerhost_net","who":"10.0.0.1"}`:                                   "who: ",
		`{"as":"clientid","who":"x","until":"soon"}`:                               "until:",
		`{"as":"clientid","who":"x","until":"2029-01-01T00:00:00Z"}`:               "until:",
		`{"as":"clientid","who":"x","until":-1}`:                                   "until:",
		`{"as":"clientid","who":"x","at":true}`:                                    "at:",
		`{"as":"clientid","who":"x","at":99999999999999999999999}`:                 "at:",
		`{"as":"clientid","who":"x","reason":"` + strings.Repeat("x", 5000) + `"}`: "reason:",
		`{"as":"clientid","who":"\u0000"}`:                                         "who: ",
	} {
		b.fails("POST", "/banned", body, 400, "BAD_REQUEST", part)
	}
	b.fails("DELETE", "/banned/ip/x", "", 400, "BAD_REQUEST", "as")
	b.fails("DELETE", "/banned/peerhost/x", "", 400, "BAD_REQUEST", "who")
}

const usersPath = "/authentication/password_based:built_in_database/users"

func TestMQTTUsersAreManaged(t *testing.T) {
	b := newBench(t).asAdmin()
	code, v := b.do("POST", usersPath, `{"user_id":"dev 1","password":"secret"}`)
	if code != http.StatusCreated || v.(map[string]any)["is_superuser"] != false {
		t.Fatalf("answered %d %v", code, v)
	}
	b.fails("POST", usersPath, `{"user_id":"dev 1","password":"x"}`, 409, "ALREADY_EXISTS", "dev 1")
	b.do("POST", usersPath, `{"user_id":"root","password":"x","is_superuser":true,"roles":["op"]}`)
	for query, want := range map[string][]string{
		"": {"dev 1", "root"}, "?like_user_id=dev": {"dev 1"}, "?is_superuser=true": {"root"}, "?role=op": {"root"}, "?limit=1&page=2": {"root"},
	} {
		if _, v := b.do("GET", usersPath+query, ""); !slices.Equal(column(v, "user_id"), want) {
			t.Errorf("%s: %v", query, v)
		}
	}
	before, _ := b.broker.Users().Get("dev 1")
	if got := b.ok("PUT", usersPath+"/dev%201", `{"is_superuser":true}`); got["is_superuser"] != true {
		t.Errorf("changed to %v", got)
	}
	if now, _ := b.broker.Users().Get("dev 1"); now.Hash != before.Hash {
		t.Error("the password that was left out changed")
	}
	b.ok("PUT", usersPath+"/dev%201", `{"user_id":"dev 1","password":"other"}`)
	if found, ok := b.broker.Users().Find("dev 1"); !ok || !found.Hash.Matches([]byte("other")) || !found.Superuser {
		t.Errorf("changed to %+v", found)
	}
	// EMQX's clients escape the colon.
	if rec := b.raw("GET", Base+"/authentication/password_based%3Abuilt_in_database/users/root", b.header, ""); rec.Code != 200 || strings.Contains(rec.Body.String(), "argon2") {
		t.Errorf("answered %d %s", rec.Code, rec.Body)
	}
	for range 2 {
		if code, _ := b.do("DELETE", usersPath+"/dev%201", ""); code != http.StatusNoContent {
			t.Errorf("removing answered %d", code)
		}
	}
	b.fails("GET", usersPath+"/dev%201", "", 404, "NOT_FOUND", "dev 1")
	b.fails("PUT", usersPath+"/dev%201", `{"password":"x"}`, 404, "NOT_FOUND", "dev 1")
	for body, part := range map[string]string{
		`{"password":"x"}`: "user_id", `{"user_id":"x"}`: "password", `{"user_id":"x","password":""}`: "password",
		`{"user_id":"x","password":"x","roles":[""]}`: "roles", `{"user_id":"x\u0000","password":"x"}`: "user_id",
		`{"user_id":"x","password":"x","is_superuser":"yes"}`: "is_superuser",
	} {
		b.fails("POST", usersPath, body, 400, "BAD_REQUEST", part)
	}
	b.fails("PUT", usersPath+"/root", `{"user_id":"other"}`, 400, "BAD_REQUEST", "user_id")
}

const rulesBase = "/authorization/sources/built_in_database/rules"

func TestRulesAreManaged(t *testing.T) {
	b := newBench(t).asAdmin()
	const rule = `{"permission":"allow","action":"publish","topic":"a/#"}`
	for _, k := range []struct{ plural, field string }{{"clients", "clientid"}, {"users", "username"}, {"roles", "role"}} {
		path := rulesBase + "/" + k.plural
		two := fmt.Sprintf(`[{%q:"x","rules":[%s]},{%q:"y","rules":[]}]`, k.field, rule, k.field)
		if code, v := b.do("POST", path, two); code != http.StatusNoContent {
			t.Fatalf("%s answered %d %v", path, code, v)
		}
		if _, v := b.do("GET", path+"?like_"+k.field+"=x", ""); !slices.Equal(column(v, k.field), []string{"x"}) {
			t.Errorf("%s: %v", path, v)
		}
		b.fails("POST", path, fmt.Sprintf(`[{%q:"z","rules":[]},{%q:"x","rules":[]}]`, k.field, k.field), 409, "ALREADY_EXISTS", "[1]."+k.field)
		b.fails("POST", path, fmt.Sprintf(`[{%q:"z","rules":[]},{%q:"z","rules":[]}]`, k.field, k.field), 400, "BAD_REQUEST", "[1]."+k.field)
		b.fails("GET", path+"/z", "", 404, "NOT_FOUND", "z") // nothing of these was kept
		if code, v := b.do("PUT", path+"/z", `{"rules":[`+rule+`,`+rule+`]}`); code != http.StatusNoContent {
			t.Errorf("PUT answered %d %v", code, v)
		}
		if got := b.ok("GET", path+"/z", ""); got[k.field] != "z" || len(got["rules"].([]any)) != 2 {
			t.Errorf("z has %v", got)
		}
		for body, part := range map[string]string{
			`{}`:                             "rules: is missing",
			`{"rules":null}`:                 "rules",
			`{"rules":{"pub":["#"]}}`:        "rules",
			`{"rules":[{"permission":"x"}]}`: "rules: rule 1",
			`{"rules":[{"permission":"allow","action":"all","topic":"a/#/b"}]}`: "rules: rule 1",
			`{"rules":[],"colour":"red"}`:                                       "colour",
			fmt.Sprintf(`{"rules":[],%q:"other"}`, k.field):                     k.field,
			fmt.Sprintf(`{"rules":[],%q:7}`, k.field):                           k.field,
		} {
			b.fails("PUT", path+"/z", body, 400, "BAD_REQUEST", part)
		}
		for range 2 {
			if code, _ := b.do("DELETE", path+"/z", ""); code != http.StatusNoContent {
				t.Errorf("removing answered %d", code)
			}
		}
	}
	if got := b.ok("GET", rulesBase+"/all", ""); len(got["rules"].([]any)) != 0 {
		t.Errorf("for all: %v", got)
	}
	b.fails("POST", rulesBase+"/all", `{}`, 400, "BAD_REQUEST", "rules: is missing")
	if code, _ := b.do("POST", rulesBase+"/all", `{"rules":[`+rule+`]}`); code != http.StatusNoContent {
		t.Errorf("for all answered %d", code)
	}
	if got := b.ok("GET", rulesBase+"/all", ""); len(got["rules"].([]any)) != 1 {
		t.Errorf("for all: %v", got)
	}
	if code, _ := b.do("DELETE", rulesBase+"/all", ""); code != http.StatusNoContent {
		t.Errorf("removing those for all answered %d", code)
	}
}

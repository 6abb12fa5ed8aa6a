package api

import (
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/mqtt"
)

func TestAnExplanationIsAVerdictWithItsSteps(t *testing.T) {
	b := newBench(t).asAdmin()
	b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "sub"}, "Site/#", "$share/g/jobs/#")
	b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "other"}, "$share/g/jobs/#")
	for query, want := range map[string][2]string{
		"clientid=sub&topic=Site/1":                       {"delivered", "Yes: "},
		"clientid=sub&topic=site/1&qos=2":                 {"not_delivered", "capitals"},
		"clientid=sub&topic=jobs/1":                       {"maybe", "2 members"},
		"clientid=nobody&topic=site/1":                    {"not_delivered", "no session"},
		"clientid=sub&topic=%24SYS/x&from_clientid=other": {"not_delivered", "$SYS"},
	} {
		e := b.ok("GET", "/explain?"+query, "")
		if e["outcome"] != want[0] || !strings.Contains(e["verdict"].(string), want[1]) {
			t.Errorf("%s: %v", query, e)
		}
		for _, s := range e["steps"].([]any) {
			if s := s.(map[string]any); s["ok"] != (s["effect"] == "none" || s["effect"] == "shares") {
				t.Errorf("%s: %v", query, s)
			}
		}
	}
	shared := b.ok("GET", "/explain?clientid=sub&topic=jobs/1", "")["subscriptions"].([]any)[0].(map[string]any)
	if group := shared["group"].(map[string]any); shared["kind"] != "shared" || group["members_cnt"] != 2.0 || group["name"] != "g" {
		t.Errorf("%v", shared)
	}
	b.fails("GET", "/explain?topic=t", "", 400, "BAD_REQUEST", "clientid")
	b.fails("GET", "/explain?clientid=c", "", 400, "BAD_REQUEST", "topic")
	b.fails("GET", "/explain?clientid=c&topic=t&qos=3", "", 400, "BAD_REQUEST", "qos")
	b.fails("GET", "/explain?clientid=c&topic=t&from=x", "", 400, "BAD_REQUEST", "from")
}

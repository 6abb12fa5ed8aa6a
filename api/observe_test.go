package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/monitor"
	"github.com/barid-mqtt/barid/mqtt"
)

func TestCountersAndStatisticsHaveEMQXsNames(t *testing.T) {
	b := newBench(t).asAdmin()
	b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "c", SessionExpirySeconds: 100}, "t")
	b.do("POST", "/publish", `{"topic":"t","payload":"x","qos":1}`)
	for path, want := range map[string]map[string]float64{
		"/metrics?aggregate=true": {"packets.connect.received": 1, "client.connected": 1, "messages.publish": 1, "messages.persisted": 1, "session.created": 1},
		"/nodes/n1/metrics":       {"packets.subscribe.received": 1, "packets.suback.sent": 1, "messages.dropped.await_pubrel_timeout": 0},
		"/stats?aggregate=true": {"connections.count": 1, "live_connections.count": 1, "live_connections.max": 1, "subscriptions.count": 1,
			"topics.count": 1, "durable_subscriptions.count": 1, "subscriptions.shared.count": 0, "retained.count": 0},
		"/nodes/n1/stats": {"sessions.count": 1, "routes.count": 1, "delayed.max": 0},
	} {
		got := b.ok("GET", path, "")
		for name, n := range want {
			if got[name] != n {
				t.Errorf("%s: %s is %v, not %v", path, name, got[name], n)
			}
		}
	}
	for _, path := range []string{"/metrics", "/stats?aggregate=false"} {
		_, v := b.do("GET", path, "")
		list, _ := v.([]any)
		if len(list) != 1 || list[0].(map[string]any)["node"] != "n1" || len(list[0].(map[string]any)) < 20 {
			t.Errorf("%s: %v", path, v)
		}
	}
}

func TestTheNodeIsDescribed(t *testing.T) {
	b := newBench(t).asAdmin()
	_, v := b.do("GET", "/nodes", "")
	one := b.ok("GET", "/nodes/n1", "")
	if list := v.([]any); len(list) != 1 || list[0].(map[string]any)["node"] != "n1" {
		t.Errorf("/nodes: %v", v)
	}
	if one["node_status"] != "running" || one["version"] != "1.2.3" || !strings.HasPrefix(one["otp_release"].(string), "go") {
		t.Errorf("the node: %v", one)
	}
	for _, path := range []string{"/nodes/n2", "/nodes/n2/metrics", "/nodes/n2/stats", "/monitor/nodes/n2", "/monitor_current/nodes/n2"} {
		b.fails("GET", path, "", 404, "NOT_FOUND", "n2")
	}
	for _, path := range []string{"/nodes", "/nodes/n1", "/metrics", "/stats", "/monitor", "/monitor_current", "/alarms"} {
		b.fails("GET", path+"?nonsense=1", "", 400, "BAD_REQUEST", "nonsense")
	}
}

func TestSamplesAreShownInEMQXsShape(t *testing.T) {
	b := newBench(t).asAdmin()
	now := time.Now().UTC().Truncate(monitor.Interval)
	for i := range 3 {
		b.broker.Monitor().Add(monitor.Sample{Time: now.Add(time.Duration(i-3) * monitor.Interval),
			Counts: monitor.Counts{Received: int64(i), Dropped: 7, Commits: 2, CommitTime: time.Second},
			States: monitor.States{Sessions: 5, Connected: 4, CommitSlow: 2 * time.Second}})
	}
	_, v := b.do("GET", "/monitor?latest=300", "")
	all, _ := v.([]any)
	if len(all) != 3 {
		t.Fatalf("%d samples: %v", len(all), v)
	}
	s := all[2].(map[string]any)
	for name, want := range map[string]float64{"time_stamp": float64(now.Add(-monitor.Interval).UnixMilli()), "connections": 5, "live_connections": 4,
		"received": 2, "dropped": 7, "commit_seconds_mean": 0.5, "commit_seconds_p99": 2} {
		if s[name] != want {
			t.Errorf("%s is %v, not %v", name, s[name], want)
		}
	}
	for query, n := range map[string]int{"": 0, "?latest=1": 0, "?latest=25": 1} { // without latest: every ten minutes
		_, v := b.do("GET", "/monitor"+query, "")
		if got, _ := v.([]any); len(got) > n+1 || got == nil {
			t.Errorf("%q: %d samples", query, len(got))
		}
	}
	b.fails("GET", "/monitor?latest=0", "", 400, "BAD_REQUEST", "latest")
	if code, _ := b.do("DELETE", "/monitor", ""); code != http.StatusNoContent {
		t.Errorf("deleting answered %d", code)
	}
	if _, v := b.do("GET", "/monitor/nodes/n1?latest=300", ""); len(v.([]any)) != 0 {
		t.Errorf("what is left: %v", v)
	}
}

func TestThePresentHasRates(t *testing.T) {
	b := newBench(t).asAdmin()
	d := b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "c"}, "t")
	for range 50 {
		d.send(&mqtt.Publish{Topic: []byte("t"), Payload: []byte("x")})
		d.receive()
	}
	got := b.ok("GET", "/monitor_current", "")
	if got["live_connections"] != 1.0 || got["subscriptions"] != 1.0 || got["topics"] != 1.0 || got["received_msg_rate"].(float64) < 4 || got["sent_msg_rate"].(float64) < 4 {
		t.Errorf("the present: %v", got)
	}
	if _, there := got["node_uptime"]; there {
		t.Error("the uptime of a node is shown for all nodes")
	}
	if got := b.ok("GET", "/monitor_current/nodes/n1", ""); got["node_uptime"] == nil {
		t.Errorf("the present of a node: %v", got)
	}
}

func TestAlarmsAreShownUntilTheyAreForgotten(t *testing.T) {
	b := newBench(t).asAdmin()
	b.broker.Alarms().Activate("oven_hot", "turn it down", map[string]any{"degrees": 300})
	b.broker.Alarms().Activate("zeppelin_late", "wait", nil)
	if _, v := b.do("GET", "/alarms?limit=1", ""); strings.Join(column(v, "name"), " ") != "oven_hot" || column(v, "deactivate_at")[0] != "infinity" ||
		v.(map[string]any)["meta"].(map[string]any)["hasnext"] != true {
		t.Errorf("active: %v", v)
	}
	if _, v := b.do("GET", "/alarms?activated=false", ""); len(column(v, "name")) != 0 {
		t.Errorf("over: %v", v)
	}
	b.broker.Alarms().Deactivate("oven_hot")
	if _, v := b.do("GET", "/alarms?activated=true", ""); strings.Join(column(v, "name"), " ") != "zeppelin_late" {
		t.Errorf("active after one ended: %v", v)
	}
	if _, v := b.do("GET", "/alarms?activated=false", ""); strings.Join(column(v, "name"), " ") != "oven_hot" || column(v, "deactivate_at")[0] == "infinity" || column(v, "message")[0] != "turn it down" {
		t.Errorf("over: %v", v)
	}
	if code, _ := b.do("DELETE", "/alarms", ""); code != http.StatusNoContent {
		t.Errorf("deleting answered %d", code)
	}
	if _, v := b.do("GET", "/alarms?activated=false", ""); len(column(v, "name")) != 0 {
		t.Errorf("left: %v", v)
	}
	if b.broker.Alarms().ActiveCount() != 1 {
		t.Error("an alarm that holds was deleted")
	}
	b.fails("GET", "/alarms?activated=perhaps", "", 400, "BAD_REQUEST", "activated")
}

package api

import (
	"fmt"
	"slices"
	"testing"

	"github.com/barid-mqtt/barid/mqtt"
)

func TestGroupsShowTheirMembersAndLag(t *testing.T) {
	b := newBench(t).asAdmin()
	worker := func(id string, expiry uint32) *device {
		c := &mqtt.Connect{Version: mqtt.V5, ClientID: id, SessionExpirySeconds: expiry, ReceiveMaximum: 2}
		return b.connect(c, "$share/jobs/j/#")
	}
	worker("w1", 100)
	w2 := worker("w2", 100)
	b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "e"}, "$share/fast/f")
	group := func(name string) map[string]any {
		_, v := b.do("GET", "/groups?name="+name, "")
		data := v.(map[string]any)["data"].([]any)
		if len(data) != 1 {
			t.Fatalf("%s: %v", name, v)
		}
		return data[0].(map[string]any)
	}
	for i := range 10 {
		b.ok("POST", "/publish", fmt.Sprintf(`{"topic":"j/%d","payload":"x","qos":1}`, i))
	}
	eventually(t, func() error {
		g, inFlight := group("jobs"), 0.0
		for _, m := range g["members"].([]any) {
			inFlight += m.(map[string]any)["inflight"].(float64)
		}
		if g["durable"] != true || g["strategy"] != "round_robin" || g["filter"] != "j/#" || inFlight != 4 || g["lag"] != 6.0 || g["lag_exact"] != true {
			return fmt.Errorf("%v", g)
		}
		return nil
	})
	if g := group("fast"); g["durable"] != false || g["lag"] != 0.0 || len(g["members"].([]any)) != 1 {
		t.Errorf("fast is %v", g)
	}
	_ = w2.c.Close()
	if _, v := b.do("GET", "/groups?limit=1&page=2", ""); !slices.Equal(column(v, "name"), []string{"jobs"}) {
		t.Errorf("page 2: %v", v)
	}
	if _, v := b.do("GET", "/groups?filter=nothing", ""); len(column(v, "name")) != 0 {
		t.Errorf("listed: %v", v)
	}
}

// What a group that is away has to give is counted in the log.
func TestTheLagOfAGroupThatSleepsIsCounted(t *testing.T) {
	b := newBench(t).asAdmin()
	d := b.connect(&mqtt.Connect{Version: mqtt.V5, ClientID: "w", SessionExpirySeconds: 100}, "$share/jobs/j/#")
	_ = d.c.Close()
	eventually(t, func() error {
		if v := b.ok("GET", "/clients/w", ""); v["connected"] != false {
			return fmt.Errorf("%v", v)
		}
		return nil
	})
	for i := range 7 {
		b.ok("POST", "/publish", fmt.Sprintf(`{"topic":"j/%d","payload":"x","qos":1}`, i))
	}
	eventually(t, func() error {
		_, v := b.do("GET", "/groups", "")
		if g := v.(map[string]any)["data"].([]any)[0].(map[string]any); g["lag"] != 7.0 {
			return fmt.Errorf("%v", g)
		}
		return nil
	})
}

package api

import (
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/mqtt"
)

// ping reports whether a client is still served.
func (d *device) ping() bool {
	d.t.Helper()
	d.send(&mqtt.Pingreq{})
	_, ok := d.receive().(*mqtt.Pingresp)
	return ok
}

func TestListenersAreStoppedAndStartedWithoutTheOthers(t *testing.T) {
	b := newBenchWith(t, func(c *config.Config) {
		c.Listeners["other"] = config.Listener{Type: config.TCP, Bind: "127.0.0.1:0", MaxConnections: 5}
	}).asAdmin()
	address := func(name string) string {
		v := b.ok("GET", "/listeners/tcp:"+name, "")
		return v["bind"].(string)
	}
	kept := b.connectTo(address("tcp"), &mqtt.Connect{Version: mqtt.V5, ClientID: "kept"})
	lost := b.connectTo(address("other"), &mqtt.Connect{Version: mqtt.V5, ClientID: "lost", SessionExpirySeconds: 100})
	if v := b.ok("GET", "/listeners/tcp:other", ""); v["current_connections"] != 1.0 || v["max_connections"] != 5.0 || v["running"] != true {
		t.Errorf("other is %v", v)
	}
	where := address("other")
	for range 2 {
		if code, v := b.do("POST", "/listeners/tcp:other/stop", ""); code != http.StatusOK {
			t.Fatalf("stop answered %d %v", code, v)
		}
	}
	if p, ok := lost.receive().(*mqtt.Disconnect); !ok || p.Code != mqtt.AdministrativeAction {
		t.Errorf("its client got %v", p)
	}
	_ = lost.c.Close()
	if c, err := net.Dial("tcp", where); err == nil {
		_ = c.Close()
		t.Error("the listener that was stopped takes connections")
	}
	if v := b.ok("GET", "/listeners/tcp:other", ""); v["running"] != false || v["enable"] != false {
		t.Errorf("stopped, it is %v", v)
	}
	if !kept.ping() {
		t.Error("another listener's client was dropped")
	}
	if v := b.ok("GET", "/clients/lost", ""); v["connected"] != false {
		t.Errorf("the session is %v", v)
	}
	for range 2 {
		if code, v := b.do("POST", "/listeners/tcp:other/start", ""); code != http.StatusOK {
			t.Fatalf("start answered %d %v", code, v)
		}
	}
	d := b.connectTo(address("other"), &mqtt.Connect{Version: mqtt.V5, ClientID: "lost"})
	if code, v := b.do("POST", "/listeners/tcp:other/restart", ""); code != http.StatusOK {
		t.Fatalf("restart answered %d %v", code, v)
	}
	if !d.ping() || !kept.ping() {
		t.Error("a restart dropped a client")
	}
	b.connectTo(address("other"), &mqtt.Connect{Version: mqtt.V5, ClientID: "late"})
	eventually(t, func() error {
		if v := b.ok("GET", "/listeners/tcp:other", ""); v["current_connections"] != 2.0 {
			return fmt.Errorf("connections are miscounted after a restart: %v", v)
		}
		return nil
	})
}

func TestListenersAreNamedByTypeAndName(t *testing.T) {
	b := newBench(t).asAdmin()
	_, v := b.do("GET", "/listeners?type=tcp", "")
	if list := v.([]any); len(list) != 1 || list[0].(map[string]any)["id"] != "tcp:tcp" {
		t.Errorf("listed: %v", v)
	}
	if _, v := b.do("GET", "/listeners?type=ssl", ""); len(v.([]any)) != 0 {
		t.Errorf("listed: %v", v)
	}
	for _, id := range []string{"tcp:x", "ws:tcp", "tcp", ":", "ssl:tcp"} {
		b.fails("GET", "/listeners/"+id, "", 404, "BAD_LISTENER_ID", id)
		b.fails("POST", "/listeners/"+id+"/stop", "", 404, "BAD_LISTENER_ID", id)
	}
	b.fails("GET", "/listeners?type=carrier-pigeon", "", 400, "BAD_REQUEST", "type")
}

func TestAListenerThatCannotOpenSaysWhy(t *testing.T) {
	b := newBenchWith(t, func(c *config.Config) {
		c.Listeners["unix"] = config.Listener{Type: config.Unix, Bind: t.TempDir() + "/s"}
	}).asAdmin()
	where := b.ok("GET", "/listeners/unix:unix", "")["bind"].(string)
	b.do("POST", "/listeners/unix:unix/stop", "")
	ln, err := net.Listen("unix", where)
	if err != nil {
		t.Fatal(err)
	}
	b.fails("POST", "/listeners/unix:unix/start", "", 400, "BAD_REQUEST", where)
	_ = ln.Close()
	if code, v := b.do("POST", "/listeners/unix:unix/start", ""); code != http.StatusOK {
		t.Errorf("answered %d %v", code, v)
	}
}

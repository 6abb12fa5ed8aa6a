package broker

import (
	"encoding/json"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/auth/builtin"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/mqtt"
	"github.com/barid-mqtt/barid/pkg/memnet"
)

// code connects a client and returns the code of its CONNACK.
func code(t *testing.T, b *Broker, c mqtt.Connect) mqtt.ReasonCode {
	t.Helper()
	p, ack := connect(t, b, &c)
	if ack == nil {
		t.Fatal("no CONNACK")
	}
	_ = p.conn.Close()
	synctest.Wait()
	return ack.Code
}

func TestABanEndsConnectionsAndOutlivesTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		p, _ := w.connect(&mqtt.Connect{ClientID: "c"})
		other, _ := w.connect(&mqtt.Connect{ClientID: "other"})
		if _, err := w.b.Ban(t.Context(), builtin.Ban{As: builtin.BanClientIDPattern, Who: "^c$", Until: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if d := next[*mqtt.Disconnect](t, p); d.Code != mqtt.AdministrativeAction {
			t.Errorf("DISCONNECT says %v", d.Code)
		}
		exchange[*mqtt.Pingresp](t, other, &mqtt.Pingreq{})
		w.crash()
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
			want := mqtt.Banned
			if v == mqtt.V311 {
				want = mqtt.NotAuthorized
			}
			if got := code(t, w.b, mqtt.Connect{ClientID: "c", Version: v, CleanStart: true}); got != want {
				t.Errorf("version %v: %v, want %v", v, got, want)
			}
		}
		pause(time.Hour + 2*time.Minute)
		if got := code(t, w.b, mqtt.Connect{ClientID: "c"}); got != mqtt.Success {
			t.Errorf("after the ban: %v", got)
		}
		if bans, _ := w.b.Bans().List(builtin.BanQuery{}); len(bans) != 0 {
			t.Errorf("bans are left: %+v", bans)
		}
	})
}

func TestAClientThatConnectsTooOftenIsBannedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBroker(t, []string{"auth.flapping.max_connects=3", "auth.flapping.window_seconds=60", "auth.flapping.ban_seconds=100"})
		for i, want := range []mqtt.ReasonCode{0, 0, 0, 0, mqtt.Banned, mqtt.Banned} { // the fourth is one too many
			if got := code(t, b, mqtt.Connect{ClientID: "c"}); got != want {
				t.Errorf("connection %d: %v, want %v", i+1, got, want)
			}
		}
		if got := code(t, b, mqtt.Connect{ClientID: "other"}); got != mqtt.Success {
			t.Errorf("another client: %v", got)
		}
		pause(100 * time.Second)
		for range 10 {
			if got := code(t, b, mqtt.Connect{ClientID: "c"}); got != mqtt.Success {
				t.Errorf("slowly: %v", got)
			}
			pause(30 * time.Second)
		}
		if b.metrics.Hits(metrics.LimitFlapping) == 0 || b.metrics.Hits(metrics.LimitBan) == 0 {
			t.Error("not counted")
		}
		stopBroker(t, b)
	})
}

func TestFailuresAreAnsweredWithADelayAndAlarmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBroker(t, []string{"listeners.tcp.allow_anonymous=false"})
		b.listeners["tcp"].authenticator = auth.Nobody{}
		pause(90 * time.Second)
		for range failureAlarm - 2 {
			b.metrics.Hit(metrics.LimitAuthenticationFailure)
		}
		for range 2 {
			if got := code(t, b, mqtt.Connect{ClientID: "c"}); got != mqtt.NotAuthorized {
				t.Errorf("got %v", got)
			}
		}
		pause(time.Minute)
		if a := b.alarms.Active(); len(a) != 1 || a[0].Name != "authentication_failures" {
			t.Errorf("alarms %+v", a)
		}
		pause(time.Minute)
		if n := b.alarms.ActiveCount(); n != 0 {
			t.Errorf("%d alarms a minute later", n)
		}
		stopBroker(t, b)
	})
}

// fromAddress is a connection from an address, which counts for something.
type fromAddress struct{ net.Conn }

func (fromAddress) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1234} }

// However late a failure is answered, it is answered: before the time to connect is over.
func TestFailuresAreAnsweredBeforeTheTimeToConnectIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBroker(t, []string{"listeners.tcp.allow_anonymous=false", "mqtt.connect_timeout_seconds=2"})
		b.listeners["tcp"].authenticator = auth.Nobody{}
		begun := time.Now()
		for range 12 {
			client, server := memnet.Pipe()
			if err := b.Serve(fromAddress{server}, "tcp"); err != nil {
				t.Fatal(err)
			}
			p, ack := handshake(t, client, &mqtt.Connect{ClientID: "c"})
			if ack == nil || ack.Code != mqtt.NotAuthorized {
				t.Fatalf("got %+v", ack)
			}
			_ = p.conn.Close()
		}
		if took := time.Since(begun); took < 5*time.Second {
			t.Errorf("they were answered within %v", took)
		}
		stopBroker(t, b)
	})
}

func TestBuiltInUsersAndRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBroker(t, []string{"auth.built_in.users=true", "auth.built_in.rules=true"})
		g := &guarded{t: t, b: b}
		super, roles := true, []string{"reader"}
		for name, c := range map[string]builtin.UserChange{
			"root": {Password: []byte("pw"), Superuser: &super}, "bob": {Password: []byte("pw"), Roles: &roles},
		} {
			if err := b.Users().Set(t.Context(), name, c); err != nil {
				t.Fatal(err)
			}
		}
		reader := builtin.Subject{Kind: builtin.ForRole, Who: "reader"}
		set := func(topic string) {
			rules := json.RawMessage(`[{"permission":"allow","action":"subscribe","topic":"` + topic + `"}]`)
			if err := b.Rules().Set(t.Context(), reader, rules); err != nil {
				t.Fatal(err)
			}
		}
		set("a/#")
		if got := code(t, b, mqtt.Connect{ClientID: "x"}); got != mqtt.NotAuthorized {
			t.Errorf("without credentials: %v", got)
		}
		if got := code(t, b, mqtt.Connect{ClientID: "x", HasUsername: true, Username: "bob", HasPassword: true, Password: []byte("no")}); got != mqtt.BadUserNameOrPassword {
			t.Errorf("with a wrong password: %v", got)
		}
		root := g.connect("root", mqtt.Connect{HasPassword: true, Password: []byte("pw")})
		bob := g.connect("bob", mqtt.Connect{HasPassword: true, Password: []byte("pw")})
		if code := g.subscribe(bob, "a/#"); code != 1 {
			t.Errorf("subscribing: %v", code)
		}
		g.publish(root, "a/1", "b")
		g.want(bob, "a/1")
		set("a/2")
		g.publish(root, "a/1", "a/2")
		g.want(bob, "a/2")
		if err := b.Rules().Delete(t.Context(), reader); err != nil {
			t.Fatal(err)
		}
		g.publish(root, "a/1", "a/2")
		g.want(bob, "")
		stopBroker(t, b)
	})
}

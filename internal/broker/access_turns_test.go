package broker

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/auth/builtin"
	"github.com/barid-mqtt/barid/mqtt"
)

// This file is about permissions that turn while something is under way.

// What was granted as a whole says nothing about a subscription that is made after the first delivery.
func TestALaterSubscriptionIsJudgedByItself(t *testing.T) {
	guard(t, "user bob\ntopic read a/#\n", nil, func(g *guarded) {
		root, bob := g.connect("root", mqtt.Connect{}), g.connect("bob", mqtt.Connect{})
		g.subscribe(bob, "a/#")
		g.publish(root, "a/1")
		g.want(bob, "a/1") // from now on it is known that all is granted
		g.subscribe(bob, "#")
		g.publish(root, "secret", "a/2")
		g.want(bob, "a/2")
	})
}

// A message that waits for room in the client's window is judged when it is sent, not when it was queued.
func TestWhatWaitsIsJudgedWhenItIsSent(t *testing.T) {
	for _, expiry := range []uint32{0, 1000} {
		guard(t, "user bob\ntopic read a/#\n", nil, func(g *guarded) {
			root := g.connect("root", mqtt.Connect{})
			bob := g.connect("bob", mqtt.Connect{SessionExpirySeconds: expiry, ReceiveMaximum: 1})
			g.subscribe(bob, "a/#")
			g.publish(root, "a/1", "a/2", "a/3")
			first := next[*mqtt.Publish](t, bob) // not acknowledged
			g.write("user bob\ntopic read a/#\ntopic deny a/2\n")
			if err := g.b.Reload(); err != nil {
				t.Fatal(err)
			}
			sendTo(t, bob, &mqtt.Puback{Ack: mqtt.Ack{PacketID: first.PacketID}})
			g.want(bob, "a/3")
		})
	}
}

// Whoever takes a session over gets by it what its own rules grant: not what waits in it, is in flight, or is retained.
func TestASessionOfAnotherUserGivesNothingAway(t *testing.T) {
	guard(t, "user bob\ntopic read a/#\nuser eve\ntopic read e\n", nil, func(g *guarded) {
		root := g.connect("root", mqtt.Connect{})
		bob := g.connect("bob", mqtt.Connect{ClientID: "id", SessionExpirySeconds: 1000, ReceiveMaximum: 2})
		g.subscribe(bob, "a/#")
		g.subscribe(bob, "$share/g/a/#")
		g.publish(root, "a/1", "a/2", "a/3") // some in flight, some waiting
		next[*mqtt.Publish](t, bob)
		_ = bob.conn.Close()
		synctest.Wait()
		g.publish(root, "a/4")
		eve := g.connect("eve", mqtt.Connect{ClientID: "id", SessionExpirySeconds: 1000})
		g.publish(root, "a/5", "e")
		g.want(eve, "")
		if code := g.subscribe(eve, "e"); code.Failed() {
			t.Error(code)
		}
		g.publish(root, "a/6", "e")
		g.want(eve, "e")
	})
}

// Retained messages are replayed by the rules of now, each by its own topic.
func TestRetainedMessagesAreJudgedOneByOne(t *testing.T) {
	guard(t, "user bob\ntopic read a/1\ntopic read a/3\n", nil, func(g *guarded) {
		root, bob := g.connect("root", mqtt.Connect{}), g.connect("bob", mqtt.Connect{})
		for i, topic := range []string{"a/1", "a/2", "a/3"} {
			exchange[*mqtt.Puback](t, root, &mqtt.Publish{Topic: []byte(topic), QoS: 1, PacketID: uint16(i + 1), Retain: true, Payload: []byte("x")})
		}
		g.subscribe(bob, "a/+")
		g.want(bob, "a/1 a/3")
	})
}

// swap is a method by which a client is whoever it says it is, as often as it likes.
type swap struct{}

func (swap) Name() string                      { return "SWAP" }
func (swap) Start(*auth.Request) auth.Exchange { return swap{} }
func (swap) Next(_ context.Context, data []byte) ([]byte, auth.Identity, bool, error) {
	if len(data) == 0 {
		return nil, auth.Identity{}, false, mqtt.NotAuthorized
	}
	return nil, auth.Identity{ClientID: "c", Username: string(data)}, true, nil
}

// Whoever a client has proved to be last is who its next packets and deliveries are judged as.
func TestAuthenticatingAgainIsJudgedAnew(t *testing.T) {
	guard(t, "user bob\ntopic readwrite b/#\n", nil, func(g *guarded) {
		g.b.methods["SWAP"] = swap{}
		root := g.connect("root", mqtt.Connect{})
		p, ack := connect(t, g.b, &mqtt.Connect{ClientID: "c", HasAuthMethod: true, AuthMethod: "SWAP", AuthData: []byte("root")})
		if ack == nil || ack.Code.Failed() {
			t.Fatalf("CONNACK %+v", ack)
		}
		again := func(user string) {
			exchange[*mqtt.Auth](t, p, &mqtt.Auth{Code: mqtt.ReAuthenticate, HasAuthMethod: true, AuthMethod: "SWAP", AuthData: []byte(user)})
		}
		g.publish(p, "secret")
		g.subscribe(p, "#")
		g.publish(root, "secret")
		g.want(p, "secret")
		again("bob")
		if code := exchange[*mqtt.Puback](t, p, &mqtt.Publish{Topic: []byte("secret"), QoS: 1, PacketID: 1}).Code; code != mqtt.NotAuthorized {
			t.Errorf("publishing as bob: %v", code)
		}
		g.publish(root, "secret", "b/1")
		g.want(p, "b/1")
		again("root")
		g.publish(root, "secret")
		g.want(p, "secret")
		sendTo(t, p, &mqtt.Auth{Code: mqtt.ReAuthenticate, HasAuthMethod: true, AuthMethod: "SWAP"})
		if d := next[*mqtt.Disconnect](t, p); d.Code != mqtt.NotAuthorized {
			t.Errorf("a failure ends the connection with %v", d.Code)
		}
	})
}

// A ban is about the name that a client has proved, whatever it said.
func TestABanIsAboutTheNameThatWasProved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBroker(t, nil, WithAuthenticator(stub{identity: auth.Identity{Username: "proved"}}))
		if _, err := b.Ban(t.Context(), builtin.Ban{As: builtin.BanUsername, Who: "proved"}); err != nil {
			t.Fatal(err)
		}
		if got := code(t, b, mqtt.Connect{ClientID: "c", HasUsername: true, Username: "said"}); got != mqtt.Banned {
			t.Errorf("%v, want %v", got, mqtt.Banned)
		}
		stopBroker(t, b)
	})
}

// A ban reaches those who are connected, by every kind of it, and nobody else.
func TestABanReachesThoseWhoAreConnected(t *testing.T) {
	guard(t, "", nil, func(g *guarded) {
		for _, as := range []builtin.Ban{{As: builtin.BanUsername, Who: "bob"}, {As: builtin.BanClientID, Who: "id"}} {
			bob, root := g.connect("bob", mqtt.Connect{ClientID: "id"}), g.connect("root", mqtt.Connect{})
			made, err := g.b.Ban(g.t.Context(), as)
			if err != nil {
				t.Fatal(err)
			}
			if d := next[*mqtt.Disconnect](t, bob); d.Code != mqtt.AdministrativeAction {
				t.Errorf("%v: %v", as.As, d.Code)
			}
			exchange[*mqtt.Pingresp](t, root, &mqtt.Pingreq{})
			if err := g.b.Bans().Delete(g.t.Context(), made.As, made.Who); err != nil {
				t.Fatal(err)
			}
			_ = root.conn.Close()
			synctest.Wait()
		}
	})
}

// A will goes where its listener's clients publish, and is judged there.
func TestAWillIsJudgedWhereItGoes(t *testing.T) {
	guard(t, "user bob\ntopic write m/ok\n", []string{"listeners.tcp.mount_point=m/"}, func(g *guarded) {
		root := g.connect("root", mqtt.Connect{})
		g.subscribe(root, "#")
		for topic, want := range map[string]mqtt.ReasonCode{"ok": mqtt.Success, "m/ok": mqtt.NotAuthorized} {
			p, ack := connect(t, g.b, &mqtt.Connect{ClientID: "bob", HasUsername: true, Username: "bob", Will: &mqtt.Will{Topic: topic}})
			if ack == nil || ack.Code != want {
				t.Errorf("%s: CONNACK %+v, want %v", topic, ack, want)
			}
			_ = p.conn.Close()
			synctest.Wait()
		}
		g.want(root, "ok") // without the mount point, which is root's too
	})
}

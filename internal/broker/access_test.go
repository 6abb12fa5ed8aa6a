package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/mqtt"
)

// guarded is a broker whose users may do what an ACL file says; the user root may do everything.
type guarded struct {
	t   *testing.T
	b   *Broker
	acl string
}

const rootACL = "user root\ntopic #\ntopic $SYS/#\n"

// guard runs a test with such a broker in virtual time. Clients prove nothing: what a username is worth is not tested here.
func guard(t *testing.T, acl string, sets []string, test func(g *guarded)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		g := &guarded{t: t, acl: filepath.Join(dir, "acl")}
		g.write(acl)
		g.b = newTestBroker(t, append([]string{"auth.acl_file=" + g.acl}, sets...))
		defer func() {
			if err := g.b.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		test(g)
	})
}

func (g *guarded) write(acl string) {
	g.t.Helper()
	if err := os.WriteFile(g.acl, []byte(rootACL+acl), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

func (g *guarded) connect(user string, c mqtt.Connect) *peer {
	g.t.Helper()
	c.HasUsername, c.Username = true, user
	if c.ClientID == "" {
		c.ClientID = user
	}
	p, ack := connect(g.t, g.b, &c)
	if ack == nil || ack.Code.Failed() {
		g.t.Fatalf("%s: CONNACK %+v", user, ack)
	}
	return p
}

// got returns the topics of the messages that came before now.
func (g *guarded) got(p *peer) string {
	g.t.Helper()
	synctest.Wait()
	if err := p.conn.SetReadDeadline(time.Time{}); err != nil { // that next has set
		g.t.Fatal(err)
	}
	sendTo(g.t, p, &mqtt.Pingreq{})
	var topics []string
	for {
		pk, err := p.receive()
		if err != nil {
			g.t.Fatal(err)
		}
		switch pk := pk.(type) {
		case *mqtt.Publish:
			topics = append(topics, string(pk.Topic))
			if pk.QoS == mqtt.AtLeastOnce {
				sendTo(g.t, p, &mqtt.Puback{Ack: mqtt.Ack{PacketID: pk.PacketID}})
			}
		case *mqtt.Pingresp:
			return strings.Join(topics, " ")
		default:
			g.t.Fatalf("got %+v", pk)
		}
	}
}

func (g *guarded) want(p *peer, topics string) {
	g.t.Helper()
	if got := g.got(p); got != topics {
		g.t.Errorf("got %q, want %q", got, topics)
	}
}

func (g *guarded) publish(p *peer, topics ...string) {
	g.t.Helper()
	for _, topic := range topics {
		ack := exchange[*mqtt.Puback](g.t, p, &mqtt.Publish{Topic: []byte(topic), QoS: mqtt.AtLeastOnce, PacketID: 1, Payload: []byte("x")})
		if ack.Code.Failed() {
			g.t.Errorf("publishing %s: %v", topic, ack.Code)
		}
	}
}

// subscribe subscribes with QoS 1 and returns the code of the SUBACK.
func (g *guarded) subscribe(p *peer, filter string) mqtt.ReasonCode {
	g.t.Helper()
	return exchange[*mqtt.Suback](g.t, p,
		&mqtt.Subscribe{PacketID: 9, Filters: []mqtt.FilterOptions{{Filter: filter, QoS: mqtt.AtLeastOnce}}}).Codes[0]
}

func TestWhatIsNotGrantedIsNotDelivered(t *testing.T) {
	guard(t, "user bob\ntopic read a/+\ntopic deny a/secret\ntopic write w\n", nil, func(g *guarded) {
		root, bob := g.connect("root", mqtt.Connect{}), g.connect("bob", mqtt.Connect{})
		if code := exchange[*mqtt.Puback](t, root, &mqtt.Publish{Topic: []byte("a/secret"), QoS: 1, PacketID: 7, Retain: true, Payload: []byte("x")}).Code; code.Failed() {
			t.Fatal(code)
		}
		for _, c := range []struct {
			filter string
			code   mqtt.ReasonCode
		}{{"w", mqtt.NotAuthorized}, {"a/secret", mqtt.NotAuthorized}, {"b/#", mqtt.NotAuthorized}, {"$SYS/#", mqtt.NotAuthorized},
			{"$share/g/b/#", mqtt.NotAuthorized}, {"a/b/c", mqtt.NotAuthorized}, {"a/b", 1}, {"+/#", 1}} {
			if code := g.subscribe(bob, c.filter); code != c.code {
				t.Errorf("%s: %v, want %v", c.filter, code, c.code)
			}
		}
		g.publish(root, "a/b", "a/secret", "b", "a", "a/c", "w", "a/b/c")
		g.want(bob, "a/b a/c")
		if n := g.b.metrics.Dropped(message.DropNotAuthorized); n != 5 {
			t.Errorf("%d drops are counted, not 5", n)
		}
	})
}

// A QoS 1 message that is not delivered leaves nothing in flight, however many there are.
func TestWhatIsNotDeliveredTakesNoRoom(t *testing.T) {
	guard(t, "user bob\ntopic read a/#\n", []string{"session.in_flight_max=2"}, func(g *guarded) {
		root, bob := g.connect("root", mqtt.Connect{}), g.connect("bob", mqtt.Connect{SessionExpirySeconds: 100})
		g.subscribe(bob, "#")
		for range 5 {
			g.publish(root, "b", "b")
		}
		g.publish(root, "a/1")
		g.want(bob, "a/1")
	})
}

func TestRulesThatChangeHoldForSubscriptionsAndSleepersAtOnce(t *testing.T) {
	guard(t, "user bob\ntopic read a/#\nuser sleeper\ntopic read a/#\n", nil, func(g *guarded) {
		root, bob := g.connect("root", mqtt.Connect{}), g.connect("bob", mqtt.Connect{})
		sleeper := g.connect("sleeper", mqtt.Connect{SessionExpirySeconds: 1000})
		g.subscribe(bob, "a/#")
		g.subscribe(sleeper, "a/#")
		_ = sleeper.conn.Close()
		synctest.Wait()
		g.publish(root, "a/1", "a/2")
		g.want(bob, "a/1 a/2")
		g.write("user bob\ntopic read a/1\nuser sleeper\ntopic read a/2\n")
		if err := g.b.Reload(); err != nil {
			t.Fatal(err)
		}
		g.publish(root, "a/1", "a/2")
		g.want(bob, "a/1")
		sleeper = g.connect("sleeper", mqtt.Connect{SessionExpirySeconds: 1000})
		g.want(sleeper, "a/2 a/2")
		g.write("user bob\ntopic read a/#\n")
		if err := g.b.Reload(); err != nil {
			t.Fatal(err)
		}
		g.publish(root, "a/1", "a/2")
		g.want(bob, "a/1 a/2")
		g.want(sleeper, "")
	})
}

func TestFilesAreWatchedAndABrokenOneChangesNothing(t *testing.T) {
	guard(t, "user bob\ntopic read a\n", nil, func(g *guarded) {
		root, bob := g.connect("root", mqtt.Connect{}), g.connect("bob", mqtt.Connect{})
		g.subscribe(bob, "a")
		g.write("user bob\ntopicc read a\n")
		pause(5 * time.Second)
		g.publish(root, "a")
		g.want(bob, "a")
		alarms := g.b.alarms.Active()
		if len(alarms) != 1 || alarms[0].Name != "acl_file_unusable" || !strings.Contains(alarms[0].Message, "acl:5: \"topicc\"") {
			t.Errorf("alarms: %+v", alarms)
		}
		if err := g.b.Reload(); err == nil || !strings.Contains(err.Error(), "acl:5: ") {
			t.Errorf("reloading says %v", err)
		}
		g.write("user bob\ntopic read b\n")
		pause(5 * time.Second)
		g.publish(root, "a")
		g.want(bob, "")
		if n := g.b.alarms.ActiveCount(); n != 0 {
			t.Errorf("%d alarms are left", n)
		}
	})
}

func TestPublishingIsJudgedByWhereTheMessageGoes(t *testing.T) {
	guard(t, "user bob\ntopic write ok/#\ntopic write m/ok/#\n", []string{"listeners.tcp.mount_point=m/"}, func(g *guarded) {
		bob := g.connect("bob", mqtt.Connect{})
		for _, c := range []struct {
			topic string
			code  mqtt.ReasonCode
		}{
			{"ok/1", mqtt.NoMatchingSubscribers}, // m/ok/1, by the mount point
			{"no", mqtt.NotAuthorized},
			{"$delayed/1/ok/1", mqtt.NotAuthorized}, // m/$delayed/… is a topic as any other
		} {
			ack := exchange[*mqtt.Puback](t, bob, &mqtt.Publish{Topic: []byte(c.topic), QoS: 1, PacketID: 1})
			if ack.Code != c.code {
				t.Errorf("%s: %v, want %v", c.topic, ack.Code, c.code)
			}
		}
	})
	guard(t, "user bob\ntopic write ok/#\n", nil, func(g *guarded) {
		bob := g.connect("bob", mqtt.Connect{})
		alias := func(topic string, alias uint16) *mqtt.Publish {
			p := &mqtt.Publish{Topic: []byte(topic), QoS: 1, PacketID: 1}
			p.Properties.TopicAlias = alias
			p.Properties.Present |= 1 << mqtt.PropTopicAlias
			return p
		}
		for _, c := range []struct {
			publish *mqtt.Publish
			code    mqtt.ReasonCode
		}{
			{alias("ok/1", 1), mqtt.NoMatchingSubscribers}, {alias("no", 2), mqtt.NotAuthorized},
			{alias("", 1), mqtt.NoMatchingSubscribers}, {alias("", 2), mqtt.NotAuthorized},
			{&mqtt.Publish{Topic: []byte("$delayed/1/ok/1"), QoS: 1, PacketID: 1}, mqtt.Success},
			{&mqtt.Publish{Topic: []byte("$delayed/1/no"), QoS: 1, PacketID: 1}, mqtt.NotAuthorized},
			{&mqtt.Publish{Topic: []byte("$SYS/x"), QoS: 1, PacketID: 1}, mqtt.NotAuthorized},
		} {
			if ack := exchange[*mqtt.Puback](t, bob, c.publish); ack.Code != c.code {
				t.Errorf("%s %d: %v, want %v", c.publish.Topic, c.publish.Properties.TopicAlias, ack.Code, c.code)
			}
		}
	})
}

func TestAWillMustBeAllowedAtConnect(t *testing.T) {
	guard(t, "user bob\ntopic write ok/#\n", nil, func(g *guarded) {
		for topic, want := range map[string]mqtt.ReasonCode{"ok/1": mqtt.Success, "no": mqtt.NotAuthorized, "$delayed/3/no": mqtt.NotAuthorized,
			"$delayed/3/ok/1": mqtt.Success, "$SYS/x": mqtt.NotAuthorized, "$delayed/3/$SYS/x": mqtt.NotAuthorized} {
			p, ack := connect(t, g.b, &mqtt.Connect{ClientID: "bob", HasUsername: true, Username: "bob", Will: &mqtt.Will{Topic: topic}})
			if ack == nil || ack.Code != want {
				t.Errorf("%s: CONNACK %+v, want %v", topic, ack, want)
			}
			_ = p.conn.Close()
		}
	})
}

func TestAMessageThatAMemberMayNotHaveGoesToAnother(t *testing.T) {
	for _, expiry := range []uint32{0, 1000} {
		guard(t, "user bob\ntopic read a/#\nuser carol\ntopic read #\nuser dave\ntopic read b\n", nil, func(g *guarded) {
			root := g.connect("root", mqtt.Connect{})
			bob, carol := g.connect("bob", mqtt.Connect{SessionExpirySeconds: expiry}), g.connect("carol", mqtt.Connect{SessionExpirySeconds: expiry})
			for _, p := range []*peer{bob, carol} {
				if code := g.subscribe(p, "$share/g/#"); code.Failed() {
					t.Fatal(code)
				}
			}
			g.publish(root, "b/1", "b/2", "b/3", "b/4")
			g.want(bob, "")
			g.want(carol, "b/1 b/2 b/3 b/4")
			sendTo(t, carol, &mqtt.Unsubscribe{PacketID: 1, Filters: []string{"$share/g/#"}})
			next[*mqtt.Unsuback](t, carol)
			g.publish(root, "b/5", "a/1") // what nobody may have holds nothing up
			g.want(bob, "a/1")
		})
	}
}

func TestAPublishThatIsNotAllowedInVersion3(t *testing.T) {
	publish := &mqtt.Publish{Topic: []byte("no"), QoS: 1, PacketID: 5, Payload: []byte("x")}
	guard(t, "", nil, func(g *guarded) {
		root := g.connect("root", mqtt.Connect{})
		g.subscribe(root, "#")
		bob := g.connect("bob", mqtt.Connect{Version: mqtt.V311, CleanStart: true})
		exchange[*mqtt.Puback](t, bob, publish)
		g.want(root, "")
	})
	guard(t, "", []string{"auth.deny_action=disconnect"}, func(g *guarded) {
		bob := g.connect("bob", mqtt.Connect{Version: mqtt.V311, CleanStart: true})
		sendTo(t, bob, publish)
		if pk, err := bob.receive(); err == nil {
			t.Errorf("got %+v", pk)
		}
	})
}

// stub answers for one user as a test says.
type stub struct {
	identity auth.Identity
	err      error
}

func (s stub) Authenticate(context.Context, *auth.Request) (auth.Identity, error) {
	return s.identity, s.err
}

func TestAConnectionEndsWhenItsCredentialsDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := time.Now().Add(30 * time.Second)
		b := newTestBroker(t, nil, WithAuthenticator(stub{identity: auth.Identity{ExpiresAt: until}}))
		p, _ := connect(t, b, &mqtt.Connect{ClientID: "c"})
		pk, err := p.receive()
		d, ok := pk.(*mqtt.Disconnect)
		if err != nil || !ok || d.Code != mqtt.MaximumConnectTime {
			t.Errorf("got %+v, %v", pk, err)
		}
		if late := time.Since(until); late < 0 || late > 2*time.Second {
			t.Errorf("it ended %v after the credentials", late)
		}
		stopBroker(t, b)
	})
}

// slowSource knows nothing until it is asked, and then allows what does not hold "no".
type slowSource struct {
	known chan map[auth.Access]bool
	asked *atomic.Int64
}

func newSlowSource() slowSource {
	s := slowSource{make(chan map[auth.Access]bool, 1), new(atomic.Int64)}
	s.known <- map[auth.Access]bool{}
	return s
}

func (s slowSource) Check(_ *auth.Identity, a auth.Access) auth.Decision {
	known := <-s.known
	defer func() { s.known <- known }()
	switch {
	case a.Action == auth.Receive:
		return auth.NoMatch
	case !known[a]:
		return auth.Unknown
	case strings.Contains(a.Topic, "no"):
		return auth.Deny
	}
	return auth.Allow
}

func (s slowSource) Ask(_ context.Context, _ *auth.Identity, a auth.Access) {
	s.asked.Add(1)
	known := <-s.known
	known[a] = true
	s.known <- known
}

// Whoever grants a filter has granted what it matches, also after a restart, when who granted it has to be asked again.
func TestASlowSourceIsAskedForWillsFiltersAndSessionsThatComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newSlowSource()
		w := newWorld(t)
		defer w.close()
		w.with(WithAuthorizer(source))
		c := mqtt.Connect{ClientID: "c", SessionExpirySeconds: 1000, Will: &mqtt.Will{Topic: "no"}}
		if _, ack := w.connect(&c); ack == nil || ack.Code != mqtt.NotAuthorized {
			t.Errorf("a will that is denied: %+v", ack)
		}
		c.Will.Topic = "w"
		p, ack := w.connect(&c)
		if ack == nil || ack.Code.Failed() {
			t.Fatalf("CONNACK %+v", ack)
		}
		g := &guarded{t: t, b: w.b}
		for filter, want := range map[string]mqtt.ReasonCode{"a/#": 1, "no/#": mqtt.NotAuthorized} {
			if code := g.subscribe(p, filter); code != want {
				t.Errorf("%s: %v", filter, code)
			}
		}
		c.CleanStart = false
		for i := range 2 {
			root, _ := w.connect(&mqtt.Connect{ClientID: "root"})
			g.publish(root, fmt.Sprintf("a/%d", i))
			g.want(p, fmt.Sprintf("a/%d", i))
			source = newSlowSource()
			w.with(WithAuthorizer(source))
			p, ack = w.connect(&c)
			if ack == nil || !ack.SessionPresent {
				t.Fatalf("CONNACK %+v", ack)
			}
			g.b = w.b
		}
		if source.asked.Load() == 0 {
			t.Error("nobody was asked about the session's subscription")
		}
	})
}

func TestPasswordsOfAFile(t *testing.T) {
	dir := t.TempDir()
	users := filepath.Join(dir, "users")
	const alice = "alice:$7$101$w1w6cLtrzEe+je3q$Zp6Pw9AKotLh1RHqEWb3yW74FkorE3accm3uItM7vajQAmiVkyccgmewgb1WKtqzOSLUuaSCEcSkHEriH5N1IA==\n"
	if err := os.WriteFile(users, []byte(alice), 0o600); err != nil {
		t.Fatal(err)
	}
	type answers map[string]mqtt.ReasonCode
	for _, c := range []struct {
		anonymous string
		want      answers
	}{
		{"", answers{"alice secret": 0, "alice wrong": 0x86, "bob secret": 0x86, "": 0x87}},
		{"auth.allow_anonymous=true", answers{"alice secret": 0, "alice wrong": 0x86, "bob secret": 0x86, "": 0}},
		{"listeners.tcp.allow_anonymous=true", answers{"bob secret": 0x86, "": 0}},
	} {
		synctest.Test(t, func(t *testing.T) {
			sets := []string{"auth.password_file=" + users}
			if c.anonymous != "" {
				sets = append(sets, c.anonymous)
			}
			b := newTestBroker(t, sets)
			for who, want := range c.want {
				request := &mqtt.Connect{ClientID: "c"}
				if user, password, ok := strings.Cut(who, " "); ok {
					request.HasUsername, request.Username, request.HasPassword, request.Password = true, user, true, []byte(password)
				}
				p, ack := connect(t, b, request)
				if ack == nil || ack.Code != want {
					t.Errorf("%s: %q: %+v, want %v", c.anonymous, who, ack, want)
				}
				_ = p.conn.Close()
			}
			stopBroker(t, b)
		})
	}
}

func TestAFileThatIsMissingKeepsTheBrokerFromStarting(t *testing.T) {
	for _, key := range []string{"password_file", "acl_file"} {
		name := filepath.Join(t.TempDir(), "none")
		cfg, _, err := config.Load(config.Sources{Sets: []string{"durability=memory", "auth." + key + "=" + name}})
		if err != nil {
			t.Fatal(err)
		}
		b, err := New(cfg, slog.New(slog.DiscardHandler))
		if b != nil || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

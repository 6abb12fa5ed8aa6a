package builtin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/auth/password"
	"github.com/barid-mqtt/barid/internal/storage/memory"
)

// engine returns an engine in memory, which the test ends.
func engine(t *testing.T) *memory.Engine {
	t.Helper()
	e := memory.New(memory.Options{})
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestUsers(t *testing.T) {
	e, ctx := engine(t), t.Context()
	u := must[*Users](t)(OpenUsers(ctx, e))
	super, roles := true, []string{"operator", "reader"}
	if err := errors.Join(
		u.Set(ctx, "alice", UserChange{Password: []byte("secret")}),
		u.Set(ctx, "bob", UserChange{Password: []byte("hunter2"), Superuser: &super}),
		u.Set(ctx, "alice", UserChange{Roles: &roles}),
		u.Set(ctx, "zoe", UserChange{Password: []byte("x")}),
		u.Delete(ctx, "zoe"),
	); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"no password":     u.Set(ctx, "carol", UserChange{Superuser: &super}),
		"an empty name":   u.Set(ctx, "", UserChange{Password: []byte("x")}),
		"a NUL":           u.Set(ctx, "a\x00", UserChange{Password: []byte("x")}),
		"an empty role":   u.Set(ctx, "alice", UserChange{Roles: &[]string{""}}),
		"no UTF-8 string": u.Set(ctx, "\xff", UserChange{Password: []byte("x")}),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := u.Delete(ctx, "zoe"); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	for range 2 { // the second time as they were kept
		alice, ok := u.Find("alice")
		if !ok || !alice.Hash.Matches([]byte("secret")) || alice.Superuser || fmt.Sprint(alice.Roles) != "[operator reader]" {
			t.Errorf("alice: %+v %v", alice, ok)
		}
		if bob, ok := u.Find("bob"); !ok || !bob.Superuser || !bob.Hash.Matches([]byte("hunter2")) {
			t.Errorf("bob: %+v %v", bob, ok)
		}
		if _, ok := u.Find("zoe"); ok {
			t.Error("zoe is back")
		}
		c := password.NewChecker(u)
		id, err := c.Authenticate(ctx, &auth.Request{HasUsername: true, Username: "alice", HasPassword: true, Password: []byte("secret")})
		if err != nil || fmt.Sprint(id.Roles) != "[operator reader]" {
			t.Errorf("%+v %v", id, err)
		}
		u = must[*Users](t)(OpenUsers(ctx, e))
	}
}

// leaving is the context of a request whose client goes away as soon as something waits for it.
type leaving struct {
	context.Context
	cancel context.CancelFunc
}

func (l leaving) Done() <-chan struct{} {
	l.cancel()
	return l.Context.Done()
}

func TestAChangeWhoseSenderLeavesIsTheSameInMemoryAndOnDisk(t *testing.T) {
	e := engine(t)
	u := must[*Users](t)(OpenUsers(t.Context(), e))
	super := true
	if err := u.Set(t.Context(), "alice", UserChange{Password: []byte("secret"), Superuser: &super}); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		super = !super
		err := u.Set(leaving{ctx, cancel}, "alice", UserChange{Superuser: &super})
		now, _ := u.Find("alice")
		kept, _ := must[*Users](t)(OpenUsers(t.Context(), e)).Find("alice")
		if now.Superuser != kept.Superuser || (now.Superuser == super) != (err == nil) {
			t.Fatalf("%v; superuser to be %v, in memory %v, kept %v", err, super, now.Superuser, kept.Superuser)
		}
	}
}

func TestPages(t *testing.T) {
	e, ctx := engine(t), t.Context()
	u := must[*Users](t)(OpenUsers(ctx, e))
	hash := must[password.Hash](t)(password.Parse("$6$AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="))
	for i := range 25 {
		super := i%5 == 0
		if err := u.Set(ctx, fmt.Sprintf("user%02d", i), UserChange{Hash: &hash, Superuser: &super}); err != nil {
			t.Fatal(err)
		}
	}
	super := true
	for _, c := range []struct {
		q     UserQuery
		first string
		n     int
		total int
	}{
		{UserQuery{}, "user00", 25, 25},
		{UserQuery{Page: Page{1, 10}}, "user00", 10, 25},
		{UserQuery{Page: Page{3, 10}}, "user20", 5, 25},
		{UserQuery{Page: Page{4, 10}}, "", 0, 25},
		{UserQuery{Page: Page{1, 10}, Like: "r1"}, "user10", 10, 10},
		{UserQuery{Page: Page{0, 2}, Superuser: &super}, "user00", 2, 5},
		{UserQuery{Role: "none"}, "", 0, 0},
	} {
		got, total := u.List(c.q)
		if len(got) != c.n || total != c.total || c.n > 0 && got[0].Name != c.first {
			t.Errorf("%+v: %d of %d", c.q, len(got), total)
		}
	}
}

func TestRulesAreAskedFromTheNarrowestSubjectOn(t *testing.T) {
	e, ctx := engine(t), t.Context()
	s := must[*RuleStore](t)(OpenRules(ctx, e))
	rule := func(permission, action, topic string) json.RawMessage {
		return json.RawMessage(fmt.Sprintf(`[{"permission":%q,"action":%q,"topic":%q}]`, permission, action, topic))
	}
	before := s.Version()
	if err := errors.Join(
		s.Set(ctx, Subject{ForClient, "c1"}, rule("deny", "all", "a/secret")),
		s.Set(ctx, Subject{ForUser, "alice"}, rule("allow", "all", "a/#")),
		s.Set(ctx, Subject{ForRole, "reader"}, rule("allow", "subscribe", "r/#")),
		s.Set(ctx, Subject{Kind: ForAll}, rule("allow", "publish", "in/${clientid}/%u")),
		s.Set(ctx, Subject{ForUser, "gone"}, rule("allow", "all", "#")),
		s.Delete(ctx, Subject{ForUser, "gone"}),
	); err != nil {
		t.Fatal(err)
	}
	if s.Version() == before {
		t.Error("connections would not notice")
	}
	for _, bad := range []struct {
		subject Subject
		rules   json.RawMessage
	}{
		{Subject{"group", "x"}, rule("allow", "all", "#")}, {Subject{ForUser, ""}, rule("allow", "all", "#")},
		{Subject{ForAll, "x"}, rule("allow", "all", "#")}, {Subject{ForUser, "x"}, rule("maybe", "all", "#")},
		{Subject{ForUser, "x"}, rule("allow", "all", "a/#/b")}, {Subject{ForUser, "x"}, json.RawMessage(`{"pub":[]}`)},
		{Subject{ForUser, "x"}, nil},
	} {
		if err := s.Set(ctx, bad.subject, bad.rules); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v %s: %v", bad.subject, bad.rules, err)
		}
	}
	for range 2 {
		for _, c := range []struct {
			id   auth.Identity
			a    auth.Access
			want auth.Decision
		}{
			{auth.Identity{ClientID: "c1", Username: "alice"}, auth.Access{Action: auth.Publish, Topic: "a/secret"}, auth.Deny},
			{auth.Identity{ClientID: "c2", Username: "alice"}, auth.Access{Action: auth.Publish, Topic: "a/secret"}, auth.Allow},
			{auth.Identity{ClientID: "c1", Username: "alice"}, auth.Access{Action: auth.Subscribe, Topic: "a/#"}, auth.Partly},
			{auth.Identity{ClientID: "c1", Username: "gone"}, auth.Access{Action: auth.Publish, Topic: "x"}, auth.NoMatch},
			{auth.Identity{ClientID: "c3", Roles: []string{"x", "reader"}}, auth.Access{Action: auth.Receive, Topic: "r/1"}, auth.Allow},
			{auth.Identity{ClientID: "c3", Username: "bob"}, auth.Access{Action: auth.Publish, Topic: "in/c3/bob"}, auth.Allow},
			{auth.Identity{ClientID: "c3/+", Username: "bob"}, auth.Access{Action: auth.Publish, Topic: "in/c3/+/bob"}, auth.NoMatch},
			{auth.Identity{ClientID: "c3"}, auth.Access{Action: auth.Publish, Topic: "in/c3/"}, auth.NoMatch},
		} {
			if got := s.Check(&c.id, c.a); got != c.want {
				t.Errorf("%+v %+v: %v, want %v", c.id, c.a, got, c.want)
			}
		}
		if rows, total := s.List(RuleQuery{Kind: ForUser}); total != 1 || rows[0].Who != "alice" {
			t.Errorf("%d users have rules: %+v", total, rows)
		}
		s = must[*RuleStore](t)(OpenRules(ctx, e))
	}
}

func TestBans(t *testing.T) {
	e := engine(t)
	ctx := context.Background()
	b := must[*Bans](t)(OpenBans(ctx, e))
	for _, ban := range []Ban{
		{As: BanClientID, Who: "c1"}, {As: BanUsername, Who: "mallory"}, {As: BanAddress, Who: "::ffff:192.0.2.1"},
		{As: BanClientIDPattern, Who: "^bot-[0-9]+$"}, {As: BanUsernamePattern, Who: "evil"}, {As: BanNetwork, Who: "198.51.100.7/24"},
	} {
		must[Ban](t)(b.Add(ctx, ban))
	}
	for _, bad := range []Ban{{As: "who", Who: "x"}, {As: BanAddress, Who: "x"}, {As: BanNetwork, Who: "10.0.0.0"}, {As: BanClientIDPattern, Who: "("},
		{As: BanClientIDPattern}, {As: BanClientID}} {
		if _, err := b.Add(ctx, bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	for range 2 {
		for _, c := range []struct {
			client, user, ip string
			banned           bool
		}{
			{"c1", "", "10.0.0.1", true}, {"c11", "", "10.0.0.1", false}, {"c", "mallory", "10.0.0.1", true}, {"mallory", "", "10.0.0.1", false},
			{"c", "", "192.0.2.1", true}, {"c", "", "192.0.2.2", false}, {"bot-7", "", "10.0.0.1", true}, {"xbot-7", "", "10.0.0.1", false},
			{"c", "an evil one", "10.0.0.1", true}, {"evil", "", "10.0.0.1", false}, {"c", "", "198.51.100.200", true}, {"c", "", "198.51.101.1", false},
		} {
			ban, banned := b.Find(c.client, c.user, &net.TCPAddr{IP: net.ParseIP(c.ip), Port: 1})
			if banned != c.banned {
				t.Errorf("%+v: %+v", c, ban)
			}
		}
		if _, banned := b.Find("c", "", &net.UnixAddr{Name: "s"}); banned {
			t.Error("a Unix socket is banned")
		}
		b = must[*Bans](t)(OpenBans(ctx, e))
	}
	if err := b.Delete(ctx, BanNetwork, "198.51.100.0/24"); err != nil {
		t.Error(err)
	}
	if _, banned := b.Find("c", "", &net.TCPAddr{IP: net.ParseIP("198.51.100.200")}); banned {
		t.Error("still banned")
	}
}

func TestBansEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := memory.New(memory.Options{})
		defer func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}()
		ctx := context.Background()
		b := must[*Bans](t)(OpenBans(ctx, e))
		must[Ban](t)(b.Add(ctx, Ban{As: BanClientID, Who: "c", Until: time.Now().Add(time.Minute)}))
		must[Ban](t)(b.Add(ctx, Ban{As: BanClientIDPattern, Who: "c", Until: time.Now().Add(time.Minute)}))
		must[Ban](t)(b.Add(ctx, Ban{As: BanClientID, Who: "d"}))
		time.Sleep(59 * time.Second) // virtual
		if _, banned := b.Find("c", "", nil); !banned {
			t.Error("not banned")
		}
		time.Sleep(time.Second) // virtual
		if ban, banned := b.Find("c", "", nil); banned {
			t.Errorf("still banned: %+v", ban)
		}
		if err := b.Sweep(ctx, 10); err != nil {
			t.Error(err)
		}
		if len(b.table.rows) != 1 || len(b.wide.load()) != 0 {
			t.Errorf("%d bans and %d patterns are left", len(b.table.rows), len(b.wide.load()))
		}
	})
}

func TestPatternsAreLimited(t *testing.T) {
	e, ctx := engine(t), t.Context()
	b := must[*Bans](t)(OpenBans(ctx, e))
	b.wide.bans.Store(func() *[]Ban { s := make([]Ban, maxPatterns); return &s }())
	if _, err := b.Add(ctx, Ban{As: BanClientIDPattern, Who: "x"}); !errors.Is(err, ErrTooMany) {
		t.Errorf("one more: %v", err)
	}
}

func TestAnExplanationNamesTheRuleOfTheSubject(t *testing.T) {
	e, ctx := engine(t), t.Context()
	s := must[*RuleStore](t)(OpenRules(ctx, e))
	rules := `[{"permission":"deny","action":"publish","topics":["x","y"]},{"permission":"allow","action":"all","topic":"a/#"}]`
	if err := s.Set(ctx, Subject{ForUser, "alice"}, json.RawMessage(rules)); err != nil {
		t.Fatal(err)
	}
	id := &auth.Identity{ClientID: "c", Username: "alice"}
	for topic, want := range map[string]string{"y": "rule 1 of username alice", "a/b": "rule 2 of username alice"} {
		d, grounds := s.Explain(id, auth.Access{Action: auth.Publish, Topic: topic})
		if d != s.Check(id, auth.Access{Action: auth.Publish, Topic: topic}) || len(grounds) != 1 || grounds[0].Where != want {
			t.Errorf("%s: %v %+v", topic, d, grounds)
		}
	}
	if d, grounds := s.Explain(id, auth.Access{Action: auth.Publish, Topic: "z"}); d != auth.NoMatch || grounds != nil {
		t.Errorf("%v %+v", d, grounds)
	}
}

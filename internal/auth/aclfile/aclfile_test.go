package aclfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/mqtt"
)

const file = `# who may do what
topic read news/#
topic public
pattern write in/%c/#
pattern read out/%u/+
pattern deny in/%c/secret

user bob
topic write bob/w
topic read bob/r/#
topic deny bob/r/secret/#
topic readwrite with space/ in it

user alice
topic #

user bob
topic $SYS/broker/uptime
`

func rules(t *testing.T, text string) *Rules {
	t.Helper()
	r, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAnswers(t *testing.T) {
	r := rules(t, file)
	const publish, subscribe, receive = auth.Publish, auth.Subscribe, auth.Receive
	for _, c := range []struct {
		client, user string
		action       auth.Action
		topic        string
		want         auth.Decision
	}{
		{"c", "", receive, "news/x", auth.Allow},
		{"c", "", publish, "news/x", auth.NoMatch},
		{"c", "", publish, "public", auth.Allow},
		{"c", "bob", receive, "news/x", auth.NoMatch}, // only for clients without a username
		{"c", "", publish, "in/c/1", auth.Allow},
		{"c", "bob", publish, "in/c/1", auth.Allow},
		{"c", "bob", publish, "in/c/secret", auth.Deny},
		{"d", "bob", publish, "in/c/1", auth.NoMatch},
		{"c", "bob", receive, "in/c/1", auth.NoMatch},
		{"c", "bob", receive, "out/bob/1", auth.Allow},
		{"c", "bob", receive, "out/alice/1", auth.NoMatch},
		{"c", "", receive, "out//1", auth.NoMatch}, // no username: no pattern with one
		{"+", "", publish, "in/+/1", auth.NoMatch}, // a name with a wildcard
		{"c#", "bob", receive, "out/bob/1", auth.NoMatch},
		{"a/b", "", publish, "in/a/b/1", auth.Allow},
		{"c", "bob", publish, "bob/w", auth.Allow},
		{"c", "bob", receive, "bob/w", auth.NoMatch},
		{"c", "bob", receive, "bob/r", auth.Allow},
		{"c", "bob", receive, "bob/r/secret/1", auth.Deny},
		{"c", "bob", publish, "bob/r/secret", auth.Deny},
		{"c", "bob", publish, "with space/ in it", auth.Allow},
		{"c", "alice", publish, "any/thing", auth.Allow},
		{"c", "alice", publish, "in/c/secret", auth.Allow}, // her own lines come first
		{"c", "alice", receive, "$SYS/broker/uptime", auth.NoMatch},
		{"c", "bob", receive, "$SYS/broker/uptime", auth.Allow},

		{"c", "bob", subscribe, "bob/w", auth.NoMatch},
		{"c", "bob", subscribe, "bob/r/a/+", auth.Allow},
		{"c", "bob", subscribe, "bob/r/+/a", auth.Partly},
		{"c", "bob", subscribe, "bob/r/secret/+", auth.Deny},
		{"c", "bob", subscribe, "bob/#", auth.Partly},
		{"c", "bob", subscribe, "#", auth.Partly},
		{"c", "bob", subscribe, "+/c/+", auth.Narrow}, // in/c/secret is denied; write only
		{"c", "alice", subscribe, "a/+/#", auth.Allow},
		{"c", "alice", subscribe, "$SYS/#", auth.NoMatch},
		{"c", "", subscribe, "news/+/x", auth.Allow},
		{"c", "", subscribe, "+/x", auth.Partly},
		{"c", "dave", subscribe, "out/dave/+", auth.Allow},
		{"c", "dave", subscribe, "out/#", auth.Partly},
		{"c", "dave", subscribe, "other/#", auth.NoMatch},
	} {
		id := &auth.Identity{ClientID: c.client, Username: c.user}
		if got := r.Check(id, auth.Access{Action: c.action, Topic: c.topic}); got != c.want {
			t.Errorf("client %q user %q: %v %s: %v, want %v", c.client, c.user, c.action, c.topic, got, c.want)
		}
	}
}

func TestProblemsNameTheirLines(t *testing.T) {
	_, err := Parse([]byte("topics a\nuser\nuser  \ntopic\npattern write\nTopic a\ntopic readonly a b\ntopic read a/#/b\n" +
		"topic read $share/g/t\npattern read +a\n\n  # not at the beginning\ntopic a\n"))
	want := []string{
		`line 1: "topics" is not one of topic, user, pattern`,
		`line 2: user without a name`,
		`line 3: user without a name`,
		`line 4: no topic filter`,
		`line 6: "Topic" is not one of`,
		`line 7: "readonly" is not one of read, write, readwrite, deny`,
		`line 8: "a/#/b" is not a topic filter`,
		`line 9: "$share/g/t": rules are about the filter`,
		`line 10: "+a" is not a topic filter`,
		`line 12: "#" is not one of`,
	}
	if err == nil {
		t.Fatal("no error")
	}
	got := strings.Split(err.Error(), "\n")
	if len(got) != len(want) {
		t.Fatalf("got:\n%v", err)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
}

func TestReload(t *testing.T) {
	name := filepath.Join(t.TempDir(), "acl")
	write := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := New(name)
	allowed := func() bool { return s.Check(&auth.Identity{}, auth.Access{Topic: "t"}) == auth.Allow }
	if err := s.Reload(); err == nil || allowed() {
		t.Errorf("no file: %v", err)
	}
	write("topic t\n")
	if err := s.Reload(); err != nil || !allowed() {
		t.Errorf("a file: %v", err)
	}
	before := s.Version()
	write("nonsense\n")
	var line *LineError
	if err := s.Reload(); !errors.As(err, &line) || !strings.HasPrefix(err.Error(), name+":1: ") || !allowed() || s.Version() != before {
		t.Errorf("a broken file: %v", err)
	}
	write("")
	if err := s.Reload(); err != nil || allowed() || s.Version() == before {
		t.Errorf("an empty file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(file), "c", "bob", "bob/r/x")
	f.Add([]byte("pattern deny %c%u%%c/#\ntopic deny  \x00"), "$SYS", "+", "$SYS/x")
	f.Add([]byte("topic read #"), "", "", "")
	f.Fuzz(func(t *testing.T, text []byte, client, user, topic string) {
		r, err := Parse(text)
		if err != nil {
			return
		}
		id := &auth.Identity{ClientID: client, Username: user}
		receive := r.Check(id, auth.Access{Action: auth.Receive, Topic: topic})
		if receive > auth.NoMatch {
			t.Fatalf("receiving %q: %v", topic, receive)
		}
		subscribe := r.Check(id, auth.Access{Action: auth.Subscribe, Topic: topic})
		// What is said of a filter without wildcards is what is said of the topic. What is none reaches no rule.
		if mqtt.ValidTopicName([]byte(topic)) && subscribe != receive {
			t.Fatalf("subscribing %q: %v, receiving: %v", topic, subscribe, receive)
		}
	})
}

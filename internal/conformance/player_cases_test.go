package conformance

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/pkg/memnet"
)

// parrot is a server that accepts every connection, answers PINGREQ, sends every PUBLISH back and closes on DISCONNECT.
type parrot struct{}

func (parrot) Stop()    {}
func (parrot) Restart() {}

func (parrot) Connect() net.Conn {
	client, server := memnet.Pipe()
	go func() {
		defer server.Close()
		buf := make([]byte, 1024)
		for {
			n, err := server.Read(buf)
			if err != nil || buf[0]>>4 == packetTypes["disconnect"] {
				return
			}
			answer := map[byte]string{1: "\x20\x03\x00\x00\x00", 12: "\xd0\x00"}[buf[0]>>4]
			if answer == "" {
				answer = string(buf[:n])
			}
			if _, err := server.Write([]byte(answer)); err != nil {
				return
			}
		}
	}()
	return client
}

// playText plays a script against the parrot and returns its error, "" for none.
func playText(t *testing.T, script string) (failure string) {
	scenarios, err := Parse("s.txt", "== s\n"+script)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(*testing.T) {
		p := newPlayer(scenarios[0], "v5", parrot{})
		if err := p.play(); err != nil {
			failure = err.Error()
		}
		p.leave()
	})
	return failure
}

// TestPlayerSeesWhatIsWrong shows that scenarios can fail, and that the error says where.
func TestPlayerSeesWhatIsWrong(t *testing.T) {
	tests := []struct{ name, script, failure string }{
		{"all is well", "A: connect v5 id=a\nA< connack 0x00\nA> publish t payload=x\nA< publish t payload=x\nA> disconnect\nA< closed", ""},
		{"another packet", "A: connected v5\nA> pingreq\nA< connack 0x00", "s.txt:4: A:\nwant connack 0x00\ngot  pingresp"},
		{"another field", "A: connected v5\nA> publish t payload=x\nA< publish t payload=y", "want publish t payload=y\ngot  publish t payload=x"},
		{"a field that must not be there", "A: connected v5\nA> publish t payload=x expiry=1\nA< publish t expiry=-", "expiry=1"},
		{"RETAIN is always compared", "A: connected v5\nA> publish t retain\nA< publish t", "got  publish t retain"},
		{"exact", "A: connected v5\nA> publish t payload=x prop=k:v\nA< publish t payload=x exact", "got  publish t payload=x prop=k:v"},
		{"nothing, where something came", "A: connected v5\nA> pingreq\nA< nothing", "want nothing\ngot  pingresp"},
		{"something, where nothing came", "A: connected v5\nA< pingresp", "want pingresp\ngot  nothing"},
		{"closed, where it is not", "A: connected v5\nA< closed", "want closed\ngot  nothing"},
		{"not closed, where it is", "A: connected v5\nA> disconnect\nA< nothing", "want nothing\ngot  closed"},
		{"a rest", "A: connected v5\nA> pingreq", "s.txt:3: A: at the end there is still\ngot  pingresp"},
		{"a rest that is a close", "A: connected v5\nA> disconnect", "got  closed"},
		{"a rest to be ignored", "A: connected v5\nA> pingreq\nA ignore-rest", ""},
		{"the rest of one that hung up", "A: connected v5\nA> pingreq\nA drop", ""},
		{"a name that stands for another value", "A: connected v5\nA> publish t payload=1\nA< publish t payload=@x\nA> publish t payload=2\nA< publish t payload=@x", "payload=2"},
		{"a name that stands for the same value", "A: connected v5\nA> publish t payload=1\nA< publish t payload=@x\nA> publish t payload=@x\nA< publish t payload=1", ""},
		{"any order", "A: connected v5\nA> publish a\nA> publish b\nA< any-order {\npublish b\npublish a\n}", ""},
		{"any order, but these", "A: connected v5\nA> publish a\nA> publish c\nA< any-order {\npublish b\npublish a\n}", "want one of\n\tpublish b\ngot  A< publish c"},
		{"a rest without", "A: connected v5\nA> publish a\nA> publish c\nA< rest without publish b", ""},
		{"a rest that has it", "A: connected v5\nA> publish a\nA> publish b\nA< rest without publish b", "must not come:\ngot  A< publish b"},
		{"a loop", "A: connected v5\nfor i in 1..3\nA> publish t payload=$i\nA< publish t payload=$i\nend\nA< nothing", ""},
		{"what a server must never do", "A: connected v5\nA> raw c0 ( )\nA< pingresp\nA> raw 3a ( s\"t\" 00 01 ( ) )\nA< publish t qos1 id=1 dup\nA> raw 3a ( s\"t\" 00 01 ( ) )\nA< publish t qos1 id=1 dup", "MQTT-2.2.1-4"},
		{"bytes that are no packet", "A: connected v5\nA> raw 38 ( s\"t\" ff )\nA< publish t", "the packet ends too early"},
		{"a field that does not exist", "A: connected v5\nA> pingreq\nA< pingresp colour=red", `pingresp has no field "colour"`},
	}
	for _, test := range tests {
		got := playText(t, test.script)
		if test.failure == "" && got != "" || !strings.Contains(got, test.failure) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.failure)
		}
	}
}

func TestAdvanceIsVirtual(t *testing.T) {
	start := time.Now()
	if failure := playText(t, "A: connected v5\nadvance 1000h\nA> pingreq\nA< pingresp"); failure != "" {
		t.Error(failure)
	}
	if passed := time.Since(start); passed > 10*time.Second {
		t.Errorf("%v passed", passed)
	}
}

func TestScriptErrorsNameTheLine(t *testing.T) {
	for script, want := range map[string]string{
		"A> pingreq":                "s.txt:1: a scenario begins",
		"== s\nwhat is this":        "s.txt:2: cannot read",
		"== s\nA dances":            "s.txt:2: A does what?",
		"== s\n\nA: flies":          "s.txt:3: A does what?",
		"== s\nA: connect v5\nv9| ": "s.txt:3: cannot read",
	} {
		if _, err := Parse("s.txt", script); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", script, err, want)
		}
	}
}

func TestHeadersOfScenarios(t *testing.T) {
	scenarios, err := Parse("x/testdata/a/b.txt", "# c\n== one # two [MQTT-1.2-3] [MQTT-3.1.1/1-1]\n[MQTT-3.1/A-1]\nversions v5 v3.1\nset a.b=c\nuser u p\ndeny publish a/#\nv5,v3.1| A: connect v5 # c\n")
	if err != nil {
		t.Fatal(err)
	}
	s := scenarios[0]
	if s.ID() != "a/b.txt: one # two" || strings.Join(s.Statements, " ") != "MQTT-1.2-3 MQTT-3.1.1/1-1 MQTT-3.1/A-1" {
		t.Errorf("got %q %q", s.ID(), s.Statements)
	}
	if s.Users["u"] != "p" || s.Denied[0] != (Denial{"publish", "a/#"}) || len(s.Settings) != 1 || len(s.Steps) != 1 || s.Steps[0].Plays("v3.1.1") || !s.Steps[0].Plays("v5") {
		t.Errorf("got %+v", s)
	}
}

// TestRewrite plays a wrong script, has it rewritten, and plays it again.
func TestRewrite(t *testing.T) {
	const wrong = "== s\nA: connected v5\nA> publish t qos1 id=7 payload=x\nA< publish t payload=y # wrong\nA> pingreq\n"
	const right = "== s\nA: connected v5\nA> publish t qos1 id=7 payload=x\nA< publish t qos1 id=7 payload=x\nA> pingreq\nA< pingresp\n"
	file := filepath.Join(t.TempDir(), "s.txt")
	if err := os.WriteFile(file, []byte(wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	scenarios, err := Parse(file, wrong)
	if err != nil {
		t.Fatal(err)
	}
	edits := map[int][]string{}
	synctest.Test(t, func(t *testing.T) {
		p := newPlayer(scenarios[0], "", parrot{})
		p.edits = edits
		if err := p.play(); err != nil {
			t.Error(err)
		}
		p.leave()
	})
	if err := rewriteFile(file, edits); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != right {
		t.Errorf("got %v\n%s\nwant\n%s", err, got, right)
	}
}

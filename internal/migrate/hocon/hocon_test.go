package hocon

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	text := `# a comment
listeners.tcp.default {
  bind = "0.0.0.0:1883"   // the port
  max_connections = infinity, enable: true
}
"with space" = a b
mqtt { max_packet_size = 1MB }
authentication = [
  {backend = built_in_database, "salt.x" = "a\"b\né"}
  {}
]
empty = []
cert = ${EMQX_ETC_DIR}/certs/cert.pem
rules = """~
    {allow, all}.
      indented
  ~"""
raw = """a "quoted" b"""
list = [1, 2,
  3]
`
	entries, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&got, "%d %s=%q\n", e.Line, e.Key(), e.Value)
	}
	want := `3 listeners.tcp.default.bind="0.0.0.0:1883"
4 listeners.tcp.default.max_connections="infinity"
4 listeners.tcp.default.enable="true"
6 with space="a b"
7 mqtt.max_packet_size="1MB"
9 authentication.0.backend="built_in_database"
9 authentication.0.salt.x="a\"b\né"
10 authentication.1="{}"
12 empty="[]"
13 cert="${EMQX_ETC_DIR}/certs/cert.pem"
14 rules="{allow, all}.\n  indented\n"
18 raw="a \"quoted\" b"
19 list.0="1"
19 list.1="2"
20 list.2="3"
`
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &got, want)
	}
}

func TestWhatIsNoHOCONIsAnErrorThatNamesTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"a {\nb = 1":                        "line 2: an object without an end",
		"a = [1\n2":                         "line 2: a list without an end",
		"a = \"x":                           "line 1: a string without an end",
		"\na = \"\\q\"":                     "line 2: \\q in a string",
		"a = \"\\u12\"":                     "line 1: \\u with less",
		`a = """x`:                          "line 1: a string with",
		"a":                                 "line 1: neither",
		"= 1":                               "line 1: a key should stand",
		"a =":                               "line 1: a value is missing",
		"a = }":                             "line 1: a value should stand",
		"{a = 1} b":                         "line 1: something follows",
		"\xff":                              "no UTF-8",
		strings.Repeat("a{", 100):           "within each other",
		strings.Repeat("a.", 100) + "a = 1": "within each other",
	} {
		if _, err := Parse([]byte(text)); !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a = 1", "a.b { c = [1, {d = \"x\\n\"}] }", "{a: \"\"\"~\n x\n~\"\"\"}", "# c\na=${X}/y // z", "a = \"\\u00e9\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := Parse(text)
		if err != nil && !errors.Is(err, ErrSyntax) {
			t.Fatalf("the error %v", err)
		}
		for i := range entries {
			if e := &entries[i]; e.Line < 1 || e.Line > 1+strings.Count(string(text), "\n") || len(e.Path) > maxDepth+1 {
				t.Fatalf("%+v", e)
			}
		}
	})
}

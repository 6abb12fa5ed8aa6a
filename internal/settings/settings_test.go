package settings

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/internal/config"
)

// bench are settings over a file and a data directory.
type bench struct {
	*Settings
	t       *testing.T
	file    string
	sources config.Sources
	seen    []int // limits.max_connections, as a follower was told
}

func newBench(t *testing.T, text string, sources config.Sources) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{t: t, file: filepath.Join(dir, "barid.yaml")}
	b.write("data_dir: " + dir + "\n" + text)
	sources.File = b.file
	b.sources = sources
	b.start()
	return b
}

func (b *bench) write(text string) {
	b.t.Helper()
	if err := os.WriteFile(b.file, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// start begins anew, as after a restart.
func (b *bench) start() {
	b.t.Helper()
	var err error
	if b.Settings, _, err = Load(b.sources); err != nil {
		b.t.Fatal(err)
	}
	b.seen = nil
	b.Follow(func(c *config.Config) { b.seen = append(b.seen, c.Limits.MaxConnections) })
}

func (b *bench) change(persist bool, pairs ...string) ([]string, error) {
	values := map[string]*string{}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if values[key] = nil; ok {
			values[key] = &value
		}
	}
	return b.Change(values, persist)
}

func (b *bench) must(persist bool, pairs ...string) {
	b.t.Helper()
	if _, err := b.change(persist, pairs...); err != nil {
		b.t.Error(err)
	}
}

// want checks limits.max_connections and where it comes from, FILE and DATA standing for the files.
func (b *bench) want(value int, source string) {
	b.t.Helper()
	for _, s := range b.List() {
		if s.Key != "limits.max_connections" {
			continue
		}
		at := strings.ReplaceAll(strings.ReplaceAll(s.Source, b.file, "FILE"), filepath.Dir(b.file), "DATA")
		if s.Value != int64(value) || at != source || !s.Changeable || s.Default != int64(0) || b.Config().Limits.MaxConnections != value {
			b.t.Errorf("%+v, in effect %d; want %d of %s", s, b.Config().Limits.MaxConnections, value, source)
		}
	}
}

func TestAChangeHoldsUntilTheRestartAndWhatIsKeptLonger(t *testing.T) {
	b := newBench(t, "limits: {max_connections: 1}\n", config.Sources{})
	b.want(1, "FILE:2")
	b.must(false, "limits.max_connections=2", "logging.level=debug")
	b.want(2, "live")
	b.start()
	b.want(1, "FILE:2")
	b.must(true, "limits.max_connections=3")
	b.want(3, "DATA/overrides.yaml:3")
	b.must(false, "limits.max_connections=4")
	b.want(4, "live")
	b.must(true, "limits.max_connections=5")
	b.want(5, "DATA/overrides.yaml:3")
	if !slices.Equal(b.seen, []int{3, 4, 5}) {
		t.Errorf("followers saw %v", b.seen)
	}
	b.start()
	b.want(5, "DATA/overrides.yaml:3")
	b.must(false, "limits.max_connections")
	b.want(1, "FILE:2")
	b.start()
	b.want(1, "FILE:2")
	text, err := os.ReadFile(b.Config().Overrides())
	if info, _ := os.Stat(b.Config().Overrides()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%q, %v, %v", text, err, info.Mode())
	}
}

func TestWhatIsWrongChangesNothing(t *testing.T) {
	b := newBench(t, "", config.Sources{Environ: []string{"BARID_LIMITS__MAX_SESSIONS=9"}, Sets: []string{"limits.max_subscriptions=8"}})
	for _, tt := range []struct {
		persist bool
		pair    string
		want    string
	}{
		{false, "limits.max_conections=1", "limits.max_conections: unknown key; did you mean limits.max_connections?"},
		{false, "limits.max_connections=many", `limits.max_connections: "many" is not a whole number`},
		{false, "logging.level=loud", `logging.level: "loud" is not one of debug, info, warn, error`},
		{false, "data_dir=/elsewhere", "data_dir: cannot change while the broker runs"},
		{true, "durability=memory", "durability: cannot change while the broker runs"},
		{false, "listeners.tcp.bind=127.0.0.1:1", "listeners.tcp.bind: cannot change while the broker runs"},
		{false, "api.admin.password=x", "api.admin.password: cannot change while the broker runs"},
		{false, "data_dir", "data_dir: cannot change while the broker runs"},
		{false, "limits=1", "limits: is a section"},
		{true, "limits.max_sessions=1", "limits.max_sessions: is set by BARID_LIMITS__MAX_SESSIONS, which goes before"},
		{true, "limits.max_subscriptions=1", "limits.max_subscriptions: is set by --set limits.max_subscriptions, which goes before"},
	} {
		if _, err := b.change(tt.persist, "limits.max_connections=7", tt.pair); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %s", tt.pair, err, tt.want)
		}
		b.want(0, "default")
	}
	if len(b.seen) > 0 {
		t.Errorf("followers saw %v", b.seen)
	}
	if _, err := os.Stat(b.Config().Overrides()); err == nil {
		t.Error("something was kept")
	}
	b.must(false, "limits.max_sessions=1") // until the restart it goes before everything
	if b.Config().Limits.MaxSessions != 1 {
		t.Error("it is not in effect")
	}
}

func TestTheFileIsReadAgain(t *testing.T) {
	b := newBench(t, "limits: {max_connections: 1}\n", config.Sources{})
	dir := filepath.Dir(b.file)
	b.write("data_dir: " + dir + "\nlimits: {max_connections: 2, memory_max_bytes: 7}\nmqtt: {receive_maximum: 5}\n")
	for _, want := range [][]string{{"limits.max_connections"}, nil} { // what waits for a restart is said each time
		changed, restart, err := b.Reload()
		if err != nil || !slices.Equal(restart, []string{"mqtt.receive_maximum", "limits.memory_max_bytes"}) || !slices.Equal(changed, want) {
			t.Errorf("changed %q, restart %q, %v", changed, restart, err)
		}
		if b.Config().MQTT.ReceiveMaximum != 1024 || b.Config().Limits.MemoryMaxBytes != 0 {
			t.Error("what takes a restart has changed")
		}
	}
	b.want(2, "FILE:2")
	b.must(false, "limits.max_connections=9")
	b.write("data_dir: " + dir + "\nlimits: {max_connections: x}\n")
	if _, _, err := b.Reload(); err == nil || !strings.Contains(err.Error(), `:2: limits.max_connections: "x"`) {
		t.Errorf("a wrong file: %v", err)
	}
	b.want(9, "live")
	b.write("data_dir: " + dir + "\nlimits: {max_connections: 3}\n")
	if _, _, err := b.Reload(); err != nil {
		t.Error(err)
	}
	b.want(9, "live") // what was changed live stays until the restart
	b.must(false, "limits.max_connections")
	b.want(3, "FILE:2")
}

func TestOverridesHoldOnlyWhatCanChange(t *testing.T) {
	b := newBench(t, "", config.Sources{})
	if err := os.WriteFile(b.Config().Overrides(), []byte("limits:\n  max_sessions: 4\ndata_dir: /elsewhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Load(b.sources); err == nil || !strings.Contains(err.Error(), "overrides.yaml:3: data_dir: cannot change while the broker runs, and so has no place here") {
		t.Errorf("loading says %v", err)
	}
}

// Secrets are masked, and every key that can change can be set to what it is.
func TestEveryKeyIsListedAndWhatCanChangeCanBeSet(t *testing.T) {
	b := newBench(t, "api: {admin: {password: hunter2}}\n", config.Sources{})
	changeable := 0
	for _, s := range b.List() {
		if s.Key == "api.admin.password" && s.Value != "********" {
			t.Errorf("%+v", s)
		}
		if !s.Changeable {
			continue
		}
		changeable++
		var text string
		switch v := s.Value.(type) {
		case string:
			text = v
		case bool:
			text = map[bool]string{true: "true", false: "false"}[v]
		case int64:
			text = strconv.FormatInt(v, 10)
		default:
			t.Errorf("%s holds %T", s.Key, v)
		}
		if _, err := b.change(true, s.Key+"="+text); err != nil {
			t.Errorf("%s: %v", s.Key, err)
		}
	}
	if changeable < 30 {
		t.Errorf("%d keys can change", changeable)
	}
}

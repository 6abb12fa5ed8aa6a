package logs

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// text is what was written, without times.
type text struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.buf.Write(p)
}

// take returns the lines that were written since it was last called, without their times.
func (x *text) take() (lines []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for line := range strings.Lines(x.buf.String()) {
		_, rest, _ := strings.Cut(line, " ")
		lines = append(lines, strings.TrimSpace(rest))
	}
	x.buf.Reset()
	return lines
}

func (x *text) want(t *testing.T, lines ...string) {
	t.Helper()
	got := x.take()
	if strings.Join(got, "\n") != strings.Join(lines, "\n") {
		t.Errorf("got  %q\nwant %q", got, lines)
	}
}

func TestEachComponentHasALevelThatChangesLive(t *testing.T) {
	var x text
	l := New(&x, Options{Level: slog.LevelInfo, Levels: map[string]slog.Level{"auth": slog.LevelDebug}})
	log := l.Logger()
	auth, storage := log.With(Component, "auth"), log.With(Component, "storage", "engine", "badger")
	all := func() {
		for _, one := range []*slog.Logger{log, auth, storage} {
			one.Debug("little")
			one.Info("more")
		}
	}
	all()
	x.want(t, `level=INFO msg=more`, `level=DEBUG msg=little component=auth`, `level=INFO msg=more component=auth`,
		`level=INFO msg=more component=storage engine=badger`)
	l.Set(Options{Level: slog.LevelWarn, Levels: map[string]slog.Level{"storage": slog.LevelInfo}})
	all()
	x.want(t, `level=INFO msg=more component=storage engine=badger`)
	l.Set(Options{Level: slog.LevelDebug})
	all()
	if got := x.take(); len(got) != 6 {
		t.Errorf("got %q", got)
	}
	if auth.Handler().WithGroup("g").WithAttrs([]slog.Attr{slog.String(Component, "other")}).(*handler).component != "auth" {
		t.Error("an attribute within a group changes the component")
	}
}

func TestAFloodOfOneEventIsAFewLinesAndANumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var x text
		l := New(&x, Options{Level: slog.LevelDebug, Repeats: 2})
		log := l.Logger().With(Component, "auth")
		for i := range 100 {
			log.Info("client refused", "client", i)
			log.Debug("seen", "client", i%2)
			if i == 50 {
				log.Warn("something else")
			}
		}
		var want []string
		for i := range 100 {
			if i < 2 {
				want = append(want, `level=INFO msg="client refused" component=auth client=`+string(rune('0'+i)))
			}
			want = append(want, `level=DEBUG msg=seen component=auth client=`+string(rune('0'+i%2)))
			if i == 50 {
				want = append(want, `level=WARN msg="something else" component=auth`)
			}
		}
		x.want(t, want...)
		time.Sleep(Window)
		synctest.Wait()
		x.want(t, `level=INFO msg="client refused" component=auth left_out=98 in=10s`)
		log.Info("client refused", "client", 7)
		x.want(t, `level=INFO msg="client refused" component=auth client=7`)
		time.Sleep(Window)
		synctest.Wait()
		x.want(t)
		if len(l.repeats) != 0 {
			t.Errorf("%d events are remembered", len(l.repeats))
		}
		l.Set(Options{})
		for range 5 {
			log.Info("all")
		}
		if got := x.take(); len(got) != 5 {
			t.Errorf("without a bound: %q", got)
		}
	})
}

func TestJSON(t *testing.T) {
	var x text
	New(&x, Options{JSON: true}).Logger().With(Component, "api").Info("audit", "who", "admin")
	var line map[string]any
	if err := json.Unmarshal(x.buf.Bytes(), &line); err != nil || line["component"] != "api" || line["msg"] != "audit" || line["who"] != "admin" {
		t.Errorf("%v, %v", line, err)
	}
}

// An event that is not logged costs next to nothing.
func TestWhatIsNotLoggedAllocatesNothing(t *testing.T) {
	log := New(&text{}, Options{}).Logger().With(Component, "broker")
	if n := testing.AllocsPerRun(100, func() { log.Debug("client connected") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

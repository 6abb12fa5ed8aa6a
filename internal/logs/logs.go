// Package logs is how the program logs: structured lines, as text or JSON, with a level for each component that can be
// changed while it runs, and a bound on repeats. The rest of the program uses log/slog and names its component once:
//
//	log = log.With(logs.Component, "storage")
//
// An event that repeats is logged as often as Options.Repeats says in ten seconds. What is left out is counted, and said in
// one more line once the ten seconds are over. An event is a message of a component at a level, whatever its attributes, so
// that a thousand clients that are refused make a few lines. Debugging is not cut short: who asks for it wants all.
package logs

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// Component is the key of the attribute that names a part of the program.
const Component = "component"

// Window is the time in which repeats are counted.
const Window = 10 * time.Second

// LeftOut is the key of the number of events that were left out.
const LeftOut = "left_out"

// Options say how to log.
type Options struct {
	JSON    bool
	Level   slog.Level
	Levels  map[string]slog.Level // of components; the others have Level
	Repeats int                   // lines of one event in a Window; 0: all
}

// Logs are the program's logs. Make it with New; its methods may be called from any goroutine.
type Logs struct {
	out slog.Handler // writes, whatever the level

	mu      sync.Mutex // guards what follows
	levels  Options
	by      map[string]*slog.LevelVar // by component; "": of none
	repeats map[event]*repeated
}

// event is what counts as the same.
type event struct {
	component string
	level     slog.Level
	message   string
}

// repeated is how often an event was logged since its window began.
type repeated struct {
	logged, left int
}

// New returns logs that are written to w.
func New(w io.Writer, o Options) *Logs {
	everything := &slog.HandlerOptions{Level: slog.LevelDebug - 100}
	l := &Logs{by: make(map[string]*slog.LevelVar), repeats: make(map[event]*repeated)}
	if o.JSON {
		l.out = slog.NewJSONHandler(w, everything)
	} else {
		l.out = slog.NewTextHandler(w, everything)
	}
	l.Set(o)
	return l
}

// Set changes levels and repeats from now on. The form of the lines stays.
func (l *Logs) Set(o Options) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.levels = o
	for component, level := range l.by {
		level.Set(l.levelOf(component))
	}
}

// levelOf is the level of a component. The caller holds l.mu.
func (l *Logs) levelOf(component string) slog.Level {
	if level, ok := l.levels.Levels[component]; ok {
		return level
	}
	return l.levels.Level
}

// level returns a component's level, which follows Set.
func (l *Logs) level(component string) *slog.LevelVar {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.by[component]
	if v == nil {
		v = new(slog.LevelVar)
		v.Set(l.levelOf(component))
		l.by[component] = v
	}
	return v
}

// Logger returns the logger of what has no component.
func (l *Logs) Logger() *slog.Logger {
	return slog.New(&handler{logs: l, out: l.out, level: l.level("")})
}

// handler is a slog.Handler of one component.
type handler struct {
	logs      *Logs
	out       slog.Handler
	level     *slog.LevelVar
	component string
	grouped   bool
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level.Level() }

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo && h.logs.leaveOut(h, event{h.component, r.Level, r.Message}) {
		return nil
	}
	return h.out.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	child := *h
	child.out = h.out.WithAttrs(attrs)
	for _, a := range attrs {
		if a.Key == Component && !h.grouped {
			child.component = a.Value.String()
			child.level = h.logs.level(child.component)
		}
	}
	return &child
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	child := *h
	child.out, child.grouped = h.out.WithGroup(name), true
	return &child
}

// leaveOut reports whether an event has been logged often enough, and counts it.
func (l *Logs) leaveOut(h *handler, e event) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	most := l.levels.Repeats
	if most == 0 {
		return false
	}
	r := l.repeats[e]
	if r == nil {
		r = &repeated{}
		l.repeats[e] = r
		time.AfterFunc(Window, func() { l.endWindow(h, e, r) })
	}
	if r.logged < most {
		r.logged++
		return false
	}
	r.left++
	return true
}

// endWindow says what was left out, if anything was.
func (l *Logs) endWindow(h *handler, e event, r *repeated) {
	l.mu.Lock()
	delete(l.repeats, e)
	left := r.left
	l.mu.Unlock()
	if left == 0 {
		return
	}
	record := slog.NewRecord(time.Now(), e.level, e.message, 0)
	record.AddAttrs(slog.Int(LeftOut, left), slog.Duration("in", Window))
	_ = h.out.Handle(context.Background(), record) // as for any line, nobody is there to tell
}

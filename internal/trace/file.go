package trace

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// Errors of this package. Match them with errors.Is.
var (
	ErrNotFound = errors.New("trace: there is none of that name")
	ErrExists   = errors.New("trace: there is one of that name already")
	ErrTooMany  = errors.New("trace: there are as many as may be")
)

// Type says what a trace goes by.
type Type string

// What traces go by.
const (
	ByClientID Type = "clientid"
	ByTopic    Type = "topic" // a filter
	ByAddress  Type = "ip_address"
)

// Payload says how payloads are written.
type Payload string

// The ways.
const (
	Hidden Payload = "hidden"
	Text   Payload = "text"
	Hex    Payload = "hex"
)

// Config is what is asked of a trace.
type Config struct {
	Name    string    `json:"name"`
	Type    Type      `json:"type"`
	Value   string    `json:"value"` // the client id, filter or address
	StartAt time.Time `json:"start_at"`
	EndAt   time.Time `json:"end_at"`
	Payload Payload   `json:"payload_encode"`
	JSON    bool      `json:"json"` // lines are JSON objects
}

// Status is what a trace is doing.
type Status string

// The states.
const (
	Waiting Status = "waiting"
	Running Status = "running"
	Stopped Status = "stopped"
)

// Info describes a trace.
type Info struct {
	Config
	Status  Status
	Bytes   int64     // of its log
	Lost    int64     // events that the log does not have, since they came too fast or it was full
	Full    bool      // its log has reached the limit
	Written time.Time // its log, last; zero: not known
}

// trace is one trace. Its log is written by the writer alone.
type trace struct {
	Config
	address netip.Addr
	path    string // of the log

	stopped bool // for good; guarded by Spine.mu, as is running
	running bool

	bytes atomic.Int64
	lost  atomic.Int64
	full  atomic.Bool
	file  *os.File // owned by the writer
	buf   []byte   // likewise: what is not written yet
	told  int64    // likewise: how much of lost the log says
	done  bool     // likewise: nothing comes into the log any more
}

// isAbout reports whether a trace is about something.
func (t *trace) isAbout(clientID, from, topic string, filters []string, remote net.Addr) bool {
	switch t.Type {
	case ByClientID:
		return clientID == t.Value || from == t.Value
	case ByTopic:
		return topic != "" && mqtt.MatchTopic(t.Value, topic) || slices.ContainsFunc(filters, func(f string) bool {
			return f == t.Value || mqtt.MatchTopic(t.Value, f) || mqtt.MatchTopic(f, t.Value)
		})
	}
	return remote != nil && addressOf(remote) == t.address
}

// addressOf is the address of a connection, without its port.
func addressOf(remote net.Addr) netip.Addr {
	if tcp, ok := remote.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	p, _ := netip.ParseAddrPort(remote.String())
	return p.Addr().Unmap().WithZone("")
}

// status is what the trace is doing at now. The caller holds Spine.mu.
func (t *trace) status(now time.Time) Status {
	switch {
	case t.stopped || !now.Before(t.EndAt):
		return Stopped
	case now.Before(t.StartAt):
		return Waiting
	}
	return Running
}

func (t *trace) info(now time.Time) Info {
	return Info{Config: t.Config, Status: t.status(now), Bytes: t.bytes.Load(), Lost: t.lost.Load(), Full: t.full.Load()}
}

// Suffixes of a trace's files.
const (
	logSuffix  = ".log"
	metaSuffix = ".json"
)

// restore finds the traces of an earlier process, which have stopped.
func (s *Spine) restore() error {
	names, err := filepath.Glob(filepath.Join(s.opts.Dir, "*"+metaSuffix))
	if err != nil {
		return fmt.Errorf("finding traces: %w", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		t := &trace{stopped: true, path: strings.TrimSuffix(name, metaSuffix) + logSuffix}
		if err == nil {
			err = json.Unmarshal(text, &t.Config)
		}
		if err != nil {
			s.opts.Log.Warn("a trace of an earlier start is not readable and is left out", "file", name, "error", err)
			continue
		}
		if info, err := os.Stat(t.path); err == nil {
			t.bytes.Store(info.Size())
		}
		s.traces[t.Name] = t
	}
	return nil
}

// Create starts a trace, now or when its time comes. The caller has checked c.
func (s *Spine) Create(c Config) (Info, error) {
	t := &trace{Config: c, path: filepath.Join(s.opts.Dir, c.Name+logSuffix)}
	if c.Type == ByAddress {
		var err error
		if t.address, err = netip.ParseAddr(c.Value); err != nil {
			return Info{}, fmt.Errorf("starting a trace: %w", err)
		}
		t.address = t.address.Unmap().WithZone("")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.traces[c.Name] != nil:
		return Info{}, ErrExists
	case len(s.traces) >= s.opts.MaxTraces:
		return Info{}, fmt.Errorf("%w: %d; delete some", ErrTooMany, s.opts.MaxTraces)
	case s.closed:
		return Info{}, errors.New("the broker is stopping")
	}
	text, err := json.Marshal(c)
	err = errors.Join(err, os.MkdirAll(s.opts.Dir, 0o700))
	if err == nil {
		err = os.WriteFile(filepath.Join(s.opts.Dir, c.Name+metaSuffix), text, 0o600)
	}
	if err == nil {
		err = os.WriteFile(t.path, nil, 0o600) // so that there is a log to read, if an empty one
	}
	if err != nil {
		return Info{}, fmt.Errorf("starting a trace: %w", err)
	}
	s.traces[c.Name] = t
	s.schedule(s.now())
	return t.info(s.now()), nil
}

// Tick starts and stops traces whose time has come. It is called every second.
func (s *Spine) Tick(now time.Time) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.schedule(now)
}

// schedule brings up to date which traces run. The caller holds s.mu.
func (s *Spine) schedule(now time.Time) {
	w := s.watch.Load()
	changed := w != nil && w.injected && s.until.Load() <= now.UnixNano()
	for _, t := range s.traces {
		if runs := t.status(now) == Running; runs != t.running {
			changed = true
			if t.running = runs; !runs {
				s.stop(t)
			}
		}
	}
	if changed {
		s.refresh()
	}
}

// stop ends a trace for good, and has what waits for its log written. The caller holds s.mu, and refreshes.
func (s *Spine) stop(t *trace) {
	t.running = false
	if t.stopped {
		return
	}
	t.stopped = true
	s.queue <- item{to: []*trace{t}, end: true} // the writer takes no lock
}

// Stop ends a trace. What it has is kept.
func (s *Spine) Stop(name string) (Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.traces[name]
	if t == nil {
		return Info{}, ErrNotFound
	}
	s.stop(t)
	s.refresh()
	return t.info(s.now()), nil
}

// Delete ends a trace and removes its log.
func (s *Spine) Delete(name string) error {
	s.mu.Lock()
	t := s.traces[name]
	if t == nil {
		s.mu.Unlock()
		return ErrNotFound
	}
	s.stop(t)
	delete(s.traces, name)
	s.refresh()
	done := make(chan error, 1)
	s.queue <- item{to: []*trace{t}, remove: done} // behind what still goes into the log
	s.mu.Unlock()
	return <-done
}

// List describes all traces, the one that starts last first.
func (s *Spine) List() []Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	infos := make([]Info, 0, len(s.traces))
	for _, t := range s.traces {
		infos = append(infos, t.info(s.now()))
	}
	slices.SortFunc(infos, func(a, b Info) int {
		return cmp.Or(b.StartAt.Compare(a.StartAt), strings.Compare(a.Name, b.Name))
	})
	return infos
}

// OpenLog opens the log of a trace, as far as it is written.
func (s *Spine) OpenLog(name string) (io.ReadSeekCloser, Info, error) {
	s.mu.Lock()
	t := s.traces[name]
	var info Info
	if t != nil {
		info = t.info(s.now())
	}
	s.mu.Unlock()
	if t == nil {
		return nil, info, ErrNotFound
	}
	f, err := os.Open(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, info, ErrNotFound
	}
	if err != nil {
		return nil, info, fmt.Errorf("reading a trace: %w", err)
	}
	if stat, err := f.Stat(); err == nil {
		info.Written = stat.ModTime()
	}
	return f, info, nil
}

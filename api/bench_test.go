package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/mqtt"
)

// memory keeps documents for a test.
type memory struct {
	mu   sync.Mutex
	docs map[string][]byte
}

func (m *memory) Get(_ context.Context, kind, name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if d, ok := m.docs[kind+"\x00"+name]; ok {
		return d, nil
	}
	return nil, ErrNoDocument
}

func (m *memory) Put(_ context.Context, kind, name string, doc []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.docs[kind+"\x00"+name] = doc
	return nil
}

func (m *memory) Delete(_ context.Context, kind, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.docs, kind+"\x00"+name)
	return nil
}

func (m *memory) All(_ context.Context, kind string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, k := range slices.Sorted(maps.Keys(m.docs)) {
			if strings.HasPrefix(k, kind+"\x00") && !yield(m.docs[k], nil) {
				return
			}
		}
	}
}

// plainText stands for the real, slow hashes.
type plainText struct{}

func (plainText) Hash(_ context.Context, password string) (string, error) {
	return "plain:" + password, nil
}
func (plainText) Matches(_ context.Context, hash, password string) (bool, error) {
	return hash == "plain:"+password, nil
}

// bench is a server in a test, every answer of which is held against the contract.
type bench struct {
	*Server
	t        *testing.T
	contract document
	now      time.Time
	header   string // Authorization
	log      lockedBuffer
	broker   *broker.Broker
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// device is a client of the broker, on a socket.
type device struct {
	t   *testing.T
	c   net.Conn
	buf []byte
	v   mqtt.Version
}

// connect connects a client, subscribed to filters.
func (b *bench) connect(c *mqtt.Connect, filters ...string) *device {
	b.t.Helper()
	return b.connectTo(b.broker.Listeners()[0].Addr, c, filters...)
}

// connectTo is connect at another listener.
func (b *bench) connectTo(address string, c *mqtt.Connect, filters ...string) *device {
	b.t.Helper()
	socket, err := net.Dial("tcp", address)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = socket.Close() })
	d := &device{b.t, socket, nil, c.Version}
	d.send(c)
	d.receive()
	if len(filters) > 0 {
		s := &mqtt.Subscribe{PacketID: 1}
		for _, f := range filters {
			s.Filters = append(s.Filters, mqtt.FilterOptions{Filter: f, QoS: 1})
		}
		d.send(s)
		d.receive()
	}
	return d
}

func (d *device) send(p mqtt.Packet) {
	d.t.Helper()
	data, err := p.AppendTo(nil, d.v)
	if err == nil {
		_, err = d.c.Write(data)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// receive returns the next packet; nil: the broker hung up.
func (d *device) receive() mqtt.Packet {
	d.t.Helper()
	_ = d.c.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		h, n, err := mqtt.DecodeHeader(d.buf)
		if size := n + int(h.Remaining); err == nil && len(d.buf) >= size {
			body := bytes.Clone(d.buf[n:size])
			d.buf = d.buf[size:]
			p, err := mqtt.Decode(h, body, d.v)
			if err != nil {
				d.t.Fatal(err)
			}
			return p
		}
		chunk := make([]byte, 4096)
		got, err := d.c.Read(chunk)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			d.t.Fatal(err)
		}
		if got == 0 && err != nil {
			return nil
		}
		d.buf = append(d.buf, chunk[:got]...)
	}
}

// eventually waits for what the broker does in its own time.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	var err error
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); <-look.C {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

func newBench(t *testing.T, change ...func(*Options)) *bench {
	t.Helper()
	return newBenchWith(t, func(*config.Config) {}, change...)
}

// newBenchWith is newBench with a broker of another configuration.
func newBenchWith(t *testing.T, configure func(*config.Config), change ...func(*Options)) *bench {
	t.Helper()
	b := newBenchUnstarted(t, configure, change...)
	if err := b.broker.Start(); err != nil {
		t.Fatal(err)
	}
	return b
}

// newBenchUnstarted is newBenchWith for a broker without sockets, whose time may be virtual.
func newBenchUnstarted(t *testing.T, configure func(*config.Config), change ...func(*Options)) *bench {
	t.Helper()
	b := &bench{t: t, contract: readContract(t), now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	o := Options{
		Log: slog.New(slog.NewTextHandler(&b.log, nil)), Documents: &memory{docs: map[string][]byte{}}, Passwords: plainText{},
		Admin: Admin{"admin", "correct horse"}, Now: func() time.Time { return b.now }, Version: "1.2.3", Node: "n1",
		Settings: &fewSettings{values: map[string]string{}},
	}
	cfg := config.Default()
	cfg.Durability, cfg.DataDir = config.DurabilityMemory, t.TempDir()
	cfg.Listeners = map[string]config.Listener{"tcp": {Type: config.TCP, Bind: "127.0.0.1:0"}}
	configure(cfg)
	running, err := broker.New(cfg, o.Log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	o.Broker, b.broker = running, running
	for _, c := range change {
		c(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	b.Server = s
	return b
}

func (b *bench) raw(method, path, authorization, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:18083"
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	rec := httptest.NewRecorder()
	b.ServeHTTP(rec, r)
	return rec
}

// asAdmin logs the administrator in.
func (b *bench) asAdmin() *bench {
	b.t.Helper()
	b.header = ""
	out := b.ok("POST", "/login", `{"username":"admin","password":"correct horse"}`)
	b.header = "Bearer " + out["token"].(string)
	return b
}

// do sends a request below Base, and holds the answer against the contract.
func (b *bench) do(method, path, body string) (int, any) {
	b.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = Base + path
	} else {
		path = "/" + path
	}
	rec := b.raw(method, path, b.header, body)
	if route, ok := b.route(method, path); ok {
		b.contract.checkAnswer(b.t, route, rec)
	}
	var v any
	if strings.HasPrefix(rec.Header().Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
			b.t.Fatalf("%s %s: %v: %s", method, path, err, rec.Body)
		}
	} else {
		text, _ := io.ReadAll(rec.Body)
		v = string(text)
	}
	return rec.Code, v
}

// ok is do where 200 is expected, with an object.
func (b *bench) ok(method, path, body string) map[string]any {
	b.t.Helper()
	code, v := b.do(method, path, body)
	m, _ := v.(map[string]any)
	if code != http.StatusOK || m == nil {
		b.t.Fatalf("%s %s answered %d %v", method, path, code, v)
	}
	return m
}

// fails expects a status and a code, and a part of the message.
func (b *bench) fails(method, path, body string, status int, code, part string) {
	b.t.Helper()
	got, v := b.do(method, path, body)
	m, _ := v.(map[string]any)
	if got != status || m["code"] != code || !strings.Contains(m["message"].(string), part) {
		b.t.Errorf("%s %s %s answered %d %v, not %d %s with %q", method, path, body, got, v, status, code, part)
	}
}

// route finds the route of a path.
func (b *bench) route(method, path string) (Route, bool) {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(path, "/")
	best, bestWild := Route{}, 100
	for _, r := range b.Routes() {
		pattern := strings.Split(r.Path, "/")
		if r.Method != method || len(pattern) != len(parts) {
			continue
		}
		wild, same := 0, true
		for i, p := range pattern {
			if strings.HasPrefix(p, "{") {
				wild++
			} else if p != parts[i] {
				same = false
			}
		}
		if same && wild < bestWild {
			best, bestWild = r, wild
		}
	}
	return best, bestWild < 100
}

// field returns a string of a JSON object.
func field(t *testing.T, body []byte, name string) string {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	s, _ := v[name].(string)
	return s
}

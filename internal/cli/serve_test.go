package cli

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/config"
)

// fakeServer is a broker that takes its time to stop.
type fakeServer struct {
	server
	stopTakes time.Duration
	stopError error
	reloads   int
	reloadErr error
}

func (f *fakeServer) Reload() error { f.reloads++; return f.reloadErr }

func (f *fakeServer) Stop(ctx context.Context) error {
	select {
	case <-time.After(f.stopTakes):
		return f.stopError
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestSignals(t *testing.T) {
	hup, term, intr := syscall.SIGHUP, syscall.SIGTERM, os.Interrupt
	for _, tt := range []struct {
		name    string
		broker  fakeServer
		signals []os.Signal
		want    string // in the error
		took    time.Duration
		reloads int
	}{
		{"one signal stops", fakeServer{stopTakes: time.Second}, []os.Signal{term}, "", time.Second, 0},
		{"an interrupt stops", fakeServer{stopTakes: time.Second}, []os.Signal{intr}, "", time.Second, 0},
		{"a second one stops at once", fakeServer{stopTakes: time.Second}, []os.Signal{term, intr}, "second signal: interrupt", 0, 0},
		{"hangups reload", fakeServer{}, []os.Signal{hup, hup, term}, "", 0, 2},
		{"a failed reload does not stop", fakeServer{reloadErr: errors.New("bad file")}, []os.Signal{hup, term}, "", 0, 1},
		{"a hangup while stopping changes nothing", fakeServer{stopTakes: time.Second}, []os.Signal{term, hup}, "", time.Second, 0},
		{"stopping has an end", fakeServer{stopTakes: time.Hour}, []os.Signal{term}, "stopping: context deadline exceeded", stopTimeout, 0},
		{"a failed stop is told", fakeServer{stopError: errors.New("disk")}, []os.Signal{term}, "stopping: disk", 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				signals := make(chan os.Signal, len(tt.signals))
				for _, s := range tt.signals {
					signals <- s
				}
				begun := time.Now()
				var told []string
				err := untilStopped(t.Context(), &tt.broker, signals, slog.New(slog.DiscardHandler), func(s string) { told = append(told, s) })
				if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				if took := time.Since(begun); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if tt.broker.reloads != tt.reloads {
					t.Errorf("%d reloads, want %d", tt.broker.reloads, tt.reloads)
				}
				if !slices.Equal(told, []string{"STOPPING=1"}) {
					t.Errorf("the supervisor was told %q", told)
				}
			})
		})
	}
}

func TestBanner(t *testing.T) {
	cfg := config.Default()
	cfg.Listeners["s"] = config.Listener{Type: config.TLS, Bind: "127.0.0.1:0"}
	cfg.Listeners["u"] = config.Listener{Type: config.Unix, Bind: "/run/b.sock"}
	open := []broker.ListenerInfo{
		{Name: "tcp", Type: "tcp", Addr: "127.0.0.1:1883"}, {Name: "ws", Type: "ws", Addr: "127.0.0.1:8083"},
		{Name: "s", Type: "tls", Addr: "127.0.0.1:4711"}, {Name: "u", Type: "unix", Addr: "/run/b.sock"},
	}
	var out bytes.Buffer
	printBanner(&out, cfg, open, &httpAPI{url: "http://127.0.0.1:18083", note: "password in ./data/admin-password"}, []string{"--config", "my file.yaml"})
	for _, want := range []string{
		"Barid " + Version() + "\n", " mqtt://127.0.0.1:1883\n", " ws://127.0.0.1:8083/mqtt\n", " mqtts://127.0.0.1:4711\n", " unix:///run/b.sock\n",
		"http://127.0.0.1:18083  (user admin, password in ./data/admin-password)\n", "./data", "fsync: what is acknowledged is on disk\n",
		` --config "my file.yaml" --set listeners.tcp.bind=0.0.0.0:1883 --set auth.allow_anonymous=true` + "\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}

	lan := cfg.Listeners["tcp"]
	lan.Bind = "0.0.0.0:1883"
	cfg.Listeners["tcp"] = lan
	cfg.Durability = config.DurabilityMemory
	out.Reset()
	printBanner(&out, cfg, open, &httpAPI{}, nil)
	if strings.Contains(out.String(), "Only this machine") || strings.Contains(out.String(), "fsync") || strings.Contains(out.String(), "API") {
		t.Errorf("open to the network, and durability as asked for:\n%s", out.String())
	}
}

// The command that the banner shows must be one that the configuration accepts.
func TestOpeningCommandIsAccepted(t *testing.T) {
	set := openingSet(config.Default(), []broker.ListenerInfo{{Name: "tcp", Type: "tcp", Addr: "127.0.0.1:1883"}})
	var sets []string
	for word := range strings.FieldsSeq(set) {
		if word != "--set" {
			sets = append(sets, word)
		}
	}
	cfg, _, err := config.Load(config.Sources{Sets: sets})
	if err != nil {
		t.Fatalf("%s: %v", set, err)
	}
	if ln := cfg.Listeners["tcp"]; ln.Local() || !cfg.AnonymousAllowed(ln) {
		t.Errorf("%s: the listener is %+v", set, ln)
	}
}

package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// barid runs a command line and returns its exit status and what it printed.
func barid(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = Main(t.Context(), args, strings.NewReader(stdin), &out, &errs, nil)
	return status, out.String(), errs.String()
}

func TestCommandLine(t *testing.T) {
	for _, tt := range []struct {
		args           string
		status         int
		stdout, stderr string // what they begin with
	}{
		{"help", 0, "Barid is an MQTT broker.", ""},
		{"--help", 0, "Barid is an MQTT broker.", ""},
		{"-h", 0, "Barid is an MQTT broker.", ""},
		{"help sub", 0, "Usage: barid sub -t FILTER", ""},
		{"help help", 0, "Usage: barid help [COMMAND | man]", ""},
		{"sub --help", 0, "Usage: barid sub -t FILTER", ""},
		{"help nothing", 2, "", `barid help: there is no command "nothing"; see: barid help help`},
		{"nothing", 2, "", `barid: there is no command "nothing"`},
		{"version", 0, "barid ", ""},
		{"--version", 0, "barid ", ""},
		{"version 2", 2, "", `barid version: unexpected argument "2"; see: barid help version`},
		{"serve --nothing", 2, "", "barid serve: flag provided but not defined: -nothing; see: barid help serve"},
		{"--nothing", 2, "", "barid serve: flag provided but not defined: -nothing"},
		{"serve x", 2, "", `barid serve: unexpected argument "x"`},
		{"serve --set mqtt.max_qos=3", 1, "", `--set mqtt.max_qos: "3" is not a whole number from 0 to 2`},
		{"serve --config /does/not/exist", 1, "", "reading the configuration: open /does/not/exist"},
		{"pub -t a", 2, "", "barid pub: give one message: -m, -f, -l, -s or -n; see: barid help pub"},
		{"sub", 2, "", "barid sub: give a topic filter: -t; see: barid help sub"},
	} {
		status, stdout, stderr := barid(t, "", strings.Fields(tt.args)...)
		if status != tt.status || !begins(stdout, tt.stdout) || !begins(stderr, tt.stderr) {
			t.Errorf("barid %s: status %d, printed %q and %q; want %d, %q and %q", tt.args, status, stdout, stderr, tt.status, tt.stdout, tt.stderr)
		}
	}
}

// begins reports whether text begins with want, and is empty if want is.
func begins(text, want string) bool {
	return strings.HasPrefix(text, want) && (want != "" || text == "")
}

func TestCheckConfig(t *testing.T) {
	status, stdout, stderr := barid(t, "", "check-config")
	if status != 0 || !strings.Contains(stdout, "bind: 127.0.0.1:1883") || stderr != "" {
		t.Errorf("of nothing: status %d, printed %q and %q", status, stdout, stderr)
	}
	file := filepath.Join(t.TempDir(), "barid.yaml")
	if err := os.WriteFile(file, []byte("durability: fast\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr = barid(t, "", "check-config", "--config", file)
	if want := file + `:1: durability: "fast" is not one of fsync, os, memory` + "\n"; status != 1 || stdout != "" || stderr != want {
		t.Errorf("of a bad file: status %d, printed %q and %q, want %q", status, stdout, stderr, want)
	}
	var out, errs bytes.Buffer
	status = Main(t.Context(), []string{"check-config", "--set", "metrics.bind=127.0.0.1:1", "--set", "api.admin.password=hunter2"}, nil, &out, &errs, []string{"BARID_DATADIR=x"})
	want := "warning: BARID_DATADIR: no key has this name; did you mean data_dir?\n"
	if status != 0 || errs.String() != want || strings.Contains(out.String(), "hunter2") {
		t.Errorf("with warnings: status %d, printed %q, want %q; and %q", status, errs.String(), want, out.String())
	}
}

func TestVersionOf(t *testing.T) {
	revision := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}}
	for _, tt := range []struct {
		name string
		info debug.BuildInfo
		want string
	}{
		{"development", debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: revision}, version + " (0123456789ab)"},
		{"without version control", debug.BuildInfo{}, version},
		{"a release", debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: revision}, "v1.2.3"},
	} {
		if got := versionOf(&tt.info); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestServeStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out := &notifying{wrote: make(chan struct{}, 100)}
	var errs bytes.Buffer
	status := make(chan int, 1)
	go func() {
		status <- Main(ctx, []string{"--set", "listeners.tcp.bind=127.0.0.1:0", "--set", "listeners.ws=", "--set", "data_dir=" + t.TempDir()}, nil, out, &errs, nil)
	}()
	select {
	case <-out.wrote: // the banner: it is up
	case got := <-status:
		t.Fatalf("ended with %d: %s", got, errs.String())
	}
	cancel()
	if got := <-status; got != 0 {
		t.Errorf("ended with %d: %s", got, errs.String())
	}
}

// notifying tells of each write.
type notifying struct {
	wrote chan struct{}

	mu  sync.Mutex // guards all
	all bytes.Buffer
}

func (n *notifying) Write(p []byte) (int, error) {
	n.mu.Lock()
	n.all.Write(p)
	n.mu.Unlock()
	n.wrote <- struct{}{}
	return len(p), nil
}

// text is what was written.
func (n *notifying) text() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.all.String()
}

package listener

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestListenErrorsSayWhatToDo(t *testing.T) {
	ca := newAuthority(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	file := ca.path("file")
	os.WriteFile(file, []byte("precious"), 0o600)
	missing := ca.options(TypeTLS)
	missing.CertFile = ca.path("missing.pem")
	mixed := ca.options(TypeTLS)
	ca.issue("other", "other")
	mixed.KeyFile = ca.path("other.key")
	badCA := ca.options(TypeTLS)
	badCA.ClientCAFile = file
	noCA := ca.options(TypeTLS)
	noCA.RequireClientCert = true
	tests := []struct {
		name string
		o    Options
		says []string
	}{
		{"port taken", Options{Type: TypeTCP, Bind: addr}, []string{addr, "in use", "another program", "listeners.x.bind"}},
		{"no such address", Options{Type: TypeTCP, Bind: "192.0.2.1:1883"}, []string{"192.0.2.1:1883", "no interface"}},
		{"no address", Options{Type: TypeTCP}, []string{"bind is empty"}},
		{"nonsense", Options{Type: TypeTCP, Bind: "nonsense"}, []string{"nonsense", "missing port"}},
		{"type", Options{Type: "quic", Bind: addr}, []string{`"quic"`, "tcp, tls, ws, wss, unix"}},
		{"path", Options{Type: TypeWS, Bind: addr, Path: "mqtt"}, []string{`"mqtt"`, "/"}},
		{"no certificate", Options{Type: TypeWSS, Bind: addr}, []string{"cert_file", "key_file"}},
		{"certificate missing", missing, []string{"missing.pem", "no such file"}},
		{"key of another certificate", mixed, []string{"server.pem", "other.key"}},
		{"CA file without a certificate", badCA, []string{file, "no certificate"}},
		{"client certificates without a CA", noCA, []string{"client_ca_file"}},
		{"a file that is no socket", Options{Type: TypeUnix, Bind: file}, []string{file, "not a socket"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Name = "x"
			l, err := Listen(tt.o)
			if err == nil {
				l.Close()
				t.Fatal("it opened")
			}
			for _, s := range append(tt.says, "listener x: ") {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not say %q", err, s)
				}
			}
		})
	}
	if b, _ := os.ReadFile(file); string(b) != "precious" {
		t.Error("a file that is no socket was touched")
	}
	_, err = Listen(Options{Name: "x", Type: TypeTCP, Bind: addr})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%v is not EADDRINUSE", err)
	}
}

func TestUnixSocketFile(t *testing.T) {
	ca := newAuthority(t)
	o := ca.options(TypeUnix)
	o.UnixMode = 0o600
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: o.Bind, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false) // as a program does that is killed
	stale.Close()
	l, got := start(t, o)
	info, err := os.Stat(o.Bind)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	if _, err := Listen(o); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), o.Bind) {
		t.Errorf("a second listener on the socket: %v", err)
	}
	(<-got).Close() // the second listener asked whether somebody is there
	exchange(t, dial(t, l), <-got)
	l.Close()
	if _, err := os.Stat(o.Bind); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

package devcerts

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func make1(t *testing.T, dir, client string, hosts ...string) *Set {
	t.Helper()
	s, err := Make(dir, client, hosts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Server and client prove themselves to each other with what was made.
func TestMutualTLS(t *testing.T) {
	s := make1(t, filepath.Join(t.TempDir(), "new", "certs"), "sensor-7", "broker.example", "10.1.2.3", "*.mqtt.example", "localhost")
	pool := x509.NewCertPool()
	ca, err := os.ReadFile(s.CACert)
	if err != nil || !pool.AppendCertsFromPEM(ca) {
		t.Fatal(err)
	}
	serverPair, err := tls.LoadX509KeyPair(s.ServerCert, s.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	clientPair, err := tls.LoadX509KeyPair(s.ClientCert, s.ClientKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"localhost", "127.0.0.1", "::1", "broker.example", "10.1.2.3", "a.mqtt.example"} {
		a, b := net.Pipe()
		server := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{serverPair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert})
		client := tls.Client(b, &tls.Config{RootCAs: pool, ServerName: host, Certificates: []tls.Certificate{clientPair}})
		done := make(chan error)
		go func() { done <- server.Handshake() }()
		if err := client.Handshake(); err != nil {
			t.Errorf("%s: %v", host, err)
		}
		if err := <-done; err != nil {
			t.Errorf("%s: %v", host, err)
		} else if cn := server.ConnectionState().PeerCertificates[0].Subject.CommonName; cn != "sensor-7" {
			t.Errorf("the client is %q", cn)
		}
		a.Close()
		b.Close()
	}
	for _, key := range []string{s.CAKey, s.ServerKey, s.ClientKey} {
		if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", key, info.Mode(), err)
		}
	}
}

func TestNothingIsOverwritten(t *testing.T) {
	dir := t.TempDir()
	s := make1(t, dir, "one")
	before := map[string][]byte{}
	for _, file := range []string{s.CACert, s.CAKey, s.ServerCert, s.ServerKey, s.ClientCert, s.ClientKey} {
		before[file], _ = os.ReadFile(file)
	}
	if _, err := Make(dir, "one", nil); err == nil || !strings.Contains(err.Error(), "one.crt") {
		t.Errorf("a second time: %v", err)
	}
	two := make1(t, dir, "two") // another client of the same authority
	if two.Hosts != nil {
		t.Error("the server's certificate was made anew")
	}
	for file, text := range before {
		if now, _ := os.ReadFile(file); !bytes.Equal(now, text) {
			t.Errorf("%s has changed", file)
		}
	}
	if err := os.WriteFile(s.CAKey, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Make(dir, "three", nil); err == nil || !strings.Contains(err.Error(), "ca.key") {
		t.Errorf("with a broken authority: %v", err)
	}
}

func TestBadNamesAreRefused(t *testing.T) {
	for _, client := range []string{"", "ca", "server", "../x", "a/b", ".hidden"} {
		if _, err := Make(t.TempDir(), client, nil); err == nil {
			t.Errorf("client %q was taken", client)
		}
	}
	for _, host := range []string{"", "a b", "a..b", "ex/ample", "https://x", "*", "a.*.b", strings.Repeat("a", 64)} {
		if _, err := Make(t.TempDir(), "c", []string{host}); err == nil {
			t.Errorf("host %q was taken", host)
		}
	}
}

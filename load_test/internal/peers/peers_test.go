package peers

import (
	"crypto/tls"
	"net"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseReadsAPeer(t *testing.T) {
	p, err := Parse("x,127.0.0.1:7,/bin/echo {dir}/conf a,b")
	if err != nil {
		t.Fatal(err)
	}
	command, addrs, err := p.prepare("/d", Need{})
	if err != nil || strings.Join(command, "|") != "/bin/echo|/d/conf|a,b" || addrs["mqtt"] != "127.0.0.1:7" || p.Name != "x" {
		t.Errorf("%v %v %v %+v", command, addrs, err, p)
	}
	if p.Lacks("mqtt", Need{}) != "" || p.Lacks("mqtts", Need{}) == "" {
		t.Error("a peer by address has TCP, and TCP only")
	}
	for _, bad := range []string{"", "x", "x,", ",127.0.0.1:7"} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestBrokerThatEndsAtOnceIsShownWithItsLastWords(t *testing.T) {
	p, err := Parse("x,127.0.0.1:1,/bin/ls /no/such/file")
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Start(t.Context(), t.TempDir(), Need{})
	if err == nil || !strings.Contains(err.Error(), "it has ended") || !strings.Contains(err.Error(), "/no/such/file") {
		t.Errorf("error %v", err)
	}
}

func TestPeerByAddressIsNotStopped(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := Parse("x," + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Start(t.Context(), t.TempDir(), Need{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/net/tcp"); err == nil && b.PID != os.Getpid() {
		t.Errorf("process %d listens there, found %d", os.Getpid(), b.PID)
	}
	b.Stop()
	if !b.Running() {
		t.Error("it does not run")
	}
}

func TestFreeAddrsDiffer(t *testing.T) {
	addrs, err := freeAddrs("a", "b", "c")
	if err != nil {
		t.Fatal(err)
	}
	ports := map[int]bool{}
	for _, a := range addrs {
		ports[portOf(a)] = true
	}
	if len(ports) != 3 || ports[0] {
		t.Errorf("%v", addrs)
	}
}

func TestCertificateIsMadeOnceAndFitsItsKey(t *testing.T) {
	dir := t.TempDir()
	cert, key, err := certificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.Leaf.VerifyHostname("127.0.0.1"); err != nil {
		t.Error(err)
	}
	if _, _, err := certificate(dir); err != nil {
		t.Error(err)
	}
	again, err := tls.LoadX509KeyPair(cert, key)
	if err != nil || !again.Leaf.Equal(pair.Leaf) {
		t.Errorf("another certificate, %v", err)
	}
}

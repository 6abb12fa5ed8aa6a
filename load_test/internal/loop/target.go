package loop

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
)

// Target is where and how clients connect.
type Target struct {
	Scheme string // mqtt, mqtts, ws, wss
	Addr   string // host:port
	Path   string // of a WebSocket
	// Sources is how many local addresses the clients use in turn, if the broker is on a loopback address: one address
	// has some 28,000 ports. 0 means one.
	Sources int

	tls  *tls.Config
	peer netip.AddrPort // for sockets of the loop
}

// ParseTarget reads an address: host:port, or a URL with the scheme mqtt, tcp, mqtts, ssl, tls, ws or wss.
func ParseTarget(s string) (*Target, error) {
	t := &Target{Scheme: "mqtt", Addr: s, Path: "/mqtt"}
	if u, err := url.Parse(s); err == nil && u.Host != "" {
		t.Scheme, t.Addr = u.Scheme, u.Host
		if u.Path != "" {
			t.Path = u.Path
		}
	}
	port := map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "8083", "wss": "8084"}
	switch t.Scheme {
	case "tcp":
		t.Scheme = "mqtt"
	case "ssl", "tls":
		t.Scheme = "mqtts"
	case "mqtt", "mqtts", "ws", "wss":
	default:
		return nil, fmt.Errorf("%q: a broker's address is host:port, or a URL with mqtt, mqtts, ws or wss", s)
	}
	if _, _, err := net.SplitHostPort(t.Addr); err != nil {
		t.Addr = net.JoinHostPort(t.Addr, port[t.Scheme])
	}
	addr, err := net.ResolveTCPAddr("tcp", t.Addr)
	if err != nil {
		return nil, fmt.Errorf("the broker's address %q: %w", s, err)
	}
	t.peer = addr.AddrPort()
	if t.peer.Addr().Is4In6() {
		t.peer = netip.AddrPortFrom(t.peer.Addr().Unmap(), t.peer.Port())
	}
	host, _, _ := net.SplitHostPort(t.Addr)
	// A load generator measures a broker that its user names; it has nothing to hide from an impostor.
	t.tls = &tls.Config{ServerName: host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
	return t, nil
}

// String returns the target as a URL.
func (t *Target) String() string {
	s := t.Scheme + "://" + t.Addr
	if t.Scheme == "ws" || t.Scheme == "wss" {
		s += t.Path
	}
	return s
}

// Port returns the broker's port, and whether its address is a loopback one.
func (t *Target) Port() (port int, loopback bool) {
	return int(t.peer.Port()), t.peer.Addr().IsLoopback()
}

// source returns the local address for the nth connection; ok is false if the system is to choose.
func (t *Target) source(n uint32) (a netip.Addr, ok bool) {
	if t.Sources <= 1 || !t.peer.Addr().Is4() || !t.peer.Addr().IsLoopback() {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte{127, 0, 1, byte(1 + n%uint32(min(t.Sources, 250)))}), true
}

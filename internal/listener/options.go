// Package listener accepts connections: TCP, TLS, WebSocket, WebSocket over TLS and Unix sockets, each with the PROXY
// protocol before it if wished. What it hands over is a net.Conn of MQTT bytes, with what is known of its peer; from
// then on it is out of the path.
//
// Goroutines: Serve runs the accept loop in its caller's. What must be said before the first MQTT byte (PROXY header,
// TLS and WebSocket handshake) runs in a goroutine of its own, of which there are at most MaxHandshakes, each for at
// most HandshakeTimeout. Close waits for all of them.
package listener

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// The types of listeners.
const (
	TypeTCP  = "tcp"
	TypeTLS  = "tls"
	TypeWS   = "ws"
	TypeWSS  = "wss"
	TypeUnix = "unix"
)

// The defaults of Options.
const (
	DefaultPath             = "/mqtt"
	anyPath                 = "*"
	DefaultHandshakeTimeout = 10 * time.Second
	DefaultMaxHandshakes    = 4096
	DefaultUnixMode         = os.FileMode(0o660)
)

// Options describe a listener.
type Options struct {
	Name string // for messages, and in what is accepted
	Type string // one of the Type constants
	Bind string // host:port, or the path of a Unix socket

	Path           string   // of WebSocket; "" means DefaultPath, * any
	AllowedOrigins []string // of WebSocket: which pages' scripts may connect; none listed: all
	SameOrigin     bool     // of Handed: scripts of the server's own pages may, and of AllowedOrigins, and no others

	CertFile, KeyFile string      // of TLS, in PEM
	MoreCerts         []CertFiles // for other names, chosen by what a client asks for
	MinVersion        uint16      // of TLS, as crypto/tls numbers them; 0: 1.2
	ClientCAFile      string      // who signs client certificates, in PEM; "" means that none are asked for
	RequireClientCert bool        // otherwise a client without one gets in, and one with a bad one does not
	CRLFile           string      // client certificates that were revoked, in PEM or DER; "": none

	MaxConnections   int           // open at once, handshakes included; 0: no limit
	MaxDescriptor    uint64        // connections get descriptors below it, so that the process keeps those above; 0: no limit
	MaxHandshakes    int           // under way at once; 0 means DefaultMaxHandshakes
	HandshakeTimeout time.Duration // for all of PROXY, TLS and WebSocket; 0 means DefaultHandshakeTimeout
	AcceptRate       int           // connections a second; those beyond it wait in the kernel; 0: no limit
	ProxyProtocol    bool          // each connection begins with a PROXY protocol header, of version 1 or 2
	UnixMode         os.FileMode   // of a Unix socket's file; 0 means DefaultUnixMode

	// OnProblem is told what went wrong with a connection, or with accepting. It must not block, and be ready for calls
	// from several goroutines. nil: nobody is told.
	OnProblem func(Problem)
}

// Reason is why a connection was not accepted.
type Reason string

// The reasons.
const (
	MaxConnections  Reason = "max_connections"     // the listener has as many as it may
	MaxHandshakes   Reason = "max_handshakes"      // too many handshakes are under way
	MaxDescriptors  Reason = "max_descriptors"     // the process would have too few descriptors left
	BadProxyHeader  Reason = "proxy_header"        // the PROXY header failed or did not come in time
	BadTLS          Reason = "tls_handshake"       // the same, of TLS
	BadWebSocket    Reason = "websocket_handshake" // the same, of WebSocket
	AcceptingFailed Reason = "accept_failed"       // the system gave no connection, as when descriptors run out
)

// Problem is one connection that was not accepted, or one failure to accept.
type Problem struct {
	Listener string
	Reason   Reason
	Remote   net.Addr // nil if no connection was there
	Err      error    // nil if the reason says it all
}

// isSecure reports whether the listener speaks TLS.
func (o *Options) isSecure() bool { return o.Type == TypeTLS || o.Type == TypeWSS }

// isWebSocket reports whether the listener speaks WebSocket.
func (o *Options) isWebSocket() bool { return o.Type == TypeWS || o.Type == TypeWSS }

// needsHandshake reports whether anything comes before the first MQTT byte.
func (o *Options) needsHandshake() bool { return o.ProxyProtocol || o.isSecure() || o.isWebSocket() }

// check validates the options and fills in the defaults.
func (o *Options) check() error {
	switch o.Type {
	case TypeTCP, TypeTLS, TypeWS, TypeWSS, TypeUnix:
	default:
		return fmt.Errorf("unknown type %q: it is one of tcp, tls, ws, wss, unix", o.Type)
	}
	if o.Path == "" {
		o.Path = DefaultPath
	}
	if o.HandshakeTimeout <= 0 {
		o.HandshakeTimeout = DefaultHandshakeTimeout
	}
	if o.MaxHandshakes <= 0 {
		o.MaxHandshakes = DefaultMaxHandshakes
	}
	if o.UnixMode == 0 {
		o.UnixMode = DefaultUnixMode
	}
	switch {
	case o.isWebSocket() && o.Path != anyPath && o.Path[0] != '/':
		return fmt.Errorf("path %q does not begin with /", o.Path)
	case !o.isSecure():
		return nil
	case o.CertFile == "" || o.KeyFile == "":
		return errors.New("cert_file and key_file are needed for TLS")
	case o.RequireClientCert && o.ClientCAFile == "":
		return errors.New("require_client_cert needs client_ca_file, to know whose certificates are good")
	case o.CRLFile != "" && o.ClientCAFile == "":
		return errors.New("crl_file needs client_ca_file, whose certificates it revokes")
	}
	return nil
}

package listener

import (
	"crypto/tls"
	"os"
	"testing"
)

func TestClientCertificates(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	good, bad := ca.issue("client", "sensor-7"), stranger.issue("client", "sensor-7")
	for _, tt := range []struct {
		name    string
		require bool
		certs   []tls.Certificate
		ok      bool
		cn      string
	}{
		{"required, given", true, []tls.Certificate{good}, true, "sensor-7"},
		{"required, none", true, nil, false, ""},
		{"required, a stranger's", true, []tls.Certificate{bad}, false, ""},
		{"optional, given", false, []tls.Certificate{good}, true, "sensor-7"},
		{"optional, none", false, nil, true, ""},
		{"optional, a stranger's", false, []tls.Certificate{bad}, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			problems := make(chan Problem, 1)
			o := ca.options(TypeTLS)
			o.ClientCAFile, o.RequireClientCert = ca.path("ca.pem"), tt.require
			o.OnProblem = func(p Problem) { problems <- p }
			l, got := start(t, o)
			config := ca.client()
			// Without asking: GetClientCertificate shows a certificate whatever the server says it wants.
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(tt.certs) == 0 {
					return &tls.Certificate{}, nil
				}
				return &tt.certs[0], nil
			}
			c := tls.Client(dial(t, l), config)
			c.Handshake()
			if !tt.ok {
				if p := <-problems; p.Reason != BadTLS {
					t.Errorf("problem %+v", p)
				}
				return
			}
			a := <-got
			cn := ""
			if len(a.TLS.VerifiedChains) > 0 {
				cn = a.TLS.PeerCertificates[0].Subject.CommonName
			}
			if cn != tt.cn {
				t.Errorf("common name %q, want %q", cn, tt.cn)
			}
		})
	}
}

func TestTLSVersionsAndALPN(t *testing.T) {
	ca := newAuthority(t)
	l, _ := start(t, ca.options(TypeTLS))
	for _, tt := range []struct {
		max   uint16
		offer []string
		ok    bool
		agree string
	}{
		{tls.VersionTLS11, nil, false, ""},
		{tls.VersionTLS12, nil, true, ""},
		{tls.VersionTLS13, nil, true, ""},
		{tls.VersionTLS13, []string{"x-private", "mqtt"}, true, "mqtt"},
		{tls.VersionTLS12, []string{"x-private"}, true, ""},
	} {
		config := ca.client()
		config.MinVersion, config.MaxVersion, config.NextProtos = tls.VersionTLS10, tt.max, tt.offer
		c := tls.Client(dial(t, l), config)
		if err := c.Handshake(); (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt, err)
		}
		if got := c.ConnectionState().NegotiatedProtocol; got != tt.agree {
			t.Errorf("%+v: agreed on %q", tt, got)
		}
		c.Close()
	}
}

func TestReload(t *testing.T) {
	ca := newAuthority(t)
	o := ca.options(TypeTLS)
	l, got := start(t, o)
	served := func() string {
		t.Helper()
		c := tls.Client(dial(t, l), ca.client())
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		(<-got).Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	ca.issue("server", "renewed")
	if cn := served(); cn != "server" {
		t.Errorf("before Reload: %q", cn)
	}
	if err := l.Reload(); err != nil {
		t.Fatal(err)
	}
	if cn := served(); cn != "renewed" {
		t.Errorf("after Reload: %q", cn)
	}
	os.WriteFile(o.CertFile, []byte("half a certifi"), 0o600)
	if err := l.Reload(); err == nil {
		t.Error("Reload of a broken file succeeded")
	}
	if cn := served(); cn != "renewed" {
		t.Errorf("after a failed Reload: %q", cn)
	}
}

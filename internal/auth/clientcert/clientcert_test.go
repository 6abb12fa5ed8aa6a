package clientcert

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/mqtt"
)

func TestNames(t *testing.T) {
	uri, _ := url.Parse("spiffe://example/sensor")
	full := &x509.Certificate{
		Subject:  pkix.Name{CommonName: "sensor-7", Organization: []string{"Example"}},
		DNSNames: []string{"a.example", "b.example"}, EmailAddresses: []string{"me@example"}, URIs: []*url.URL{uri},
	}
	for source, want := range map[Source]string{
		CommonName: "sensor-7", DNS: "a.example", Email: "me@example", URI: "spiffe://example/sensor", Subject: "CN=sensor-7,O=Example",
	} {
		if got, err := source.Name(full); err != nil || got != want {
			t.Errorf("%s is %q, %v", source, got, err)
		}
		if got, err := source.Name(&x509.Certificate{}); !errors.Is(err, mqtt.NotAuthorized) {
			t.Errorf("%s of nothing is %q, %v", source, got, err)
		}
	}
	for _, bad := range []string{"a\x00b", "a\nb", "\xff", strings.Repeat("a", maxNameBytes+1)} {
		if got, err := CommonName.Name(&x509.Certificate{Subject: pkix.Name{CommonName: bad}}); err == nil {
			t.Errorf("%.10q became the name %.10q", bad, got)
		}
	}
}

// A certificate counts only once it was verified: a client can show any.
func TestOnlyVerifiedCertificatesCount(t *testing.T) {
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: "root"}}
	shown := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	a := Authenticator{CommonName}
	for _, state := range []*tls.ConnectionState{nil, {}, shown} {
		if _, err := a.Authenticate(t.Context(), &auth.Request{ClientID: "c", Username: "u", TLS: state}); !errors.Is(err, auth.ErrPass) {
			t.Errorf("%v", err)
		}
	}
	verified := *shown
	verified.VerifiedChains = [][]*x509.Certificate{{cert}}
	id, err := a.Authenticate(t.Context(), &auth.Request{ClientID: "c", Username: "u", TLS: &verified})
	if err != nil || id.Username != "root" || id.ClientID != "c" {
		t.Errorf("%+v, %v", id, err)
	}
}

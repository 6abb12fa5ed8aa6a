// Package clientcert takes clients by the certificates that TLS has verified: who has the key needs no password.
package clientcert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/mqtt"
)

// Source is what of a certificate is the client's name.
type Source string

// The sources. Of several names of a kind the first counts.
const (
	CommonName Source = "cn"
	DNS        Source = "dns"
	Email      Source = "email"
	URI        Source = "uri"
	Subject    Source = "subject" // the whole of it, as RFC 2253 writes it: CN=sensor-7,O=Example
)

// maxNameBytes is what MQTT has room for.
const maxNameBytes = 65535

// Verified returns the client's certificate if it has shown one that is good; otherwise nil.
func Verified(state *tls.ConnectionState) *x509.Certificate {
	if state == nil || len(state.VerifiedChains) == 0 {
		return nil
	}
	return state.PeerCertificates[0]
}

// Name returns the name in a certificate. An error says that it has none that could be one.
func (s Source) Name(cert *x509.Certificate) (string, error) {
	name := ""
	switch s {
	case CommonName:
		name = cert.Subject.CommonName
	case DNS:
		name = first(cert.DNSNames)
	case Email:
		name = first(cert.EmailAddresses)
	case URI:
		if len(cert.URIs) > 0 {
			name = cert.URIs[0].String()
		}
	case Subject:
		name = cert.Subject.String()
	}
	switch {
	case name == "":
		return "", fmt.Errorf("%w: the certificate has no %s", mqtt.NotAuthorized, s)
	case len(name) > maxNameBytes, !utf8.ValidString(name), strings.ContainsFunc(name, unicode.IsControl):
		return "", fmt.Errorf("%w: the %s of the certificate cannot be a name", mqtt.NotAuthorized, s)
	}
	return name, nil
}

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// Authenticator lets clients in by their certificates, under the name that these give them, and passes on those without.
type Authenticator struct{ Source Source }

var _ auth.Authenticator = Authenticator{}

// Authenticate implements auth.Authenticator.
func (a Authenticator) Authenticate(_ context.Context, r *auth.Request) (auth.Identity, error) {
	cert := Verified(r.TLS)
	if cert == nil {
		return auth.Identity{}, auth.ErrPass
	}
	name, err := a.Source.Name(cert)
	if err != nil {
		return auth.Identity{}, err
	}
	return auth.Identity{ClientID: r.ClientID, Username: name}, nil
}

package broker

import (
	"fmt"
	"slices"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/auth/clientcert"
	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/listener"
	"github.com/barid-mqtt/barid/mqtt"
)

// expiryWarning is how long before its end a certificate raises an alarm.
const expiryWarning = 30 * 24 * time.Hour

// certificateAlarm begins the name of the alarm about the certificates of a listener.
const certificateAlarm = "certificate_expires_"

// tlsFilesAlarm begins the name of the alarm about TLS files of a listener that cannot be used.
const tlsFilesAlarm = "tls_files_unusable_"

// The same alarms about the certificate of the HTTP API.
const (
	apiCertificateAlarm = "api_certificate_expires"
	apiTLSFilesAlarm    = "api_tls_files_unusable"
)

// apiCertificate is what the HTTP API shows, which is not the broker's own.
type apiCertificate struct {
	file string
	ends func() time.Time
}

// WatchAPICertificate has an alarm raised when the certificate of the HTTP API, of a file, ends soon. It is called before
// Start.
func (b *Broker) WatchAPICertificate(file string, ends func() time.Time) {
	b.apiCert = apiCertificate{file, ends}
}

// APITLSFiles says whether the TLS files of the HTTP API could be read when they changed; nil: they could.
func (b *Broker) APITLSFiles(err error) {
	b.alarms.Set(apiTLSFilesAlarm, err != nil, fmt.Sprintf("what was read before stays in effect until this is mended: %v", err), nil)
}

func moreCerts(ln config.Listener) []listener.CertFiles {
	files := make([]listener.CertFiles, len(ln.SNICertFiles))
	for i := range files {
		files[i] = listener.CertFiles{Cert: ln.SNICertFiles[i], Key: ln.SNIKeyFiles[i]}
	}
	return files
}

// minVersion is the least version of TLS. The configuration is checked; one made by hand gets the default.
func minVersion(ln config.Listener) uint16 {
	v, _ := listener.TLSVersion(string(ln.TLSMinVersion))
	return v
}

// certificateStep returns the chain with the authenticator for a listener's client certificates, if it has one: where
// the order says, or else in front, since a certificate says more than what a client says of itself.
func certificateStep(ln config.Listener, order []string, steps []auth.Step) []auth.Step {
	if ln.CertUsername == config.CertNone {
		return steps
	}
	own := auth.Step{Name: config.AuthCertificates, Authenticator: clientcert.Authenticator{Source: clientcert.Source(ln.CertUsername)}}
	at, place := 0, slices.Index(order, own.Name)
	for at < len(steps) && slices.Index(order, steps[at].Name) < place {
		at++
	}
	return slices.Insert(slices.Clone(steps), at, own)
}

// nameByCertificate makes the name in the client's certificate its client id, where the listener says so. Without a
// certificate, which the listener may allow, the client keeps its own.
func (k *connecting) nameByCertificate(p *mqtt.Connect) error {
	if !k.listener.certClientID {
		return nil
	}
	cert := clientcert.Verified(k.request.TLS)
	if cert == nil {
		return nil
	}
	name, err := k.listener.certName.Name(cert)
	if err != nil {
		return err
	}
	p.ClientID = name
	k.conn.SetClientID(name)
	return nil
}

// watchCertificates raises and clears the alarms about certificates and revocation lists that end soon.
func (b *Broker) watchCertificates(now time.Time) {
	if !b.opened.Load() {
		return
	}
	for name, s := range b.listeners {
		l := s.open.Load()
		if l == nil { // stopped: nobody is shown it
			b.alarms.Deactivate(certificateAlarm + name)
			continue
		}
		what, end := "the revocation list", l.RevocationsExpire()
		for _, c := range l.Certificates() {
			if end.IsZero() || c.NotAfter.Before(end) {
				what, end = "the certificate "+c.File, c.NotAfter
			}
		}
		b.certificateEnds(now, certificateAlarm+name, fmt.Sprintf("%s of listener %s", what, name), end, map[string]any{"listener": name})
	}
	if c := b.apiCert; c.ends != nil {
		b.certificateEnds(now, apiCertificateAlarm, fmt.Sprintf("the certificate %s of the HTTP API", c.file), c.ends(), map[string]any{"file": c.file})
	}
}

// certificateEnds raises or clears the alarm about something that ends; zero: never.
func (b *Broker) certificateEnds(now time.Time, alarm, what string, end time.Time, details map[string]any) {
	left := end.Sub(now)
	if end.IsZero() || left >= expiryWarning {
		b.alarms.Deactivate(alarm)
		return
	}
	days := int(left / (24 * time.Hour))
	text := fmt.Sprintf("%s ends in %d days, at %s: renew it; the file is read again by itself", what, days, end.UTC().Format(time.RFC3339))
	if left <= 0 {
		text = fmt.Sprintf("%s ended at %s: renew it; the file is read again by itself", what, end.UTC().Format(time.RFC3339))
	}
	details["days_left"], details["not_after"] = days, end
	b.alarms.Activate(alarm, text, details)
}

// watchCertFiles has a listener's TLS files read again when they change, for the connections to come. Files that cannot
// be used change nothing but raise an alarm, until there are some that can.
func (b *Broker) watchCertFiles(s *listenerState) {
	for _, file := range s.options.Files() {
		b.access.watch(file, func() {
			l := s.open.Load()
			if l == nil { // a start reads them
				return
			}
			err := l.Reload()
			b.alarms.Set(tlsFilesAlarm+s.name, err != nil,
				fmt.Sprintf("what was read before stays in effect until this is mended: %v", err), map[string]any{"listener": s.name, "file": file})
			if err == nil {
				b.logs.listener.Info("file changed and was read again", "listener", s.name, "file", file)
			}
		})
	}
}

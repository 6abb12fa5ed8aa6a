package listener

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// alpnMQTT is MQTT's registered name for application-layer protocol negotiation.
const alpnMQTT = "mqtt"

// CertFiles are a certificate chain and its key, in PEM.
type CertFiles struct{ Cert, Key string }

// secured is what a listener's TLS files say. It is replaced as a whole, and so are the keys of session tickets with it:
// a ticket that was given under an older authority or revocation list is worth nothing.
type secured struct {
	config *tls.Config
	certs  []Certificate
	crls   []*x509.RevocationList
}

// Certificate is one that a listener shows.
type Certificate struct {
	File     string
	Subject  string
	Names    []string // that clients may know it by
	NotAfter time.Time
}

// loadTLS reads the files that o names. It returns nil for a listener without TLS.
func loadTLS(o *Options) (*secured, error) {
	if !o.isSecure() {
		return nil, nil
	}
	s := &secured{config: &tls.Config{MinVersion: tls.VersionTLS12}}
	if o.MinVersion != 0 {
		s.config.MinVersion = o.MinVersion
	}
	for _, files := range append([]CertFiles{{o.CertFile, o.KeyFile}}, o.MoreCerts...) {
		if err := s.addCertificate(files); err != nil {
			return nil, err
		}
	}
	if o.ClientCAFile != "" {
		if err := s.askForCertificates(o); err != nil {
			return nil, err
		}
	}
	if o.Type == TypeTLS {
		answerALPN(s.config)
	}
	return s, nil
}

// addCertificate adds a certificate to choose from: a client gets the first that is good for the name that it asks for
// and that its software can verify, or else the first of all.
func (s *secured) addCertificate(files CertFiles) error {
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return fmt.Errorf("loading cert_file %s with key_file %s: %w", files.Cert, files.Key, err)
	}
	s.config.Certificates = append(s.config.Certificates, cert)
	leaf := cert.Leaf
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	s.certs = append(s.certs, Certificate{files.Cert, leaf.Subject.String(), names, leaf.NotAfter})
	return nil
}

// askForCertificates sets what is asked of clients.
func (s *secured) askForCertificates(o *Options) error {
	authorities, err := loadCertificates(o.ClientCAFile)
	if err != nil {
		return fmt.Errorf("loading client_ca_file: %w", err)
	}
	s.config.ClientCAs = x509.NewCertPool()
	for _, ca := range authorities {
		s.config.ClientCAs.AddCert(ca)
	}
	s.config.ClientAuth = tls.VerifyClientCertIfGiven
	if o.RequireClientCert {
		s.config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if o.CRLFile == "" {
		return nil
	}
	r, err := loadCRL(o.CRLFile, authorities)
	if err != nil {
		return fmt.Errorf("loading crl_file %s: %w", o.CRLFile, err)
	}
	s.crls = r.lists
	s.config.VerifyConnection = r.verify // also for a session that is resumed, unlike VerifyPeerCertificate
	return nil
}

// loadCertificates reads all certificates of a file in PEM.
func loadCertificates(file string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return certs, nil
}

// answerALPN makes the config agree to "mqtt" where a client offers it. A config that always named it would refuse
// clients that offer only something else, such as a cloud's private name.
func answerALPN(config *tls.Config) {
	withALPN := config.Clone()
	withALPN.NextProtos = []string{alpnMQTT}
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.SupportedProtos, alpnMQTT) {
			return withALPN, nil
		}
		return nil, nil // config itself
	}
}

// TLSVersion returns the number of the version that the configuration calls "1.2" or "1.3".
func TLSVersion(name string) (uint16, error) {
	switch name {
	case "", "1.2":
		return tls.VersionTLS12, nil
	case "1.3":
		return tls.VersionTLS13, nil
	}
	return 0, errors.New("the versions of TLS are 1.2 and 1.3")
}

// Certificates lists what the listener shows, as it was last loaded.
func (l *Listener) Certificates() []Certificate {
	if s := l.tls.Load(); s != nil {
		return s.certs
	}
	return nil
}

// RevocationsExpire returns when the first of the loaded revocation lists should have been replaced; zero: never.
func (l *Listener) RevocationsExpire() time.Time {
	var first time.Time
	if s := l.tls.Load(); s != nil {
		for _, list := range s.crls {
			if !list.NextUpdate.IsZero() && (first.IsZero() || list.NextUpdate.Before(first)) {
				first = list.NextUpdate
			}
		}
	}
	return first
}

// Files lists the files that Reload reads.
func (o *Options) Files() []string {
	if !o.isSecure() {
		return nil
	}
	files := []string{o.CertFile, o.KeyFile, o.ClientCAFile, o.CRLFile}
	for _, more := range o.MoreCerts {
		files = append(files, more.Cert, more.Key)
	}
	return slices.DeleteFunc(files, func(name string) bool { return name == "" })
}

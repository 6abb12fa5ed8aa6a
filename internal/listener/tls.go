package listener

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
)

// alpnMQTT is MQTT's registered name for application-layer protocol negotiation.
const alpnMQTT = "mqtt"

// loadTLS reads the files that o names. It returns nil for a listener without TLS.
func loadTLS(o *Options) (*tls.Config, error) {
	if !o.isSecure() {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("loading cert_file %s with key_file %s: %w", o.CertFile, o.KeyFile, err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if o.ClientCAFile != "" {
		if config.ClientCAs, err = loadCAs(o.ClientCAFile); err != nil {
			return nil, fmt.Errorf("loading client_ca_file: %w", err)
		}
		config.ClientAuth = tls.VerifyClientCertIfGiven
		if o.RequireClientCert {
			config.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	if o.Type == TypeTLS {
		answerALPN(config)
	}
	return config, nil
}

func loadCAs(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return pool, nil
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

package config

// checkTLS checks the keys of a listener that only TLS gives a meaning.
func (l *loader) checkTLS(key string, ln Listener) {
	if !ln.Type.secure() {
		l.refuseTLS(key, ln)
		return
	}
	if ln.CertFile == "" || ln.KeyFile == "" {
		l.failKey(key, "type %s needs cert_file and key_file; for development, barid certs makes them", ln.Type)
	}
	switch ln.TLSMinVersion {
	case "", TLS12, TLS13:
	default:
		l.failKey(key+".tls_min_version", "%q is not one of 1.2, 1.3", ln.TLSMinVersion)
	}
	switch ln.CertUsername {
	case CertNone, CertCN, CertDNS, CertEmail, CertURI, CertSubject:
	default:
		l.failKey(key+".cert_username", "%q is not one of cn, dns, email, uri, subject", ln.CertUsername)
	}
	if len(ln.SNICertFiles) != len(ln.SNIKeyFiles) {
		l.failKey(key+".sni_key_files", "there are %d, for %d sni_cert_files: each certificate has its key", len(ln.SNIKeyFiles), len(ln.SNICertFiles))
	}
	if ln.ClientCAFile != "" {
		if ln.CertClientID && ln.CertUsername == CertNone {
			l.failKey(key+".cert_client_id", "needs cert_username, which says what the client id is taken from")
		}
		return
	}
	for _, k := range ln.certificateKeys() {
		if k.set {
			l.failKey(key+"."+k.name, "needs client_ca_file")
		}
	}
}

type tlsKey struct {
	name string
	set  bool
}

// certificateKeys are those about clients' certificates.
func (ln Listener) certificateKeys() []tlsKey {
	return []tlsKey{
		{"require_client_cert", ln.RequireClientCert}, {"crl_file", ln.CRLFile != ""},
		{"cert_username", ln.CertUsername != CertNone}, {"cert_client_id", ln.CertClientID},
	}
}

// refuseTLS refuses what has no effect without TLS: whoever sets it believes to be protected.
func (l *loader) refuseTLS(key string, ln Listener) {
	keys := append(ln.certificateKeys(), tlsKey{"cert_file", ln.CertFile != ""}, tlsKey{"key_file", ln.KeyFile != ""},
		tlsKey{"client_ca_file", ln.ClientCAFile != ""}, tlsKey{"sni_cert_files", len(ln.SNICertFiles) > 0},
		tlsKey{"sni_key_files", len(ln.SNIKeyFiles) > 0}, tlsKey{"tls_min_version", ln.TLSMinVersion != ""})
	for _, k := range keys {
		if k.set {
			l.failKey(key+"."+k.name, "has no effect with type %s; use tls or wss", ln.Type)
		}
	}
}

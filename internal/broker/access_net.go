package broker

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/auth/httpauth"
	"github.com/barid-mqtt/barid/internal/auth/jwt"
	"github.com/barid-mqtt/barid/internal/auth/scramauth"
	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/pkg/scram"
)

// openJWT makes the authenticator for tokens.
func (b *Broker) openJWT(a *access) (auth.Authenticator, error) {
	cfg := &b.cfg.Auth.JWT
	o := jwt.Options{
		Secret: cfg.Secret, PublicKeyFile: cfg.PublicKeyFile, JWKSFile: cfg.JWKSFile, JWKSURL: cfg.JWKSURL,
		Refresh: time.Duration(cfg.RefreshSeconds) * time.Second, Algorithms: cfg.Algorithms,
		Leeway: time.Duration(cfg.LeewaySeconds) * time.Second, RequireExpiry: cfg.RequireExpiry, Issuer: cfg.Issuer, Audience: cfg.Audience,
		Report: b.reportServer("auth.jwt.jwks_url"), Offline: a.once,
	}
	for _, text := range cfg.Claims {
		e, err := jwt.ParseExpectation(text)
		if err != nil {
			return nil, err
		}
		o.Claims = append(o.Claims, e)
	}
	trust, err := clientTLS(cfg.JWKSCAFile, "", "")
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: trust, MaxConnsPerHost: 2, IdleConnTimeout: time.Minute}
	o.Client = &http.Client{Transport: transport}
	v, err := jwt.New(o)
	if err != nil {
		return nil, err
	}
	a.closes = append(a.closes, func() error {
		v.Close()
		transport.CloseIdleConnections()
		return nil
	})
	for _, file := range v.Files() {
		if err := b.watchFile(a, "jwt", file, v.Reload); err != nil {
			return nil, err
		}
	}
	return &jwt.Authenticator{Verifier: v, FromUsername: cfg.From == "username", UsernameClaim: cfg.UsernameClaim}, nil
}

// openHTTP makes the authenticator that asks a server.
func (b *Broker) openHTTP(a *access) (auth.Authenticator, error) {
	o, err := b.httpOptions("auth.http", &b.cfg.Auth.HTTP)
	if err != nil {
		return nil, err
	}
	h, err := httpauth.NewAuthenticator(o)
	if err != nil {
		return nil, err
	}
	a.closes = append(a.closes, func() error { h.Close(); return nil })
	return h, nil
}

// openHTTPACL makes the authoriser that asks a server. A reload forgets what it said.
func (b *Broker) openHTTPACL(a *access) (auth.Authorizer, error) {
	o, err := b.httpOptions("auth.http_acl", &b.cfg.Auth.HTTPACL)
	if err != nil {
		return nil, err
	}
	o.CacheTTL = time.Duration(b.cfg.Auth.HTTPACLCache) * time.Second
	o.CacheEntries = b.cfg.Auth.HTTPACLEntries
	z, err := httpauth.NewAuthorizer(o)
	if err != nil {
		return nil, err
	}
	a.closes = append(a.closes, func() error { z.Close(); return nil })
	a.reloads = append(a.reloads, func() error { z.Forget(); return nil })
	return z, nil
}

func (b *Broker) httpOptions(key string, h *config.HTTP) (httpauth.Options, error) {
	o := httpauth.Options{
		Method: h.Method, URL: h.URL, Headers: h.Headers, Body: h.Body, Form: h.Form,
		Timeout: time.Duration(h.TimeoutMS) * time.Millisecond, MaxConnections: h.MaxConnections,
		PassOnFailure: h.OnFailure == config.FailureIgnore, Report: b.reportServer(key),
	}
	var err error
	o.TLS, err = clientTLS(h.CAFile, h.CertFile, h.KeyFile)
	return o, err
}

// clientTLS is how a server that is asked is trusted; nil: as the system does.
func clientTLS(caFile, certFile, keyFile string) (*tls.Config, error) {
	if caFile == "" && certFile == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		text, err := os.ReadFile(caFile)
		if err != nil {
			return nil, err
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", caFile)
		}
	}
	if certFile != "" {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, fmt.Errorf("loading cert_file %s with key_file %s: %w", certFile, keyFile, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// reportServer raises an alarm while a server that is asked gives no answer.
func (b *Broker) reportServer(key string) func(error) {
	return func(err error) {
		b.alarms.Set(key+"_fails", err != nil, fmt.Sprintf("%s: the server gives no answer: %v", key, err), map[string]any{"key": key})
	}
}

// openSCRAM adds the methods of enhanced authentication.
func (b *Broker) openSCRAM(a *access) error {
	name := b.cfg.Auth.SCRAMFile
	if name == "" {
		return nil
	}
	keys := scramauth.NewFile(name)
	if err := b.watchFile(a, "scram_file", name, keys.Reload); err != nil {
		return err
	}
	secret, err := b.decoySecret()
	if err != nil {
		return err
	}
	for _, h := range []scram.Hash{scram.SHA256, scram.SHA512} {
		if b.methods[h.Name()] == nil { // an Option goes first
			b.methods[h.Name()] = scramauth.New(h, keys, secret)
		}
	}
	return nil
}

// decoySecret is what salts of users that do not exist are made of. It is kept, since a salt that changes with a restart
// would tell them from those that do.
func (b *Broker) decoySecret() ([]byte, error) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails, see crypto/rand
	if !b.ownsDir {
		return secret, nil
	}
	name := filepath.Join(b.cfg.DataDir, "scram-secret")
	old, err := os.ReadFile(name)
	switch {
	case err == nil && len(old) == len(secret):
		return old, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return secret, os.WriteFile(name, secret, 0o600)
}

package config

import "strings"

// JWT says which tokens let clients in. It is in use as soon as it has keys.
type JWT struct {
	Secret         string   `yaml:"secret" secret:"true" doc:"secret of HS256, HS384 and HS512, at least 32 bytes"`
	SecretFile     string   `yaml:"secret_file" doc:"file that holds the secret"`
	PublicKeyFile  string   `yaml:"public_key_file" doc:"public keys or certificates, PEM"`
	JWKSFile       string   `yaml:"jwks_file" doc:"JSON web key set"`
	JWKSURL        string   `yaml:"jwks_url" doc:"URL of a JSON web key set, fetched again from time to time and when a key is unknown"`
	JWKSCAFile     string   `yaml:"jwks_ca_file" doc:"authorities of that URL's server, PEM; empty: the system's"`
	RefreshSeconds int      `yaml:"jwks_refresh_seconds" min:"10" max:"604800" doc:"time between two fetches of jwks_url"`
	From           string   `yaml:"from" enum:"password,username" doc:"where clients put the token"`
	Algorithms     []string `yaml:"algorithms" doc:"those allowed; empty: all that the keys are for"`
	Issuer         string   `yaml:"issuer" doc:"what claim iss must be; empty: anything"`
	Audience       string   `yaml:"audience" doc:"what claim aud must hold; empty: anything"`
	Claims         []string `yaml:"claims" doc:"what other claims must be: name=value with ${clientid} and ${username}"`
	UsernameClaim  string   `yaml:"username_claim" doc:"claim that is the username; empty: what the client says"`
	RequireExpiry  bool     `yaml:"require_expiry" doc:"refuse tokens without exp"`
	LeewaySeconds  int      `yaml:"leeway_seconds" max:"3600" doc:"how far clocks may differ, for exp and nbf"`
}

// Configured reports whether tokens are taken.
func (j *JWT) Configured() bool {
	return j.Secret != "" || j.PublicKeyFile != "" || j.JWKSFile != "" || j.JWKSURL != ""
}

// OnFailure says what happens when a server that is to be asked gives no answer.
type OnFailure string

// The answers to a failure.
const (
	FailureDeny   OnFailure = "deny"
	FailureIgnore OnFailure = "ignore"
)

// HTTP is a server that is asked about clients. It is in use as soon as it has a URL.
type HTTP struct {
	URL            string    `yaml:"url" doc:"URL to ask; empty: none is asked"`
	Method         string    `yaml:"method" enum:"post,get" doc:"method of the request"`
	Headers        []string  `yaml:"headers" secret:"true" doc:"headers of the request: Name: value"`
	HeadersFile    string    `yaml:"headers_file" doc:"file that holds the headers, one a line"`
	Body           []string  `yaml:"body" doc:"what the server is told: name=value with placeholders; empty: what EMQX tells"`
	Form           bool      `yaml:"form" doc:"send a form rather than JSON"`
	TimeoutMS      int       `yaml:"timeout_ms" min:"1" max:"60000" doc:"time for an answer"`
	MaxConnections int       `yaml:"max_connections" min:"1" max:"10000" doc:"connections to the server"`
	CAFile         string    `yaml:"ca_file" doc:"authorities of the server, PEM; empty: the system's"`
	CertFile       string    `yaml:"cert_file" doc:"certificate to show the server, PEM"`
	KeyFile        string    `yaml:"key_file" doc:"its private key, PEM"`
	OnFailure      OnFailure `yaml:"on_failure" enum:"deny,ignore" doc:"without an answer: refuse, or ask the next in the chain"`
}

func defaultHTTP() HTTP {
	return HTTP{Method: "post", TimeoutMS: 5000, MaxConnections: 32, OnFailure: FailureDeny}
}

func defaultJWT() JWT { return JWT{RefreshSeconds: 300, From: "password"} }

// decided reports whether something says who may connect.
func (a *Auth) decided() bool { return len(a.Authenticators()) > 0 || a.SCRAMFile != "" }

// checkNet applies the rules between the keys of what is asked over the network.
func (l *loader) checkNet() {
	j := &l.cfg.Auth.JWT
	keys := 0
	for _, k := range []struct{ name, value string }{
		{"secret", j.Secret}, {"public_key_file", j.PublicKeyFile}, {"jwks_file", j.JWKSFile}, {"jwks_url", j.JWKSURL},
	} {
		if k.value == "" {
			continue
		}
		if keys++; keys > 1 {
			l.failKey("auth.jwt."+k.name, "is one too many: give one of secret, public_key_file, jwks_file and jwks_url")
		}
	}
	l.checkURL("auth.jwt.jwks_url", j.JWKSURL)
	if keys == 0 && len(j.Claims) > 0 {
		l.failKey("auth.jwt.claims", "there is no key to verify tokens with: give secret, public_key_file, jwks_file or jwks_url")
	}
	for _, h := range []struct {
		key  string
		http *HTTP
	}{{"auth.http", &l.cfg.Auth.HTTP}, {"auth.http_acl", &l.cfg.Auth.HTTPACL}} {
		l.checkURL(h.key+".url", h.http.URL)
		if (h.http.CertFile == "") != (h.http.KeyFile == "") {
			l.failKey(h.key+".cert_file", "and key_file belong together")
		}
	}
}

// checkURL refuses what is no URL, and passwords in one: they would be shown.
func (l *loader) checkURL(key, text string) {
	if text == "" {
		return
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || scheme != "http" && scheme != "https" || rest == "" {
		l.failKey(key, "is not an http:// or https:// URL")
		return
	}
	host, _, _ := strings.Cut(rest, "/")
	if strings.Contains(host, "@") {
		l.failKey(key, "holds credentials; put them into a header, for example headers_file with Authorization: Basic …")
	}
}

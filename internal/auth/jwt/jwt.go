// Package jwt verifies JSON web tokens (RFC 7519) that clients show instead of a password.
//
// A token's header names its algorithm, and whoever sends it writes the header. So each key says by its type what it
// verifies: a secret HS256 to HS512, an RSA key RS and PS, an elliptic curve its one ES, Ed25519 EdDSA. "none", and a
// public key used as a secret, fit no key.
package jwt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	jwtlib "github.com/golang-jwt/jwt/v5"
)

// maxTokenBytes bounds a token, so that it costs little before its signature is known to be good.
const maxTokenBytes = 64 << 10

// maxTries bounds the keys that a token without a key id is tried with.
const maxTries = 8

// Options describe a Verifier. Exactly one of Secret, PublicKeyFile, JWKSFile and JWKSURL is set.
type Options struct {
	Secret        string
	PublicKeyFile string // PEM: public keys or certificates
	JWKSFile      string
	JWKSURL       string
	Refresh       time.Duration // of JWKSURL; 0: 5 minutes
	Client        *http.Client  // for JWKSURL; nil: one without special trust

	Algorithms    []string      // those taken; none: all that the keys are for
	Leeway        time.Duration // for clocks that differ
	RequireExpiry bool          // refuse tokens without exp
	Issuer        string        // iss must be this; "": any
	Audience      string        // aud must hold this; "": any
	Claims        []Expectation // what else claims must be

	// Report is told when a key set could not be fetched, once, and with nil when it can again. nil: nobody is.
	Report func(error)
	// Offline has JWKSURL not fetched, so that there are no keys: to check the rest.
	Offline bool
}

// Expectation is a claim and what it must be: a text with placeholders.
type Expectation struct{ Claim, Template string }

// Errors of Verify.
var (
	// ErrNoToken says that the text is no token at all; it may be a password.
	ErrNoToken = errors.New("not a JSON web token")
	// ErrInvalid says that a token is not good. What wraps it says why, for the log.
	ErrInvalid = errors.New("the token is not valid")
)

// Claims are what a good token says.
type Claims map[string]any

// Verifier verifies tokens. Close ends it.
type Verifier struct {
	o      Options
	keys   *source
	parser *jwtlib.Parser
}

var allAlgorithms = []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// New makes a verifier. Files are read now; a URL is fetched in the background, so that the broker starts without it.
func New(o Options) (*Verifier, error) {
	for _, alg := range o.Algorithms {
		if !slices.Contains(allAlgorithms, alg) {
			return nil, fmt.Errorf("algorithm %q: use some of %s", alg, strings.Join(allAlgorithms, ", "))
		}
	}
	if o.Refresh <= 0 {
		o.Refresh = 5 * time.Minute
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	if o.Client == nil {
		o.Client = &http.Client{}
	}
	v := &Verifier{o: o, parser: newParser(&o)}
	load, err := o.load()
	if err != nil {
		return nil, err
	}
	v.keys = newSource(load, o.Refresh, o.Report)
	if o.JWKSURL != "" {
		if !o.Offline {
			v.keys.start()
		}
		return v, nil
	}
	return v, v.Reload()
}

// Ends returns until when a token that was verified is good: its own end and the leeway, without which a client whose clock
// is late would be let in and cut off at once. Zero: it does not end.
func (v *Verifier) Ends(c Claims) time.Time {
	at := c.ExpiresAt()
	if at.IsZero() {
		return at
	}
	return at.Add(v.o.Leeway)
}

func newParser(o *Options) *jwtlib.Parser {
	algorithms := o.Algorithms
	if len(algorithms) == 0 {
		algorithms = allAlgorithms
	}
	options := []jwtlib.ParserOption{jwtlib.WithValidMethods(algorithms), jwtlib.WithLeeway(o.Leeway), jwtlib.WithJSONNumber(), jwtlib.WithStrictDecoding()}
	if o.RequireExpiry {
		options = append(options, jwtlib.WithExpirationRequired())
	}
	if o.Issuer != "" {
		options = append(options, jwtlib.WithIssuer(o.Issuer))
	}
	if o.Audience != "" {
		options = append(options, jwtlib.WithAudience(o.Audience))
	}
	return jwtlib.NewParser(options...)
}

// load returns how the keys are had.
func (o *Options) load() (func(context.Context) ([]key, error), error) {
	n := 0
	for _, s := range []string{o.Secret, o.PublicKeyFile, o.JWKSFile, o.JWKSURL} {
		if s != "" {
			n++
		}
	}
	switch {
	case n != 1:
		return nil, errors.New("needs exactly one of secret, public_key_file, jwks_file and jwks_url")
	case o.Secret != "":
		return func(context.Context) ([]key, error) { return secretKeys(o.Secret) }, nil
	case o.PublicKeyFile != "":
		return fromFile(o.PublicKeyFile, parsePEM), nil
	case o.JWKSFile != "":
		return fromFile(o.JWKSFile, func(text []byte) ([]key, error) { return parseJWKS(text, true) }), nil
	}
	return fromURL(o.Client, o.JWKSURL), nil
}

// Reload reads the key file again. If it is bad, the keys that were read before stay in use. It does nothing for a URL,
// which is fetched by itself.
func (v *Verifier) Reload() error {
	if v.o.JWKSURL != "" {
		return nil
	}
	return v.keys.refresh(context.Background())
}

// Files are those that Reload reads.
func (v *Verifier) Files() []string {
	return slices.DeleteFunc([]string{v.o.PublicKeyFile, v.o.JWKSFile}, func(s string) bool { return s == "" })
}

// Close ends what runs in the background.
func (v *Verifier) Close() { v.keys.close() }

// Verify returns the claims of a token, if it is good for this client. It may wait for keys.
func (v *Verifier) Verify(ctx context.Context, token, clientID, username string) (Claims, error) {
	if len(token) > maxTokenBytes || strings.Count(token, ".") != 2 || !strings.HasPrefix(token, "ey") {
		return nil, ErrNoToken
	}
	claims := jwtlib.MapClaims{}
	_, err := v.parser.ParseWithClaims(token, claims, func(t *jwtlib.Token) (any, error) { return v.keysFor(ctx, t) })
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	for _, e := range v.o.Claims {
		if err := e.check(claims, clientID, username); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	return Claims(claims), nil
}

// keysFor finds the keys for a token by its header.
func (v *Verifier) keysFor(ctx context.Context, t *jwtlib.Token) (any, error) {
	if crit, ok := t.Header["crit"]; ok {
		return nil, fmt.Errorf("its header has critical extensions that are not known here: %v", crit)
	}
	id, _ := t.Header["kid"].(string)
	alg := t.Method.Alg()
	found := v.keys.find(ctx, id, alg)
	if len(found) == 0 {
		return nil, fmt.Errorf("there is no key for algorithm %s and key id %q", alg, id)
	}
	var set jwtlib.VerificationKeySet
	for _, k := range found[:min(len(found), maxTries)] {
		set.Keys = append(set.Keys, k.verify)
	}
	return set, nil
}

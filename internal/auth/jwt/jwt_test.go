package jwt

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	jwtlib "github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "a secret of more than thirty-two bytes"

// issuerKeys are made once: RSA keys take their time.
var issuerKeys = sync.OnceValue(func() map[string]any {
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p521, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	return map[string]any{"RS": rsaKey, "PS": rsaKey, "ES256": p256, "ES384": p384, "ES512": p521, "EdDSA": ed, "HS": []byte(secret)}
})

func issuerKey(alg string) any {
	if k, ok := issuerKeys()[alg]; ok {
		return k
	}
	return issuerKeys()[alg[:2]]
}

// sign makes a token.
func sign(t testing.TB, alg, kid string, claims map[string]any) string {
	t.Helper()
	token := jwtlib.NewWithClaims(jwtlib.GetSigningMethod(alg), jwtlib.MapClaims(claims))
	if kid != "" {
		token.Header["kid"] = kid
	}
	return signed(t, token, issuerKey(alg))
}

func signed(t testing.TB, token *jwtlib.Token, with any) string {
	t.Helper()
	s, err := token.SignedString(with)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func public(private any) any { return private.(crypto.Signer).Public() }

// pemFile writes the public keys of algorithms.
func pemFile(t testing.TB, algs ...string) string {
	t.Helper()
	var text []byte
	for _, alg := range algs {
		der, err := x509.MarshalPKIXPublicKey(public(issuerKey(alg)))
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})...)
	}
	return write(t, "keys.pem", text)
}

func write(t testing.TB, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// set makes a key set of the algorithms' keys, each with its algorithm's name as key id.
func set(t testing.TB, algs ...string) []byte {
	t.Helper()
	b64 := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	keys := []map[string]string{{"kty": "future", "kid": "x"}, {"kty": "RSA", "use": "enc", "n": "!"}}
	for _, alg := range algs {
		j := map[string]string{"kid": alg, "use": "sig"}
		switch k := issuerKey(alg).(type) {
		case *rsa.PrivateKey:
			j["kty"], j["n"], j["e"] = "RSA", b64(k.N.Bytes()), b64(big.NewInt(int64(k.E)).Bytes())
		case *ecdsa.PrivateKey:
			point, err := k.PublicKey.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			half := len(point) / 2
			j["kty"], j["crv"], j["x"], j["y"] = "EC", k.Params().Name, b64(point[1:1+half]), b64(point[1+half:])
		case ed25519.PrivateKey:
			j["kty"], j["crv"], j["x"] = "OKP", "Ed25519", b64(k.Public().(ed25519.PublicKey))
		case []byte:
			j["kty"], j["k"] = "oct", b64(k)
		}
		keys = append(keys, j)
	}
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func newVerifier(t testing.TB, o Options) *Verifier {
	t.Helper()
	v, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func TestEveryAlgorithmOfEverySource(t *testing.T) {
	public := []string{"RS256", "ES256", "ES384", "ES512", "EdDSA"}
	sources := map[string]Options{
		"secret": {Secret: secret},
		"PEM":    {PublicKeyFile: pemFile(t, public...)},
		"JWKS":   {JWKSFile: write(t, "jwks.json", set(t, append(public, "HS256")...))},
	}
	for name, o := range sources {
		v := newVerifier(t, o)
		for _, alg := range allAlgorithms {
			symmetric := strings.HasPrefix(alg, "HS")
			want := name == "JWKS" || symmetric == (name == "secret")
			claims, err := v.Verify(t.Context(), sign(t, alg, "", map[string]any{"sub": "me"}), "c", "u")
			if (err == nil) != want {
				t.Errorf("%s, %s: %v, want it taken: %v", name, alg, err, want)
			}
			if err == nil && claims.Text("sub") != "me" {
				t.Errorf("%s, %s: claims are %v", name, alg, claims)
			}
		}
	}
}

// A public key is no secret: whoever has it must not be able to sign with it, by naming another algorithm.
func TestAlgorithmConfusionIsRefused(t *testing.T) {
	file := pemFile(t, "RS256")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	der, _ := pem.Decode(text)
	jwks := set(t, "RS256")
	claims := jwtlib.MapClaims{"sub": "me"}
	tokens := map[string]string{
		"HS256 with the PEM text":  signed(t, jwtlib.NewWithClaims(jwtlib.SigningMethodHS256, claims), text),
		"HS256 with the DER bytes": signed(t, jwtlib.NewWithClaims(jwtlib.SigningMethodHS256, claims), der.Bytes),
		"HS256 with the key set":   signed(t, jwtlib.NewWithClaims(jwtlib.SigningMethodHS256, claims), jwks),
		"none":                     signed(t, jwtlib.NewWithClaims(jwtlib.SigningMethodNone, claims), jwtlib.UnsafeAllowNoneSignatureType),
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", ""} {
		header := base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"` + alg + `"}`))
		tokens["header "+alg] = header + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"me"}`)) + "."
	}
	for _, o := range []Options{{PublicKeyFile: file}, {JWKSFile: write(t, "jwks.json", jwks)}, {Secret: secret}} {
		v := newVerifier(t, o)
		for name, token := range tokens {
			if _, err := v.Verify(t.Context(), token, "c", "u"); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestTamperedTokensAreRefused(t *testing.T) {
	v := newVerifier(t, Options{Secret: secret})
	good := sign(t, "HS256", "", map[string]any{"sub": "me"})
	parts := strings.Split(good, ".")
	other := strings.Split(sign(t, "HS256", "", map[string]any{"sub": "you"}), ".")
	for name, token := range map[string]string{
		"other claims":      parts[0] + "." + other[1] + "." + parts[2],
		"no signature":      parts[0] + "." + parts[1] + ".",
		"other algorithm":   strings.Split(sign(t, "HS512", "", nil), ".")[0] + "." + parts[1] + "." + parts[2],
		"padding":           good + "=",
		"claims not JSON":   parts[0] + ".eyJ." + parts[2],
		"header not base64": "ey!." + parts[1] + "." + parts[2],
	} {
		if _, err := v.Verify(t.Context(), token, "c", "u"); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), parts[1]) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error shows what is secret: %v", name, err)
		}
	}
	critical := jwtlib.NewWithClaims(jwtlib.SigningMethodHS256, jwtlib.MapClaims{})
	critical.Header["crit"] = []string{"must"}
	if _, err := v.Verify(t.Context(), signed(t, critical, []byte(secret)), "c", "u"); !errors.Is(err, ErrInvalid) {
		t.Errorf("a critical extension that nobody knows: %v", err)
	}
	for _, password := range []string{"", "secret", "a.b.c", "ey", "eyJ.x", strings.Repeat("ey.", maxTokenBytes)} {
		if _, err := v.Verify(t.Context(), password, "c", "u"); !errors.Is(err, ErrNoToken) {
			t.Errorf("%.20q is no token: %v", password, err)
		}
	}
}

func TestTimes(t *testing.T) {
	now := time.Now().Unix()
	for _, tt := range []struct {
		name   string
		o      Options
		claims map[string]any
		good   bool
	}{
		{"no exp", Options{}, nil, true},
		{"no exp, required", Options{RequireExpiry: true}, nil, false},
		{"exp to come", Options{RequireExpiry: true}, map[string]any{"exp": now + 60}, true},
		{"exp passed", Options{}, map[string]any{"exp": now - 60}, false},
		{"exp passed, within leeway", Options{Leeway: 2 * time.Minute}, map[string]any{"exp": now - 60}, true},
		{"exp is text", Options{}, map[string]any{"exp": "tomorrow"}, false},
		{"exp far away", Options{}, map[string]any{"exp": 1e300}, false},
		{"nbf to come", Options{}, map[string]any{"nbf": now + 60}, false},
		{"nbf to come, within leeway", Options{Leeway: 2 * time.Minute}, map[string]any{"nbf": now + 60}, true},
		{"nbf passed", Options{}, map[string]any{"nbf": now - 60}, true},
	} {
		tt.o.Secret = secret
		_, err := newVerifier(t, tt.o).Verify(t.Context(), sign(t, "HS256", "", tt.claims), "c", "u")
		if (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, tt := range []struct {
		exp  string
		want time.Time
	}{{"1700000000", time.Unix(1700000000, 0)}, {"1700000000.5", time.Unix(1700000000, 5e8)}, {"1e300", time.Time{}}, {"1e999", time.Time{}}} {
		if got := (Claims{"exp": json.Number(tt.exp)}).ExpiresAt(); !got.Equal(tt.want) {
			t.Errorf("exp %s is %v, want %v", tt.exp, got, tt.want)
		}
	}
}

func TestClaimsAreComparedWithTheClient(t *testing.T) {
	claims := map[string]any{
		"sub": "c1", "user": "u1", "devices": []any{"c0", "c1"}, "n": 7, "iss": "me", "aud": []any{"mqtt", "web"}, "both": "c1/u1", "tricky": "%u",
	}
	for _, tt := range []struct {
		o    Options
		expr string
		good bool
	}{
		{expr: "sub=${clientid}", good: true}, {expr: "sub=%c", good: true}, {expr: "sub=${username}"}, {expr: "sub=c"}, {expr: "sub="},
		{expr: "user=%u", good: true}, {expr: "devices=%c", good: true}, {expr: "devices=%u"}, {expr: "n=7", good: true}, {expr: "both=%c/%u", good: true},
		{expr: "missing="}, {expr: "missing=x"}, {expr: "sub = ${clientid}", good: true},
		{o: Options{Issuer: "me"}, good: true}, {o: Options{Issuer: "you"}}, {o: Options{Audience: "mqtt", Algorithms: []string{"HS256"}}, good: true},
		{o: Options{Audience: "ssh"}}, {o: Options{Algorithms: []string{"HS512"}}},
	} {
		tt.o.Secret = secret
		if tt.expr != "" {
			e, err := ParseExpectation(tt.expr)
			if err != nil {
				t.Fatal(err)
			}
			tt.o.Claims = []Expectation{e}
		}
		if _, err := newVerifier(t, tt.o).Verify(t.Context(), sign(t, "HS256", "", claims), "c1", "u1"); (err == nil) != tt.good {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	// A client's own name is never read as a template.
	v := newVerifier(t, Options{Secret: secret, Claims: []Expectation{{"tricky", "%c"}}})
	if _, err := v.Verify(t.Context(), sign(t, "HS256", "", claims), "%u", "x"); err != nil {
		t.Errorf("the client id %%u: %v", err)
	}
	v = newVerifier(t, Options{Secret: secret, Claims: []Expectation{{"user", "%u"}}})
	if _, err := v.Verify(t.Context(), sign(t, "HS256", "", map[string]any{"user": ""}), "c", ""); err == nil {
		t.Error("a client without a username passed for the empty one")
	}
	for _, bad := range []string{"", "sub", "=x"} {
		if _, err := ParseExpectation(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestKeyIDsChooseTheKey(t *testing.T) {
	v := newVerifier(t, Options{JWKSFile: write(t, "jwks.json", set(t, "RS256", "ES256"))})
	for kid, want := range map[string]bool{"RS256": true, "": true, "ES256": false, "other": false} {
		if _, err := v.Verify(t.Context(), sign(t, "RS256", kid, nil), "", ""); (err == nil) != want {
			t.Errorf("key id %q: %v", kid, err)
		}
	}
}

func TestBadKeysAreRefusedWithAReason(t *testing.T) {
	weak, _ := rsa.GenerateKey(rand.Reader, 1024)
	weakDER, _ := x509.MarshalPKIXPublicKey(&weak.PublicKey)
	private, _ := x509.MarshalPKCS8PrivateKey(issuerKey("ES256"))
	in := func(kind string, der []byte) string {
		return write(t, "k.pem", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	for want, o := range map[string]Options{
		"exactly one":           {},
		"exactly one of secret": {Secret: secret, JWKSFile: "x"},
		"needs 32":              {Secret: "short"},
		"is a key in PEM":       {Secret: "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD"},
		"1024 bits":             {PublicKeyFile: in("PUBLIC KEY", weakDER)},
		"private key":           {PublicKeyFile: in("PRIVATE KEY", private)},
		"holds a X509 CRL":      {PublicKeyFile: in("X509 CRL", nil)},
		"no PUBLIC KEY":         {PublicKeyFile: write(t, "empty.pem", nil)},
		"no such file":          {PublicKeyFile: "/nowhere/keys.pem"},
		"not a JSON":            {JWKSFile: write(t, "a.json", []byte("<html>"))},
		"no key that":           {JWKSFile: write(t, "b.json", []byte(`{"keys":[{"kty":"RSA","use":"enc"}]}`))},
		"no point":              {JWKSFile: write(t, "c.json", []byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"`+strings.Repeat("A", 43)+`","y":"`+strings.Repeat("A", 43)+`"}]}`))},
		"algorithm \"none\"":    {Secret: secret, Algorithms: []string{"none"}},
	} {
		v, err := New(o)
		if err == nil {
			v.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
		if err != nil && o.Secret != "" && strings.Contains(err.Error(), o.Secret) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

func TestReloadKeepsOldKeysWhenNewAreBad(t *testing.T) {
	file := pemFile(t, "ES256")
	v := newVerifier(t, Options{PublicKeyFile: file})
	token := sign(t, "ES256", "", nil)
	if err := os.WriteFile(file, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := v.Reload(); err == nil {
		t.Error("a broken file was taken")
	}
	if _, err := v.Verify(context.Background(), token, "", ""); err != nil {
		t.Errorf("with the old key: %v", err)
	}
	if err := os.Rename(pemFile(t, "EdDSA"), file); err != nil {
		t.Fatal(err)
	}
	if err := v.Reload(); err != nil {
		t.Error(err)
	}
	if _, err := v.Verify(context.Background(), token, "", ""); err == nil {
		t.Error("the old key is still taken")
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(sign(f, "HS256", "", map[string]any{"exp": 4e9, "sub": "c", "acl": map[string]any{"pub": []string{"a"}}}))
	f.Add(sign(f, "ES256", "k", nil))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	v := newVerifier(f, Options{JWKSFile: write(f, "jwks.json", set(f, "ES256", "EdDSA"))})
	forged := sign(f, "ES256", "", nil)
	_, payload, _ := strings.Cut(forged, ".")
	f.Fuzz(func(t *testing.T, token string) {
		claims, err := v.Verify(t.Context(), token, "c", "u")
		if err == nil && !strings.HasSuffix(token, payload) && !strings.HasPrefix(token, "eyJhbGciOiJFUzI1NiIs") {
			t.Fatalf("%q was taken: %v", token, claims)
		}
	})
}

func FuzzKeySets(f *testing.F) {
	f.Add(set(f, "RS256", "ES256", "EdDSA", "HS256"))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if keys, err := parseJWKS(text, true); err == nil {
			for _, k := range keys {
				if k.check() != nil {
					t.Fatalf("a bad key was taken: %+v", k)
				}
			}
		}
		_, _ = parsePEM(text)
	})
}

// The library checks a key's type too; that a key is not even tried must not hang on it.
func TestKeysFitTheAlgorithmsOfTheirType(t *testing.T) {
	for alg, want := range map[string]string{
		"HS256": "HS256 HS384 HS512", "RS256": "RS256 RS384 RS512 PS256 PS384 PS512", "ES256": "ES256", "ES384": "ES384", "ES512": "ES512", "EdDSA": "EdDSA",
	} {
		k := key{verify: issuerKey(alg)}
		if alg != "HS256" {
			k.verify = public(k.verify)
		}
		for _, other := range append(allAlgorithms, "none", "") {
			if got := k.fits("", other); got != strings.Contains(" "+want+" ", " "+other+" ") {
				t.Errorf("the key of %s fits %q: %v", alg, other, got)
			}
		}
	}
}

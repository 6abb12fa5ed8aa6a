package jwt

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// maxJWKSBytes bounds a key set.
const maxJWKSBytes = 1 << 20

// jwk is one key of a set, RFC 7517.
type jwk struct {
	Kty    string   `json:"kty"`
	Kid    string   `json:"kid"`
	Alg    string   `json:"alg"`
	Use    string   `json:"use"`
	KeyOps []string `json:"key_ops"`
	Crv    string   `json:"crv"`
	N      string   `json:"n"`
	E      string   `json:"e"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	K      string   `json:"k"`
}

// errSkip is a key that is of no use here, and that the standard has us ignore.
var errSkip = errors.New("not a key for signatures that is known here")

// parseJWKS reads a key set. Keys of unknown types and those for encryption are skipped; a broken one of a known type is
// an error. Secrets are taken only where the set is not public.
func parseJWKS(text []byte, secrets bool) ([]key, error) {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("not a JSON web key set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys; at most %d are taken", len(set.Keys), maxKeys)
	}
	var keys []key
	for i := range set.Keys {
		k, err := set.Keys[i].key(secrets)
		if errors.Is(err, errSkip) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("key %d (kid %q): %w", i+1, set.Keys[i].Kid, err)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("it holds no key that verifies signatures")
	}
	return keys, nil
}

func (j *jwk) key(secrets bool) (key, error) {
	if j.Use != "" && j.Use != "sig" || len(j.KeyOps) > 0 && !slices.Contains(j.KeyOps, "verify") {
		return key{}, errSkip
	}
	k := key{id: j.Kid, alg: j.Alg}
	var err error
	switch {
	case j.Kty == "RSA":
		k.verify, err = j.rsa()
	case j.Kty == "EC":
		k.verify, err = j.ec()
	case j.Kty == "OKP" && j.Crv == "Ed25519":
		k.verify, err = j.ed25519()
	case j.Kty == "oct" && secrets:
		k.verify, err = number(j.K, "k")
	default:
		return key{}, errSkip
	}
	if err != nil {
		return key{}, err
	}
	return k, k.check()
}

// number decodes a value in base64url, which both integers and octets are written in.
func number(s, name string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("%s is not base64url", name)
	}
	return b, nil
}

func (j *jwk) rsa() (any, error) {
	n, err := number(j.N, "n")
	if err != nil {
		return nil, err
	}
	e, err := number(j.E, "e")
	if err != nil {
		return nil, err
	}
	exponent := new(big.Int).SetBytes(e)
	if exponent.BitLen() > 31 {
		return nil, errors.New("the exponent is too large")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
}

func (j *jwk) ec() (any, error) {
	curves := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}
	curve := curves[j.Crv]
	if curve == nil {
		return nil, errSkip
	}
	x, err := number(j.X, "x")
	if err != nil {
		return nil, err
	}
	y, err := number(j.Y, "y")
	if err != nil {
		return nil, err
	}
	size := (curve.Params().BitSize + 7) / 8
	if len(x) != size || len(y) != size {
		return nil, fmt.Errorf("x and y of %s have %d bytes", j.Crv, size)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, fmt.Errorf("x and y are no point of %s", j.Crv)
	}
	return public, nil
}

func (j *jwk) ed25519() (any, error) {
	x, err := number(j.X, "x")
	if err != nil {
		return nil, err
	}
	if len(x) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("x of Ed25519 has %d bytes", ed25519.PublicKeySize)
	}
	return ed25519.PublicKey(x), nil
}

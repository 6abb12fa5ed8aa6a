package jwt

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The bounds of what is taken as a key.
const (
	minSecretBytes = 32 // RFC 7518, section 3.2: as long as the hash of HS256
	minRSABits     = 2048
	maxRSABits     = 16384 // beyond, one verification takes too long
	maxKeys        = 256   // of one source
)

// key is a key that tokens are verified with.
type key struct {
	id     string // "" fits every token's
	alg    string // the one algorithm that it is for; "": those of its type
	verify any    // []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// algorithms lists those that a key's type can verify. That a key has one type is what keeps a token from being verified
// with a public key as if that were a secret.
func (k *key) algorithms() []string {
	switch v := k.verify.(type) {
	case []byte:
		return []string{"HS256", "HS384", "HS512"}
	case *rsa.PublicKey:
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		switch v.Curve.Params().BitSize {
		case 256:
			return []string{"ES256"}
		case 384:
			return []string{"ES384"}
		case 521:
			return []string{"ES512"}
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}
	}
	return nil
}

// fits reports whether the key may verify a token with that header.
func (k *key) fits(id, alg string) bool {
	if k.id != "" && id != "" && k.id != id || k.alg != "" && k.alg != alg {
		return false
	}
	return slices.Contains(k.algorithms(), alg)
}

// check refuses keys that are too weak, or too expensive.
func (k *key) check() error {
	switch v := k.verify.(type) {
	case []byte:
		if len(v) < minSecretBytes {
			return fmt.Errorf("the secret has %d bytes; it needs %d (RFC 7518, section 3.2), for example of: openssl rand -base64 32", len(v), minSecretBytes)
		}
		if strings.HasPrefix(string(v), "-----BEGIN ") {
			return errors.New("the secret is a key in PEM; name its file as public_key_file")
		}
	case *rsa.PublicKey:
		if n := v.N.BitLen(); n < minRSABits || n > maxRSABits || v.E < 3 || v.E%2 == 0 {
			return fmt.Errorf("an RSA key of %d bits and exponent %d; use %d to %d bits and the exponent 65537", n, v.E, minRSABits, maxRSABits)
		}
	}
	if len(k.algorithms()) == 0 {
		return fmt.Errorf("a key of type %T, for which there is no algorithm", k.verify)
	}
	return nil
}

// secretKeys returns the set of one secret.
func secretKeys(secret string) ([]key, error) {
	k := key{verify: []byte(secret)}
	if err := k.check(); err != nil {
		return nil, err
	}
	return []key{k}, nil
}

// parsePEM reads public keys and certificates.
func parsePEM(text []byte) ([]key, error) {
	var keys []key
	for len(keys) < maxKeys {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		k, err := parseBlock(block)
		if err != nil {
			return nil, err
		}
		if err := k.check(); err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("it holds no PUBLIC KEY and no CERTIFICATE in PEM")
	}
	return keys, nil
}

func parseBlock(block *pem.Block) (key, error) {
	switch block.Type {
	case "PUBLIC KEY":
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		return key{verify: public}, err
	case "RSA PUBLIC KEY":
		public, err := x509.ParsePKCS1PublicKey(block.Bytes)
		return key{verify: public}, err
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return key{}, err
		}
		return key{verify: cert.PublicKey}, nil
	}
	if strings.HasSuffix(block.Type, "PRIVATE KEY") {
		return key{}, errors.New("it holds a private key, which belongs to whoever signs the tokens; give the public one")
	}
	return key{}, fmt.Errorf("it holds a %s; a PUBLIC KEY or CERTIFICATE is needed", block.Type)
}

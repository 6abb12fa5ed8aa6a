// Package scram is the Salted Challenge Response Authentication Mechanism of RFC 5802 and RFC 7677, both sides, without
// channel binding. The server never learns the password and stores nothing from which one could log in.
//
//	client → server   n,,n=user,r=<client nonce>
//	server → client   r=<both nonces>,s=<salt>,i=<iterations>
//	client → server   c=<header>,r=<both nonces>,p=<proof>
//	server → client   v=<server's signature>
//
// Names and passwords are taken as the UTF-8 that they are: for ASCII, and for whatever is in normal form KC already,
// that is what the standard's preparation (SASLprep) makes of them. Control characters are refused.
//
// Messages carry no layer of their own: whoever transports them keeps them apart and in order. A conversation is not safe
// for concurrent use.
package scram

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
)

// The limits of what is taken from the other side and from stored credentials.
const (
	MinIterations   = 4096    // what RFC 7677 asks for at least
	MaxIterations   = 1 << 24 // a client does not work for minutes because a server says so
	MaxMessageBytes = 4096
	minSaltBytes    = 8
	maxSaltBytes    = 256
	newSaltBytes    = 16
	nonceBytes      = 18
)

// DefaultIterations suits clients as small as microcontrollers; whoever has none should ask for more.
const DefaultIterations = 15_000

// The errors of a conversation. Server.Next returns these alone: what went wrong in detail is not the peer's to know.
var (
	ErrMessage = errors.New("scram: the message does not conform to RFC 5802")
	ErrProof   = errors.New("scram: wrong user or password")
)

// Hash is the hash function of a mechanism.
type Hash struct {
	name string
	new  func() hash.Hash
	size int
}

// The mechanisms' hash functions.
var (
	SHA256 = Hash{"SCRAM-SHA-256", sha256.New, sha256.Size}
	SHA512 = Hash{"SCRAM-SHA-512", sha512.New, sha512.Size}
)

// Name returns the mechanism's name, for example SCRAM-SHA-256.
func (h Hash) Name() string { return h.name }

// HashByName returns the hash function of the mechanism with that name.
func HashByName(name string) (Hash, bool) {
	switch name {
	case SHA256.name:
		return SHA256, true
	case SHA512.name:
		return SHA512, true
	}
	return Hash{}, false
}

func (h Hash) sum(data []byte) []byte {
	d := h.new()
	d.Write(data)
	return d.Sum(nil)
}

func (h Hash) mac(key []byte, parts ...string) []byte {
	m := hmac.New(h.new, key)
	for _, p := range parts {
		m.Write([]byte(p))
	}
	return m.Sum(nil)
}

// Credentials are what a server stores of a user.
type Credentials struct {
	Hash       Hash
	Iterations int
	Salt       []byte
	StoredKey  []byte
	ServerKey  []byte
}

// NewCredentials makes the credentials of a password, with a salt of its own. 0 iterations are DefaultIterations.
func NewCredentials(h Hash, password string, iterations int) (Credentials, error) {
	if iterations == 0 {
		iterations = DefaultIterations
	}
	if iterations < MinIterations || iterations > MaxIterations {
		return Credentials{}, fmt.Errorf("scram: %d iterations: use %d to %d", iterations, MinIterations, MaxIterations)
	}
	if !printable(password) || password == "" {
		return Credentials{}, errors.New("scram: a password is not empty and has no control characters")
	}
	salt := make([]byte, newSaltBytes)
	_, _ = rand.Read(salt) // never fails, see crypto/rand
	salted, err := stretch(h, password, salt, iterations)
	if err != nil {
		return Credentials{}, err
	}
	return Credentials{
		Hash: h, Iterations: iterations, Salt: salt,
		StoredKey: h.sum(h.mac(salted, "Client Key")), ServerKey: h.mac(salted, "Server Key"),
	}, nil
}

// stretch is the standard's Hi: the salted password.
func stretch(h Hash, password string, salt []byte, iterations int) ([]byte, error) {
	key, err := pbkdf2.Key(h.new, password, salt, iterations, h.size)
	if err != nil {
		return nil, fmt.Errorf("scram: deriving the key: %w", err)
	}
	return key, nil
}

// newNonce makes a nonce of characters that may stand in a message.
func newNonce() string {
	var b [nonceBytes]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return base64.StdEncoding.EncodeToString(b[:])
}

// xor returns a ⊕ b, which are of one length.
func xor(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range a {
		out[i] = a[i] ^ b[i]
	}
	return out
}

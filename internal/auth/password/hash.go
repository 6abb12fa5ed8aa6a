// Package password checks passwords: the hashes that Mosquitto's password files and EMQX's database hold and our own, such
// files, and an authenticator that looks users up in files and elsewhere.
//
// # What a check costs, and what it gives away
//
// A hash is made to be slow, so it is computed behind a gate as wide as there are processors, beside the connections. A
// user that nobody knows costs the same as a known one: the password is checked against a hash that nothing matches, with
// the parameters of the source's other hashes. (Where a file mixes formats, the time tells of which format a user's hash
// is.) A success is remembered for some minutes under a keyed digest of user, password and hash, so that a fleet that
// reconnects, or a client that does so often, does not cost a hash each time; the key is made at the start and never
// leaves the process, a changed hash is another entry, and failures are not remembered: guessing always costs a hash.
package password

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Limits of what a file may ask for: a hash must not take a broker down.
const (
	maxIterations   = 10_000_000
	maxArgonKiB     = 1 << 18
	maxArgonTime    = 100
	maxArgonThreads = 16
	maxSaltBytes    = 1024
	maxKeyBytes     = 1024
)

// The parameters of hashes that we make: those that OWASP recommends for argon2id, at the least memory.
const (
	argonKiB     = 19 * 1024
	argonTime    = 2
	argonThreads = 1
	saltBytes    = 16
	keyBytes     = 32
)

// kind is a way of hashing.
type kind uint8

const (
	sha512Salted kind = iota + 1 // $6$
	pbkdf2SHA512                 // $7$
	argon2id
	bcrypted // $2b$ and its like
	digested // $sha256$ and its like, see foreign.go
	derived  // $pbkdf2-sha256$ and its like
)

// Hash is a hashed password. The zero Hash matches nothing.
type Hash struct {
	kind    kind
	cost    uint32 // iterations, or argon2id's passes
	memory  uint32 // KiB
	threads uint8
	method  method // of digested and derived
	salt    []byte
	key     []byte
}

// New returns an argon2id hash of a password, with a salt of its own.
func New(password []byte) Hash {
	h := Hash{kind: argon2id, cost: argonTime, memory: argonKiB, threads: argonThreads, salt: make([]byte, saltBytes)}
	_, _ = rand.Read(h.salt) // never fails, see crypto/rand
	h.key = h.derive(password, keyBytes)
	return h
}

// Matches reports whether a password is the one that was hashed. How long it takes says nothing about how much of it is
// right.
func (h *Hash) Matches(password []byte) bool {
	switch h.kind {
	case 0:
		return false
	case bcrypted:
		return h.matchesBcrypt(password)
	}
	return subtle.ConstantTimeCompare(h.derive(password, len(h.key)), h.key) == 1
}

func (h *Hash) derive(password []byte, size int) []byte {
	switch h.kind {
	case sha512Salted:
		d := sha512.New()
		d.Write(password)
		d.Write(h.salt)
		return d.Sum(nil)
	case pbkdf2SHA512:
		key, err := pbkdf2.Key(sha512.New, string(password), h.salt, int(h.cost), size)
		if err != nil { // only for lengths that parsing has refused
			return nil
		}
		return key
	case argon2id:
		return argon2.IDKey(password, h.salt, h.cost, h.memory, h.threads, uint32(size))
	case digested:
		return h.method.digest(password, h.salt)
	case derived:
		return h.method.derive(password, h.salt, int(h.cost), size)
	}
	return nil
}

// decoy returns a hash that nothing matches and that costs as much as h.
func (h *Hash) decoy() *Hash {
	d := *h
	d.key = make([]byte, len(h.key))
	_, _ = rand.Read(d.key)
	return &d
}

// String returns the hash as password files have it.
func (h Hash) String() string {
	std, raw := base64.StdEncoding, base64.RawStdEncoding
	switch h.kind {
	case sha512Salted:
		return "$6$" + std.EncodeToString(h.salt) + "$" + std.EncodeToString(h.key)
	case pbkdf2SHA512:
		return fmt.Sprintf("$7$%d$%s$%s", h.cost, std.EncodeToString(h.salt), std.EncodeToString(h.key))
	case argon2id:
		return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.cost, h.threads,
			raw.EncodeToString(h.salt), raw.EncodeToString(h.key))
	case bcrypted, digested, derived:
		return h.foreign()
	}
	return ""
}

// Parse reads a hash of one of the formats $6$, $7$ and $argon2id$, or of those that other brokers have (foreign.go).
func Parse(text string) (h Hash, err error) {
	format, rest, ok := strings.Cut(strings.TrimPrefix(text, "$"), "$")
	if !ok || !strings.HasPrefix(text, "$") {
		return h, errors.New("the password is not hashed; set it with: barid passwd FILE USER")
	}
	fields := strings.Split(rest, "$")
	switch {
	case format == "6" && len(fields) == 2:
		h.kind = sha512Salted
	case format == "7" && len(fields) == 3:
		h.kind = pbkdf2SHA512
		h.cost, err = number("iterations", fields[0], maxIterations)
	case format == "argon2id" && len(fields) == 4:
		h.kind = argon2id
		err = h.parseArgon(fields[0], fields[1])
	case format == "6" || format == "7" || format == "argon2id":
		return h, fmt.Errorf("a hash of format $%s$ with %d fields after it", format, len(fields))
	case isForeign(format):
		return parseForeign(format, fields)
	default:
		return h, fmt.Errorf("a hash of the unknown format $%s$; known are $7$, $6$, $argon2id$, $2b$, $sha256$ and $pbkdf2-sha256$", format)
	}
	if err != nil {
		return Hash{}, err
	}
	if err := h.parseBytes(fields[len(fields)-2], fields[len(fields)-1]); err != nil {
		return Hash{}, err
	}
	return h, nil
}

// parseArgon reads the version and the parameters of an argon2id hash.
func (h *Hash) parseArgon(version, parameters string) (err error) {
	if version != fmt.Sprintf("v=%d", argon2.Version) {
		return fmt.Errorf("argon2id of version %q; only v=%d is known", version, argon2.Version)
	}
	fields := strings.Split(parameters, ",")
	if len(fields) != 3 {
		return fmt.Errorf("argon2id with the parameters %q; they are m=…,t=…,p=…", parameters)
	}
	var threads uint32
	for i, p := range []struct {
		prefix string
		to     *uint32
		limit  uint32
	}{{"m=", &h.memory, maxArgonKiB}, {"t=", &h.cost, maxArgonTime}, {"p=", &threads, maxArgonThreads}} {
		text, ok := strings.CutPrefix(fields[i], p.prefix)
		if !ok {
			return fmt.Errorf("argon2id with the parameters %q; they are m=…,t=…,p=…", parameters)
		}
		if *p.to, err = number(p.prefix[:1], text, p.limit); err != nil {
			return err
		}
	}
	h.threads = uint8(threads)
	return nil
}

// parseBytes reads salt and key.
func (h *Hash) parseBytes(salt, key string) (err error) {
	encoding := base64.StdEncoding.Strict()
	if h.kind == argon2id {
		encoding = base64.RawStdEncoding.Strict()
	}
	if h.salt, err = encoding.DecodeString(salt); err != nil {
		return fmt.Errorf("a salt that is not base64: %w", err)
	}
	if h.key, err = encoding.DecodeString(key); err != nil {
		return fmt.Errorf("a hash that is not base64: %w", err)
	}
	switch {
	case len(h.salt) > maxSaltBytes || len(h.key) > maxKeyBytes:
		return errors.New("a salt or hash that is too long")
	case h.kind != argon2id && len(h.key) != sha512.Size:
		return fmt.Errorf("a hash of %d bytes; it should have %d", len(h.key), sha512.Size)
	case len(h.key) < 16:
		return fmt.Errorf("a hash of %d bytes, which is too short", len(h.key))
	}
	return nil
}

func number(what, text string, limit uint32) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n < 1 || n > uint64(limit) {
		return 0, fmt.Errorf("%s %q is not a whole number from 1 to %d", what, text, limit)
	}
	return uint32(n), nil
}

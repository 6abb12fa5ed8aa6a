package password

import (
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// Hashes that come from other brokers' databases. They are checked as they are, and never made here:
//
//	$2b$<cost>$<salt><hash>                              bcrypt, as it is written everywhere; $2a$ and $2y$ too
//	$<hash>$<prefix|suffix|disable>$<salt>$<hash>        one md5, sha, sha256 or sha512 of salt and password, in that order,
//	                                                     the other way round, or of the password alone
//	$pbkdf2-<hash>$i=<iterations>$<salt>$<hash>          PBKDF2-HMAC with sha, sha224, sha256, sha384 or sha512
//
// but for bcrypt, salt and hash are in base64.

// What bcrypt's text has after the cost: a salt of 22 characters and a hash of 31.
const (
	bcryptSaltChars = 22
	bcryptHashChars = 31
	maxBcryptCost   = 16 // some seconds
)

// hashName is a hash function.
type hashName uint8

const (
	hashMD5 hashName = iota + 1
	hashSHA1
	hashSHA224
	hashSHA256
	hashSHA384
	hashSHA512
)

// hashNames are the functions by EMQX's names of them.
var hashNames = map[string]hashName{
	"md5": hashMD5, "sha": hashSHA1, "sha224": hashSHA224, "sha256": hashSHA256, "sha384": hashSHA384, "sha512": hashSHA512,
}

func (n hashName) String() string {
	for name, h := range hashNames {
		if h == n {
			return name
		}
	}
	return ""
}

func (n hashName) new() hash.Hash {
	switch n {
	case hashMD5:
		return md5.New()
	case hashSHA1:
		return sha1.New()
	case hashSHA224:
		return sha256.New224()
	case hashSHA256:
		return sha256.New()
	case hashSHA384:
		return sha512.New384()
	}
	return sha512.New()
}

// SaltPosition says where the salt stands.
type SaltPosition uint8

// The positions of a salt, in EMQX's words.
const (
	SaltDisable SaltPosition = iota // there is none
	SaltPrefix
	SaltSuffix
)

var saltPositions = []string{SaltDisable: "disable", SaltPrefix: "prefix", SaltSuffix: "suffix"}

// ParseSaltPosition reads disable, prefix or suffix.
func ParseSaltPosition(text string) (SaltPosition, error) {
	i := slices.Index(saltPositions, text)
	if i < 0 {
		return 0, fmt.Errorf("the salt's position is one of %s, not %q", strings.Join(saltPositions, ", "), text)
	}
	return SaltPosition(i), nil
}

// method is how a foreign hash is made.
type method struct {
	hash hashName
	salt SaltPosition // digested only
}

func (m method) digest(password, salt []byte) []byte {
	d := m.hash.new()
	if m.salt == SaltPrefix {
		d.Write(salt)
	}
	d.Write(password)
	if m.salt == SaltSuffix {
		d.Write(salt)
	}
	return d.Sum(nil)
}

func (m method) derive(password, salt []byte, iterations, size int) []byte {
	key, err := pbkdf2.Key(m.hash.new, string(password), salt, iterations, size)
	if err != nil { // only for lengths that parsing has refused
		return nil
	}
	return key
}

// Digest returns a hash that was made of salt and password in one go by md5, sha, sha256 or sha512.
func Digest(name string, position SaltPosition, salt, key []byte) (Hash, error) {
	n, ok := hashNames[name]
	if !ok || n == hashSHA224 || n == hashSHA384 {
		return Hash{}, fmt.Errorf("hashes of %q are not known; md5, sha, sha256 and sha512 are", name)
	}
	if position == SaltDisable {
		salt = nil
	}
	h := Hash{kind: digested, method: method{n, position}, salt: salt, key: key}
	return h, h.checkForeign(n.new().Size())
}

// PBKDF2 returns a hash that was made by PBKDF2-HMAC with sha, sha224, sha256, sha384 or sha512.
func PBKDF2(name string, iterations int, salt, key []byte) (Hash, error) {
	n, ok := hashNames[name]
	if !ok || n == hashMD5 {
		return Hash{}, fmt.Errorf("PBKDF2 with %q is not known; sha, sha224, sha256, sha384 and sha512 are", name)
	}
	if iterations < 1 || iterations > maxIterations {
		return Hash{}, fmt.Errorf("%d iterations: there may be 1 to %d", iterations, maxIterations)
	}
	h := Hash{kind: derived, method: method{hash: n}, cost: uint32(iterations), salt: salt, key: key}
	return h, h.checkForeign(0)
}

// checkForeign checks lengths; size is that of the key, 0 for any.
func (h *Hash) checkForeign(size int) error {
	switch {
	case len(h.salt) > maxSaltBytes || len(h.key) > maxKeyBytes:
		return errors.New("a salt or hash that is too long")
	case size != 0 && len(h.key) != size:
		return fmt.Errorf("a hash of %d bytes; it should have %d", len(h.key), size)
	case len(h.key) < 16:
		return fmt.Errorf("a hash of %d bytes, which is too short", len(h.key))
	}
	return nil
}

func isBcrypt(format string) bool { return format == "2a" || format == "2b" || format == "2y" }

// isForeign reports whether a format is one of those here.
func isForeign(format string) bool {
	name, _ := strings.CutPrefix(format, "pbkdf2-")
	return isBcrypt(format) || hashNames[name] != 0
}

// parseForeign reads what follows the format.
func parseForeign(format string, fields []string) (Hash, error) {
	if isBcrypt(format) {
		return parseBcrypt(format, fields)
	}
	if len(fields) != 3 {
		return Hash{}, fmt.Errorf("a hash of format $%s$ with %d fields after it", format, len(fields))
	}
	salt, err := base64.StdEncoding.Strict().DecodeString(fields[1])
	if err != nil {
		return Hash{}, fmt.Errorf("a salt that is not base64: %w", err)
	}
	key, err := base64.StdEncoding.Strict().DecodeString(fields[2])
	if err != nil {
		return Hash{}, fmt.Errorf("a hash that is not base64: %w", err)
	}
	if name, ok := strings.CutPrefix(format, "pbkdf2-"); ok {
		text, ok := strings.CutPrefix(fields[0], "i=")
		if !ok {
			return Hash{}, fmt.Errorf("PBKDF2 with the parameters %q; they are i=…", fields[0])
		}
		iterations, err := number("iterations", text, maxIterations)
		if err != nil {
			return Hash{}, err
		}
		return PBKDF2(name, int(iterations), salt, key)
	}
	position, err := ParseSaltPosition(fields[0])
	if err != nil {
		return Hash{}, err
	}
	return Digest(format, position, salt, key)
}

func parseBcrypt(format string, fields []string) (Hash, error) {
	if len(fields) != 2 || len(fields[1]) != bcryptSaltChars+bcryptHashChars {
		return Hash{}, fmt.Errorf("a bcrypt hash has a cost and %d characters after $%s$", bcryptSaltChars+bcryptHashChars, format)
	}
	cost, err := strconv.Atoi(fields[0])
	if err != nil || len(fields[0]) != 2 || cost < bcrypt.MinCost || cost > maxBcryptCost {
		return Hash{}, fmt.Errorf("bcrypt with the cost %q: it has two digits, from %02d to %d", fields[0], bcrypt.MinCost, maxBcryptCost)
	}
	for _, c := range fields[1] {
		if !strings.ContainsRune("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", c) {
			return Hash{}, fmt.Errorf("a bcrypt hash with the character %q", c)
		}
	}
	salt := "$" + format + "$" + fields[0] + "$" + fields[1][:bcryptSaltChars]
	return Hash{kind: bcrypted, cost: uint32(cost), salt: []byte(salt), key: []byte(fields[1][bcryptSaltChars:])}, nil
}

// matchesBcrypt compares as the others do. Of a password, 72 bytes count.
func (h *Hash) matchesBcrypt(password []byte) bool {
	return bcrypt.CompareHashAndPassword(slices.Concat(h.salt, h.key), password) == nil
}

// foreign is the text of a hash of one of these kinds.
func (h *Hash) foreign() string {
	std := base64.StdEncoding
	switch h.kind {
	case bcrypted:
		return string(h.salt) + string(h.key)
	case derived:
		return fmt.Sprintf("$pbkdf2-%s$i=%d$%s$%s", h.method.hash, h.cost, std.EncodeToString(h.salt), std.EncodeToString(h.key))
	}
	return fmt.Sprintf("$%s$%s$%s$%s", h.method.hash, saltPositions[h.method.salt], std.EncodeToString(h.salt), std.EncodeToString(h.key))
}

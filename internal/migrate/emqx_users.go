package migrate

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/barid-mqtt/barid/internal/auth/builtin"
	"github.com/barid-mqtt/barid/internal/auth/password"
	"github.com/barid-mqtt/barid/internal/migrate/erl"
)

// globalGroup is the chain of authenticators that all listeners share.
const globalGroup = "mqtt:global"

// hashing is how the built-in database hashes passwords; the zero value: the export does not say.
type hashing struct {
	known      bool
	name       string // plain, md5, sha, sha256, sha512, bcrypt, pbkdf2
	salt       password.SaltPosition
	macFun     string
	iterations int
	byClientID bool // the users are client ids
}

// user takes a record of {table, {group, user}, hash, salt, superuser}.
func (m *emqx) user(r *erl.Term) (o outcome, err error) {
	o.verdict = Unsupported
	if !r.IsTuple(5) || !r.Items[1].IsTuple(2) {
		return o, fmt.Errorf("%w: a user that is not made as one", ErrExport)
	}
	group, name := r.Items[1].Items[0], r.Items[1].Items[1].Text
	hash, okHash := r.Items[2].Bytes()
	salt, okSalt := r.Items[3].Bytes()
	if !okHash || !okSalt {
		return o, fmt.Errorf("%w: a user whose hash is none", ErrExport)
	}
	o.what = "user " + name
	switch {
	case group.Text != globalGroup:
		o.note = "the user is one of the listener " + group.Text + " only"
		return o, nil
	case m.hashing.byClientID:
		o.note = "it is a client id, and the users here are usernames"
		return o, nil
	}
	if err := builtin.CheckUser(name); err != nil {
		o.note = err.Error()
		return o, nil //nolint:nilerr // it is said of the user
	}
	if m.dry && m.hashing.name == "plain" {
		m.users++
		o.verdict = Taken
		return o, nil // a hash takes its time, and nobody would have it
	}
	h, err := m.hashing.hash(hash, salt)
	if err != nil {
		o.note = err.Error()
		return o, nil //nolint:nilerr // it is said of the user
	}
	m.users++
	o.verdict = Taken
	return o, m.sink.User(builtin.User{Name: name, Hash: h.String(), Superuser: r.Items[4].IsAtom("true")})
}

// hash returns what the database has as ours.
func (a *hashing) hash(text, salt string) (password.Hash, error) {
	if a.name == "plain" {
		return password.New([]byte(text)), nil
	}
	if a.name == "bcrypt" || strings.HasPrefix(text, "$2") {
		return password.Parse(text)
	}
	key, err := hex.DecodeString(text)
	if err != nil {
		return password.Hash{}, errors.New("its password's hash is not in hexadecimal digits")
	}
	if a.name == "pbkdf2" {
		return password.PBKDF2(a.macFun, a.iterations, []byte(salt), key)
	}
	name, position := a.name, a.salt
	if !a.known {
		name = map[int]string{16: "md5", 20: "sha", 32: "sha256", 64: "sha512"}[len(key)]
		position = password.SaltPrefix
	}
	if salt == "" {
		position = password.SaltDisable
	}
	return password.Digest(name, position, []byte(salt), key)
}

// scramScheme is how the built-in database keeps SCRAM users.
type scramScheme struct {
	algorithm  string // sha256, sha512; empty: the export does not say
	iterations int
}

// scramUser takes a record of {table, {group, user}, stored key, server key, salt, superuser}.
func (m *emqx) scramUser(r *erl.Term) (o outcome, err error) {
	o.verdict = Unsupported
	if !r.IsTuple(6) || !r.Items[1].IsTuple(2) {
		return o, fmt.Errorf("%w: a SCRAM user that is not made as one", ErrExport)
	}
	name := r.Items[1].Items[1].Text
	stored, server, salt := r.Items[2].Text, r.Items[3].Text, r.Items[4].Text
	o.what = "SCRAM user " + name
	mechanism := map[int]string{32: "SCRAM-SHA-256", 64: "SCRAM-SHA-512"}[len(stored)]
	switch {
	case name == "" || name[0] == '#' || strings.ContainsAny(name, ":\r\n\x00"):
		o.note = "the name cannot stand in a file of SCRAM users"
	case mechanism == "" || len(server) != len(stored):
		o.note = "its keys are neither of SCRAM-SHA-256 nor of SCRAM-SHA-512"
	case len(m.scramUsers) >= maxListedFile:
		o.note = "there are too many for a file"
	default:
		std := base64.StdEncoding.EncodeToString
		m.scramUsers = append(m.scramUsers, fmt.Sprintf("%s:%s$%d:%s$%s:%s\n", name, mechanism, m.scram.count(),
			std([]byte(salt)), std([]byte(stored)), std([]byte(server))))
		o.verdict = Taken
		if r.Items[5].IsAtom("true") {
			o.verdict, o.note = Changed, "SCRAM users are no superusers here: what they may do needs rules"
		}
	}
	return o, nil
}

// maxListedFile bounds the users of the file that SCRAM users are in.
const maxListedFile = 1_000_000

func (s *scramScheme) count() int {
	if s.iterations == 0 {
		return 4096 // EMQX's default
	}
	return s.iterations
}

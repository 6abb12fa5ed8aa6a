package scram

import (
	"crypto/hmac"
	"crypto/subtle"
	"strconv"
	"strings"
)

// Lookup returns the credentials of a user. It must take the same time for every name, as far as that can be.
type Lookup func(user string) (Credentials, bool)

// Decoy makes up answers for users that do not exist, so that they look like those that do: the same name gets the same
// salt whenever it asks.
type Decoy struct {
	Secret     []byte // of this server, the same over restarts
	Iterations int    // those of most users
}

func (d Decoy) credentials(h Hash, user string) Credentials {
	iterations := d.Iterations
	if iterations == 0 {
		iterations = DefaultIterations
	}
	return Credentials{
		Hash: h, Iterations: iterations, Salt: h.mac(d.Secret, "salt", user)[:newSaltBytes],
		StoredKey: make([]byte, h.size), ServerKey: h.mac(d.Secret, "server key", user),
	}
}

// Server is one conversation with a client.
type Server struct {
	hash   Hash
	lookup Lookup
	decoy  Decoy

	step        int
	user        string
	known       bool
	credentials Credentials
	header      string // of the client's first message
	nonce       string // both halves
	signed      string // the first two messages, as the proof covers them
}

// NewServer begins a conversation.
func NewServer(h Hash, lookup Lookup, decoy Decoy) *Server {
	return &Server{hash: h, lookup: lookup, decoy: decoy}
}

// User returns the name that the client gave. It is proved when Next has said done.
func (s *Server) User() string { return s.user }

// Next takes a message of the client and returns the answer. done says that the client has proved who it is, and that
// the answer is the last. After an error the conversation is over.
func (s *Server) Next(message []byte) (answer []byte, done bool, err error) {
	step := s.step
	s.step = -1
	if len(message) > MaxMessageBytes {
		return nil, false, ErrMessage
	}
	switch step {
	case 0:
		if answer, err = s.first(string(message)); err == nil {
			s.step = 1
		}
		return answer, false, err
	case 1:
		answer, err = s.final(string(message))
		return answer, err == nil, err
	}
	return nil, false, ErrMessage
}

// first takes "n,[a=<name>],n=<user>,r=<nonce>".
func (s *Server) first(message string) ([]byte, error) {
	return s.firstWith(message, newNonce())
}

func (s *Server) firstWith(message, own string) ([]byte, error) {
	flag, rest, ok := strings.Cut(message, ",")
	if !ok || flag != "n" && flag != "y" { // p=…: channel binding, which no mechanism here offers
		return nil, ErrMessage
	}
	authzid, bare, ok := strings.Cut(rest, ",")
	if !ok {
		return nil, ErrMessage
	}
	escaped, rest, ok := attribute(bare, 'n') // m=…, a mandatory extension, fails here
	if !ok {
		return nil, ErrMessage
	}
	clientNonce, rest, ok := attribute(rest, 'r')
	if !ok || !isNonce(clientNonce) || !extensions(rest) {
		return nil, ErrMessage
	}
	if s.user, ok = unescapeName(escaped); !ok {
		return nil, ErrMessage
	}
	if authzid != "" && authzid != "a="+escaped { // nobody acts for somebody else
		return nil, ErrMessage
	}
	s.header = flag + "," + authzid + ","
	decoy := s.decoy.credentials(s.hash, s.user) // made for everybody, so that it tells nobody anything
	if s.credentials, s.known = s.lookup(s.user); !s.known {
		s.credentials = decoy
	}
	s.nonce = clientNonce + own
	answer := "r=" + s.nonce + ",s=" + encode(s.credentials.Salt) + ",i=" + strconv.Itoa(s.credentials.Iterations)
	s.signed = bare + "," + answer
	return []byte(answer), nil
}

// final takes "c=<header>,r=<both nonces>[,extensions],p=<proof>".
func (s *Server) final(message string) ([]byte, error) {
	at := strings.LastIndex(message, ",p=")
	if at < 0 {
		return nil, ErrMessage
	}
	unproved := message[:at]
	binding, rest, ok := attribute(unproved, 'c')
	if !ok || binding != encode([]byte(s.header)) {
		return nil, ErrMessage
	}
	nonce, rest, ok := attribute(rest, 'r')
	if !ok || !hmac.Equal([]byte(nonce), []byte(s.nonce)) || !extensions(rest) {
		return nil, ErrMessage
	}
	proof, ok := decode(message[at+3:])
	if !ok || len(proof) != s.hash.size {
		return nil, ErrMessage
	}
	all := s.signed + "," + unproved
	c := &s.credentials
	clientKey := xor(proof, s.hash.mac(c.StoredKey, all))
	signature := s.hash.mac(c.ServerKey, all)
	right := subtle.ConstantTimeCompare(s.hash.sum(clientKey), c.StoredKey) == 1
	if !right || !s.known {
		return nil, ErrProof
	}
	return []byte("v=" + encode(signature)), nil
}

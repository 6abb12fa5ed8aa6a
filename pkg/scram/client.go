package scram

import (
	"crypto/hmac"
	"errors"
	"strings"
)

// Client is one conversation with a server.
type Client struct {
	hash           Hash
	user, password string

	step      int
	bare      string // the first message without its header
	nonce     string // the client's
	signature []byte // that the server must show
}

// NewClient begins a conversation as the user.
func NewClient(h Hash, user, password string) *Client {
	return &Client{hash: h, user: user, password: password, nonce: newNonce()}
}

// header says that the client does no channel binding, and acts for itself.
const header = "n,,"

// Next takes a message of the server and returns the answer; the conversation begins with no message at all. done says
// that the server has proved that it knows the user, and that there is nothing to answer.
func (c *Client) Next(message []byte) (answer []byte, done bool, err error) {
	step := c.step
	c.step = -1
	if len(message) > MaxMessageBytes {
		return nil, false, ErrMessage
	}
	switch step {
	case 0:
		if c.user == "" || !printable(c.user) {
			return nil, false, errors.New("scram: a user's name is not empty and has no control characters")
		}
		c.bare = "n=" + escapeName(c.user) + ",r=" + c.nonce
		c.step = 1
		return []byte(header + c.bare), false, nil
	case 1:
		if answer, err = c.prove(string(message)); err == nil {
			c.step = 2
		}
		return answer, false, err
	case 2:
		return nil, true, c.verify(string(message))
	}
	return nil, false, ErrMessage
}

func (c *Client) prove(message string) ([]byte, error) {
	nonce, rest, ok := attribute(message, 'r')
	if !ok || !isNonce(nonce) || !strings.HasPrefix(nonce, c.nonce) || len(nonce) == len(c.nonce) {
		return nil, ErrMessage
	}
	salt64, rest, ok := attribute(rest, 's')
	salt, good := decode(salt64)
	if !ok || !good || len(salt) == 0 || len(salt) > maxSaltBytes {
		return nil, ErrMessage
	}
	count, rest, ok := attribute(rest, 'i')
	n, good := iterations(count)
	if !ok || !good || !extensions(rest) {
		return nil, ErrMessage
	}
	salted, err := stretch(c.hash, c.password, salt, n)
	if err != nil {
		return nil, err
	}
	unproved := "c=" + encode([]byte(header)) + ",r=" + nonce
	all := c.bare + "," + message + "," + unproved
	clientKey := c.hash.mac(salted, "Client Key")
	proof := xor(clientKey, c.hash.mac(c.hash.sum(clientKey), all))
	c.signature = c.hash.mac(c.hash.mac(salted, "Server Key"), all)
	return []byte(unproved + ",p=" + encode(proof)), nil
}

func (c *Client) verify(message string) error {
	text, rest, ok := attribute(message, 'v')
	signature, good := decode(text)
	if !ok || !good || !extensions(rest) {
		return ErrMessage
	}
	if !hmac.Equal(signature, c.signature) {
		return errors.New("scram: the server does not know the user: it is not who it should be")
	}
	return nil
}

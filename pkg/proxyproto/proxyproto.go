// Package proxyproto reads and writes the PROXY protocol's header, versions 1 (text) and 2 (binary), by which a proxy
// tells the server behind it who the client is.
//
// Whoever may connect to a port that speaks it can claim any address: such a port must be open to the proxy only.
package proxyproto

import (
	"errors"
	"fmt"
	"io"
	"net"
)

// DefaultMaxBytes is how long a version 2 header may be in all. Certificates and the like in its TLVs fit.
const DefaultMaxBytes = 4096

// Errors of Read. What is wrong in detail is in the error that wraps ErrMalformed.
var (
	// ErrNoHeader: the connection begins with something else.
	ErrNoHeader = errors.New("proxyproto: no PROXY protocol header")
	// ErrMalformed: it begins as a header does, but is none.
	ErrMalformed = errors.New("proxyproto: malformed header")
	// ErrTooLong: the header is longer than allowed.
	ErrTooLong = errors.New("proxyproto: header too long")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// Header is what a proxy says about a connection.
type Header struct {
	Version int // 1 or 2
	// Source is the client's address and Destination the one that it connected to. Both are nil if the proxy does not
	// say (UNKNOWN, or an unspecified family), or speaks for itself, as for a health check (LOCAL): then the addresses of
	// the connection itself count.
	Source, Destination net.Addr
	Local               bool // the proxy speaks for itself
	TLVs                []TLV
}

// Read reads exactly a header from c, and nothing behind it. A header of version 2 is at most DefaultMaxBytes long.
// Deadlines are the caller's.
func Read(c net.Conn) (Header, error) { return ReadFrom(c, DefaultMaxBytes) }

// The signatures by which the versions are told apart. No header of either version is shorter than firstRead, so that
// much can be read without taking anything of what follows.
const (
	signatureV1 = "PROXY "
	signatureV2 = "\r\n\r\n\x00\r\nQUIT\n"
	firstRead   = len("PROXY UNKNOWN\r\n")
)

// ReadFrom is Read from any reader, with a limit for version 2.
func ReadFrom(r io.Reader, maxBytes int) (Header, error) {
	var start [firstRead]byte
	for n := 0; n < len(start); {
		m, err := r.Read(start[n:])
		n += m
		// Something else is recognised at its first bytes: it may be shorter, and the rest never come.
		if !isPrefix(start[:n]) {
			return Header{}, ErrNoHeader
		}
		if err != nil && n < len(start) {
			return Header{}, readError(err)
		}
	}
	if start[0] == signatureV1[0] {
		return readV1(r, start[:])
	}
	return readV2(r, start[:], maxBytes)
}

// isPrefix reports whether a header may begin with b, which has at most firstRead bytes.
func isPrefix(b []byte) bool {
	for _, s := range []string{signatureV1, signatureV2} {
		n := min(len(b), len(s))
		if string(b[:n]) == s[:n] {
			return true
		}
	}
	return false
}

func readError(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("proxyproto: reading header: %w", err)
}

// Package memnet is a network in memory, for tests that run in virtual time.
//
// A connection has a buffer in each direction, as a socket has: a write returns at once while there is room, and blocks
// when the peer does not read (net.Pipe blocks on every write, which deadlocks protocols in which both sides talk).
// Connections can be half closed, reset, and given deadlines. All blocking is on sync.Cond and all timing on package
// time, so that a test under testing/synctest sees a waiting connection as durably blocked.
package memnet

import (
	"fmt"
	"net"
	"sync/atomic"
)

// DefaultBufferBytes is how many unread bytes one direction of a connection holds before writes block.
const DefaultBufferBytes = 64 << 10

// Options describe a connection. The zero value is usable.
type Options struct {
	// BufferBytes is how many unread bytes one direction holds before writes block; 0 means DefaultBufferBytes.
	BufferBytes int
	// ClientAddr and ServerAddr are the ends' addresses; nil means a made-up Addr.
	ClientAddr, ServerAddr net.Addr
	// ResetOnUnread makes Close behave as TCP does when received bytes were never read: the peer gets a reset, which
	// also destroys what it has not read yet.
	ResetOnUnread bool
}

// Addr is an address in memory.
type Addr string

// Network returns "mem".
func (Addr) Network() string { return "mem" }

// String returns the address.
func (a Addr) String() string { return string(a) }

var clients atomic.Int64

// Pipe returns the two ends of a connection with the default options.
func Pipe() (client, server *Conn) { return PipeWith(Options{}) }

// PipeWith returns the two ends of a connection.
func PipeWith(o Options) (client, server *Conn) {
	if o.BufferBytes <= 0 {
		o.BufferBytes = DefaultBufferBytes
	}
	if o.ClientAddr == nil {
		o.ClientAddr = Addr(fmt.Sprintf("client-%d", clients.Add(1)))
	}
	if o.ServerAddr == nil {
		o.ServerAddr = Addr("server")
	}
	up, down := newStream(o.BufferBytes), newStream(o.BufferBytes)
	client = &Conn{in: down, out: up, local: o.ClientAddr, remote: o.ServerAddr, resetOnUnread: o.ResetOnUnread}
	server = &Conn{in: up, out: down, local: o.ServerAddr, remote: o.ClientAddr, resetOnUnread: o.ResetOnUnread}
	return client, server
}

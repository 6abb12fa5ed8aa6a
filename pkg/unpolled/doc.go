// Package unpolled accepts connections that the runtime does not poll until somebody waits for them.
//
// Package net gives each socket to the runtime's poller when it is accepted. A program that waits for its sockets in an
// event loop of its own has no use for that, and pays for it: with two system calls for each connection, half a
// kilobyte, and, what costs most, a wake-up of the poller's thread for whatever arrives.
//
// A connection of this package is a net.Conn and a syscall.Conn. As long as only calls are made that do not wait (those
// of its RawConn whose function reports true at once), it is a descriptor and an address. Read, Write, a deadline
// or a RawConn's function that reports false hand it to the poller, once and for all, and all is as in package net.
//
// It does so on Linux; elsewhere connections are those of package net.
package unpolled

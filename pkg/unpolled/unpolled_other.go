//go:build !linux

package unpolled

import "net"

// Listener returns ln.
func Listener(ln net.Listener) net.Listener { return ln }

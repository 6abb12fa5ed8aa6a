//go:build !unix

package listener

import "net"

// Descriptor is 0 where descriptors are not numbered from below.
func Descriptor(net.Conn) uint64 { return 0 }

func (a *Accepted) descriptor() uint64 { return 0 }

//go:build !linux

package listener

import "net"

// configureKeepAlive sets keep-alive on each accepted socket.
func configureKeepAlive(lc *net.ListenConfig) { lc.KeepAliveConfig = keepAlive }

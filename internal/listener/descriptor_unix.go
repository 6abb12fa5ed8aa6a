//go:build unix

package listener

// descriptor is the number of the connection's descriptor. The system gives the lowest that is free, so all below it
// are taken. 0: there is none.
func (a *Accepted) descriptor() (n uint64) {
	if a.socket.raw != nil {
		_ = a.socket.raw.Control(func(fd uintptr) { n = uint64(fd) }) // fails on what is closed
	}
	return n
}

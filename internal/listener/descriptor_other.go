//go:build !unix

package listener

// descriptor is 0 where descriptors are not numbered from below.
func (a *Accepted) descriptor() uint64 { return 0 }

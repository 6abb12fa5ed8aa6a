//go:build !unix

package broker

// descriptorLimit is 0 where descriptors are not numbered from below.
func descriptorLimit() uint64 { return 0 }

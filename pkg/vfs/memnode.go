package vfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

const (
	sectorBytes = 512  // what a disk writes whole or not at all
	chunkBytes  = 4096 // what a file system allocates
	// keptVersions bounds how many states a sector remembers that was written often and never synced.
	keptVersions = 4
)

// node is a file's content. The file system's lock guards it.
type node struct {
	size        int64
	durableSize int64
	reserved    int64                 // the bytes from 0 on that are preallocated
	extra       int64                 // how many chunks lie behind them
	chunks      map[int64][]byte      // the content as the running system sees it; a missing chunk is zeros
	unsynced    map[int64]*unsyncedAt // by number of the sector
}

// unsyncedAt remembers what a sector may hold after a crash, besides what the running system sees.
type unsyncedAt struct {
	older [][]byte // [0] is on the disk, the others were written since, in order; nil is zeros
	lost  bool     // a sync failed: no later one makes it durable, unless it is written again
}

func newNode() *node {
	return &node{chunks: map[int64][]byte{}, unsynced: map[int64]*unsyncedAt{}}
}

func (n *node) allocated() int64 { return roundUp(n.reserved, chunkBytes) + n.extra*chunkBytes }

func roundUp(v, to int64) int64 { return (v + to - 1) / to * to }

// growth returns how many bytes more a write would allocate.
func (n *node) growth(off, length int64) int64 {
	var missing int64
	start := max(off/chunkBytes, roundUp(n.reserved, chunkBytes)/chunkBytes)
	for c := start; c*chunkBytes < off+length; c++ {
		if n.chunks[c] == nil {
			missing++
		}
	}
	return missing * chunkBytes
}

func (n *node) read(p []byte, off int64) {
	for len(p) > 0 {
		at := int(off % chunkBytes)
		part := p[:min(len(p), chunkBytes-at)]
		if chunk := n.chunks[off/chunkBytes]; chunk != nil {
			copy(part, chunk[at:])
		} else {
			clear(part)
		}
		p, off = p[len(part):], off+int64(len(part))
	}
}

func (n *node) write(p []byte, off int64) {
	n.size = max(n.size, off+int64(len(p)))
	for len(p) > 0 {
		at := int(off % sectorBytes)
		part := p[:min(len(p), sectorBytes-at)]
		n.remember(off / sectorBytes)
		copy(n.sector(off / sectorBytes)[at:], part)
		p, off = p[len(part):], off+int64(len(part))
	}
}

// sector returns a sector's memory.
func (n *node) sector(number int64) []byte {
	const perChunk = chunkBytes / sectorBytes
	c := number / perChunk
	chunk := n.chunks[c]
	if chunk == nil {
		chunk = make([]byte, chunkBytes)
		n.chunks[c] = chunk
		if c*chunkBytes >= n.reserved {
			n.extra++
		}
	}
	return chunk[number%perChunk*sectorBytes:][:sectorBytes]
}

// remember keeps what a sector holds, before it is written.
func (n *node) remember(number int64) {
	u := n.unsynced[number]
	if u == nil {
		u = &unsyncedAt{}
		n.unsynced[number] = u
	}
	var old []byte
	if n.chunks[number*sectorBytes/chunkBytes] != nil {
		old = slices.Clone(n.sector(number))
	}
	if len(u.older) == keptVersions {
		u.older = slices.Delete(u.older, 1, 2)
	}
	u.older = append(u.older, old)
	u.lost = false
}

func (n *node) preallocate(size int64) {
	if size > n.reserved {
		n.reserved = size
		n.countExtra()
	}
	n.size = max(n.size, size)
}

func (n *node) countExtra() {
	n.extra = 0
	for c := range n.chunks {
		if c*chunkBytes >= n.reserved {
			n.extra++
		}
	}
}

// truncate writes zeros where the file was longer, so that a crash may leave the old bytes or zeros.
func (n *node) truncate(size int64) {
	for _, c := range slices.Sorted(maps.Keys(n.chunks)) {
		from, to := max(c*chunkBytes, size), min((c+1)*chunkBytes, n.size)
		if from < to {
			n.write(make([]byte, to-from), from)
		}
	}
	n.size = size
	n.reserved = min(n.reserved, size)
	n.countExtra()
}

func (n *node) sync() {
	maps.DeleteFunc(n.unsynced, func(_ int64, u *unsyncedAt) bool { return !u.lost })
	n.durableSize = n.size
	n.dropBehind()
}

// dropBehind gives back the chunks behind the file's end.
func (n *node) dropBehind() {
	maps.DeleteFunc(n.chunks, func(c int64, _ []byte) bool { return c*chunkBytes >= n.size })
	n.countExtra()
}

// failSync makes a part durable and loses the rest: the running system sees it or, if its pages were dropped, what is on
// the disk, but takes it for synced.
func (n *node) failSync(rng *rand.Rand) {
	dropped := rng.IntN(2) == 0
	for _, number := range slices.Sorted(maps.Keys(n.unsynced)) {
		u := n.unsynced[number]
		if rng.IntN(2) == 0 && !u.lost {
			delete(n.unsynced, number)
			continue
		}
		u.lost = true
		if dropped {
			n.restore(number, u.older[0])
			delete(n.unsynced, number)
		}
	}
	if rng.IntN(2) == 0 {
		n.durableSize = n.size
	}
}

func (n *node) restore(number int64, content []byte) {
	s := n.sector(number)
	clear(s)
	copy(s, content)
}

// crash makes the content what a disk may hold.
func (n *node) crash(rng *rand.Rand) {
	for _, number := range slices.Sorted(maps.Keys(n.unsynced)) {
		u := n.unsynced[number]
		if i := rng.IntN(len(u.older) + 1); i < len(u.older) {
			n.restore(number, u.older[i])
		}
	}
	clear(n.unsynced)
	size := n.size
	switch rng.IntN(3) {
	case 0:
		size = n.durableSize
	case 1:
		if n.size > n.durableSize {
			size = n.durableSize + rng.Int64N(n.size-n.durableSize+1)
		}
	}
	n.cut(size)
}

// cut makes the content end at a size, durably, with zeros behind it should it grow again.
func (n *node) cut(size int64) {
	n.size, n.durableSize = size, size
	n.reserved = min(n.reserved, size)
	if chunk := n.chunks[size/chunkBytes]; chunk != nil {
		clear(chunk[size%chunkBytes:])
	}
	n.dropBehind()
}

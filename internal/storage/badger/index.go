package badger

import (
	"slices"
	"sort"
)

// point says that the sequence after the block disk of the log on disk is after: blocks with records up to after-1 are
// at or before disk.
type point struct {
	disk  uint64
	after uint64
}

// indexSpacing is how many blocks on disk are between two points that are kept.
const indexSpacing = 64

// index finds the block on disk for a sequence. It keeps a few points, and is exact at the log's end; between two points
// it leaves it to the caller to look. Ten million blocks take 2.5 MB.
type index struct {
	points []point // rising in disk, not falling in after; the last is the log's end
}

// add notes the log's end.
func (x *index) add(p point) {
	if n := len(x.points); n >= 2 && p.disk-x.points[n-2].disk < indexSpacing {
		x.points[n-1] = p
		return
	}
	x.points = append(x.points, p)
}

// learn notes a point between others, if there is none near.
func (x *index) learn(p point) {
	i := sort.Search(len(x.points), func(i int) bool { return x.points[i].disk >= p.disk })
	if i == 0 || i == len(x.points) || p.disk-x.points[i-1].disk < indexSpacing || x.points[i].disk-p.disk < indexSpacing {
		return
	}
	x.points = slices.Insert(x.points, i, p)
}

// around returns two points with the block of a sequence after the first, and not after the second. ok is false if no
// block has that sequence or a later one.
func (x *index) around(sequence uint64) (low, high point, ok bool) {
	i := sort.Search(len(x.points), func(i int) bool { return x.points[i].after > sequence })
	if i == len(x.points) {
		return point{}, point{}, false
	}
	if i == 0 {
		return point{}, x.points[0], false // it was trimmed
	}
	return x.points[i-1], x.points[i], true
}

// trim forgets points before the log on disk's first block, but for the newest of them.
func (x *index) trim(first uint64) {
	i := sort.Search(len(x.points), func(i int) bool { return x.points[i].disk >= first })
	if i > 1 {
		x.points = slices.Delete(x.points, 0, i-1)
	}
}

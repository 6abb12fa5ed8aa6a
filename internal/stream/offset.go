package stream

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
)

// Offset says where to begin reading a stream. The zero Offset is its oldest message.
type Offset struct {
	Latest   bool             // what comes from now on
	Since    time.Time        // not zero: the first message that was published then
	Position message.Position // not zero: that place
}

// msFrom is the number from which on a Unix time is in milliseconds: as seconds it would be in the year 5138.
const msFrom = 100_000_000_000

// ParseOffset reads an offset: earliest, latest, a time as RFC 3339 or since 1970 in seconds or milliseconds, or a
// position as FormatPosition writes it.
func ParseOffset(s string) (o Offset, err error) {
	switch s {
	case "earliest":
		return o, nil
	case "latest":
		return Offset{Latest: true}, nil
	}
	if pos, ok := ParsePosition(s); ok {
		return Offset{Position: pos}, nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 {
		if n >= msFrom {
			return Offset{Since: time.UnixMilli(n)}, nil
		}
		return Offset{Since: time.Unix(n, 0)}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil && !t.IsZero() {
		return Offset{Since: t}, nil
	}
	return o, fmt.Errorf("%q is no offset: earliest, latest, a time (2026-01-31T12:00:00Z, or seconds or milliseconds since 1970) or a position (12-3)", s)
}

// FormatPosition writes a position: block and index.
func FormatPosition(p message.Position) string { return fmt.Sprintf("%d-%d", p.Block, p.Index) }

// ParsePosition reads what FormatPosition writes.
func ParsePosition(s string) (p message.Position, ok bool) {
	block, index, ok := strings.Cut(s, "-")
	if !ok {
		return p, false
	}
	b, err := strconv.ParseUint(block, 10, 64)
	if err != nil {
		return p, false
	}
	i, err := strconv.ParseUint(index, 10, 32)
	return message.Position{Block: b, Index: uint32(i)}, err == nil
}

// Place returns the place that the offset means if end is the log's. Where Since is set, that is for Locate to find.
func (o Offset) Place(end message.Position) message.Position {
	if o.Latest {
		return end
	}
	return o.Position
}

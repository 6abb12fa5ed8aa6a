// Package erl reads what Erlang programs write: terms in the external term format, and Mnesia's backups, which are logs of
// such terms. Input may be anything: it is bounded, and what is wrong is an error.
//
// Formats: https://www.erlang.org/doc/apps/erts/erl_ext_dist.html; a log is a header and items, as disk_log writes them.
package erl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
)

// ErrTerm says that bytes are no term that is understood.
var ErrTerm = errors.New("not a term of Erlang's")

// Limits of one term.
const (
	maxDepth = 200
	maxTerms = 1_000_000 // within one; each takes some 60 bytes of memory
)

// Kind is what a term is.
type Kind uint8

// The kinds.
const (
	Int    Kind = iota + 1 // in Int
	Number                 // what Int does not hold, in Text: a float, or an integer of more than 64 bits
	Atom                   // in Text
	Binary                 // in Text
	String                 // a list of bytes, in Text
	Tuple                  // in Items
	List                   // in Items; what stands after the bar of an improper one is the last of them
	Map                    // in Items: key, value, key, value
	Other                  // a process, port, reference or function, of which nothing is kept
)

// Term is a term.
type Term struct {
	Kind  Kind
	Int   int64
	Text  string
	Items []Term
}

// IsAtom reports whether t is that atom.
func (t *Term) IsAtom(name string) bool { return t.Kind == Atom && t.Text == name }

// IsTuple reports whether t is a tuple of n items.
func (t *Term) IsTuple(n int) bool { return t.Kind == Tuple && len(t.Items) == n }

// Bytes returns the bytes of a binary or of a string, which Erlang keeps in either.
func (t *Term) Bytes() (string, bool) {
	if t.Kind == List && len(t.Items) == 0 {
		return "", true
	}
	return t.Text, t.Kind == Binary || t.Kind == String
}

// Get returns what a map has for an atom, or the zero Term.
func (t *Term) Get(key string) Term {
	if t.Kind != Map {
		return Term{}
	}
	for i := 0; i+1 < len(t.Items); i += 2 {
		if t.Items[i].IsAtom(key) {
			return t.Items[i+1]
		}
	}
	return Term{}
}

// Decode reads one term, with the version before it, and nothing else.
func Decode(data []byte) (Term, error) {
	if len(data) == 0 || data[0] != 131 {
		return Term{}, fmt.Errorf("%w: it does not begin with the version 131", ErrTerm)
	}
	d := decoder{data: data, at: 1}
	t := d.term(0)
	if d.err == nil && d.at != len(data) {
		d.fail("%d bytes after it", len(data)-d.at)
	}
	return t, d.err
}

// decoder reads terms. After an error it returns zeros.
type decoder struct {
	data  []byte
	at    int
	terms int
	err   error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: at byte %d: %s", ErrTerm, d.at, fmt.Sprintf(format, args...))
	}
}

// take returns the next n bytes.
func (d *decoder) take(n int) []byte {
	if d.err == nil && (n < 0 || n > len(d.data)-d.at) {
		d.fail("it is cut short")
	}
	if d.err != nil {
		return nil
	}
	b := d.data[d.at : d.at+n]
	d.at += n
	return b
}

// size reads a number of so many bytes, big end first.
func (d *decoder) size(bytes int) int {
	var n uint64
	for _, b := range d.take(bytes) {
		n = n<<8 | uint64(b)
	}
	if n > math.MaxInt32 {
		d.fail("a size of %d", n)
		return 0
	}
	return int(n)
}

// The tags of terms.
const (
	tagNewFloat     = 70
	tagBitBinary    = 77
	tagSmallInteger = 97
	tagInteger      = 98
	tagFloat        = 99
	tagAtom         = 100
	tagSmallTuple   = 104
	tagLargeTuple   = 105
	tagNil          = 106
	tagString       = 107
	tagList         = 108
	tagBinary       = 109
	tagSmallBig     = 110
	tagLargeBig     = 111
	tagSmallAtom    = 115
	tagMap          = 116
	tagAtomUTF8     = 118
	tagSmallUTF8    = 119
)

func (d *decoder) term(depth int) Term {
	if depth > maxDepth {
		d.fail("terms within terms, more than %d deep", maxDepth)
	}
	if d.terms++; d.terms > maxTerms {
		d.fail("more than %d terms in one", maxTerms)
	}
	tag := d.take(1)
	if d.err != nil {
		return Term{}
	}
	switch tag[0] {
	case tagSmallInteger:
		return Term{Kind: Int, Int: int64(d.size(1))}
	case tagInteger:
		if b := d.take(4); b != nil {
			return Term{Kind: Int, Int: int64(int32(binary.BigEndian.Uint32(b)))}
		}
	case tagAtom, tagAtomUTF8:
		return d.text(Atom, d.size(2))
	case tagSmallAtom, tagSmallUTF8:
		return d.text(Atom, d.size(1))
	case tagBinary:
		return d.text(Binary, d.size(4))
	case tagString:
		return d.text(String, d.size(2))
	case tagNil:
		return Term{Kind: List}
	case tagSmallTuple:
		return d.items(Tuple, d.size(1), depth)
	case tagLargeTuple:
		return d.items(Tuple, d.size(4), depth)
	case tagMap:
		return d.items(Map, 2*d.size(4), depth)
	case tagList:
		return d.list(depth)
	case tagSmallBig:
		return d.bigInteger(d.size(1))
	case tagLargeBig:
		return d.bigInteger(d.size(4))
	case tagNewFloat:
		if b := d.take(8); b != nil {
			return Term{Kind: Number, Text: strconv.FormatFloat(math.Float64frombits(binary.BigEndian.Uint64(b)), 'g', -1, 64)}
		}
	default:
		return d.other(tag[0], depth)
	}
	return Term{}
}

func (d *decoder) text(kind Kind, size int) Term { return Term{Kind: kind, Text: string(d.take(size))} }

// items reads so many terms. Memory is taken as they come, since a size may be a lie.
func (d *decoder) items(kind Kind, n, depth int) Term {
	t := Term{Kind: kind}
	if n > len(d.data)-d.at { // each takes a byte at least
		d.fail("%d items, which do not fit", n)
		return t
	}
	for range n {
		item := d.term(depth + 1)
		if d.err != nil {
			return Term{}
		}
		t.Items = append(t.Items, item)
	}
	return t
}

// list reads a list and its tail.
func (d *decoder) list(depth int) Term {
	t := d.items(List, d.size(4), depth)
	tail := d.term(depth + 1)
	if d.err == nil && (tail.Kind != List || len(tail.Items) > 0) {
		t.Items = append(t.Items, tail)
	}
	return t
}

// bigInteger reads an integer of so many bytes, little end first.
func (d *decoder) bigInteger(size int) Term {
	if size > 1<<16 {
		d.fail("an integer of %d bytes", size)
	}
	sign, b := d.take(1), d.take(size)
	if d.err != nil {
		return Term{}
	}
	turned := make([]byte, size)
	for i := range b {
		turned[size-1-i] = b[i]
	}
	n := new(big.Int).SetBytes(turned)
	if sign[0] != 0 {
		n.Neg(n)
	}
	if n.IsInt64() {
		return Term{Kind: Int, Int: n.Int64()}
	}
	return Term{Kind: Number, Text: n.Text(16)}
}

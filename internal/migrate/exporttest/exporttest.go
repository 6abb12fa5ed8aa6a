// Package exporttest makes data exports as EMQX writes them, for tests: terms in Erlang's external format, Mnesia's backups
// of tables, and the archive around them.
package exporttest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"
)

// What terms are made of, besides int, string and []byte, which become integers and binaries.
type (
	// Atom is an atom.
	Atom string
	// Charlist is a list of bytes.
	Charlist string
	// Tuple is a tuple.
	Tuple []any
	// List is a list.
	List []any
	// Map is a map: key, value, key, value.
	Map []any
	// Reference is a reference of no meaning.
	Reference struct{}
)

// Append appends a term, without the version.
func Append(b []byte, term any) []byte {
	u16, u32 := binary.BigEndian.AppendUint16, binary.BigEndian.AppendUint32
	all := func(items []any) {
		for _, item := range items {
			b = Append(b, item)
		}
	}
	switch t := term.(type) {
	case int:
		return appendInt(b, int64(t))
	case int64:
		return appendInt(b, t)
	case bool:
		return Append(b, Atom(fmt.Sprint(t)))
	case Atom:
		return append(append(b, 119, byte(len(t))), t...)
	case string:
		return append(u32(append(b, 109), uint32(len(t))), t...)
	case []byte:
		return append(u32(append(b, 109), uint32(len(t))), t...)
	case Charlist:
		return append(u16(append(b, 107), uint16(len(t))), t...)
	case Tuple:
		b = append(b, 104, byte(len(t)))
		all(t)
	case List:
		if len(t) > 0 {
			b = u32(append(b, 108), uint32(len(t)))
			all(t)
		}
		b = append(b, 106)
	case Map:
		b = u32(append(b, 116), uint32(len(t)/2))
		all(t)
	case Reference:
		b = Append(u16(append(b, 90), 2), Atom("emqx@127.0.0.1"))
		b = append(b, make([]byte, 4+8)...)
	default:
		panic(fmt.Sprintf("no term: %T", term))
	}
	return b
}

func appendInt(b []byte, n int64) []byte {
	switch {
	case n >= 0 && n < 256:
		return append(b, 97, byte(n))
	case n == int64(int32(n)):
		return binary.BigEndian.AppendUint32(append(b, 98), uint32(int32(n)))
	}
	sign, digits := byte(0), new(big.Int).Abs(big.NewInt(n)).Bytes()
	if n < 0 {
		sign = 1
	}
	slices.Reverse(digits)
	return append(append(b, 110, byte(len(digits)), sign), digits...)
}

// Table is Mnesia's backup of a table. Each record begins with the table's name.
func Table(name string, records ...Tuple) []byte {
	out := []byte{1, 2, 3, 4, 99, 88, 77, 11}
	out = AppendItem(out, Tuple{Atom("log_header"), Atom("backup_log"), Charlist("1.2"), Charlist("4.23"), Atom("emqx@127.0.0.1"), Tuple{1718, 714776, 923630}})
	out = AppendItem(out, Tuple{Atom("schema"), Atom(name), List{
		Tuple{Atom("name"), Atom(name)}, Tuple{Atom("type"), Atom("ordered_set")}, Tuple{Atom("ram_copies"), List{}},
		Tuple{Atom("cookie"), Tuple{Tuple{int64(1718714776923630), int64(-576460752303423407), 1}, Atom("emqx@127.0.0.1")}},
	}})
	for _, r := range records {
		out = AppendItem(out, append(Tuple{Atom(name)}, r...))
	}
	return out
}

// AppendItem appends an item of a log.
func AppendItem(out []byte, term any) []byte {
	body := Append([]byte{131}, term)
	size := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	out = append(append(out, size...), "bWLA"...)
	if len(body) >= 65528 {
		sum := md5.Sum(size)
		out = append(out, sum[:]...)
	}
	return append(out, body...)
}

// File is one of an archive.
type File struct {
	Name string // within the archive, below its directory
	Body []byte
}

// Archive is a data export with files in it, and META.hocon before them.
func Archive(files ...File) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for _, f := range append([]File{{"META.hocon", []byte("edition = ce\nversion = \"5.8.1\"\n")}}, files...) {
		must(w.WriteHeader(&tar.Header{Name: "emqx-export-2026-11-30-12-00-00.000/" + f.Name, Mode: 0o644, Size: int64(len(f.Body))}))
		_, err := w.Write(f.Body)
		must(err)
	}
	must(w.Close())
	must(z.Close())
	return out.Bytes()
}

func must(err error) {
	if err != nil {
		panic(err) // nothing is written but to memory
	}
}

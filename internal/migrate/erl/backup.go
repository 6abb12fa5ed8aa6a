package erl

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
)

// ErrBackup says that bytes are no backup of Mnesia's, or not all of one.
var ErrBackup = errors.New("not a backup of Mnesia's")

// What a log begins with, and each item of one.
const (
	logMagic    = 0x01020304
	logOpened   = 0x06070809
	logClosed   = 0x63584D0B
	itemMagic   = 0x62574C41
	olderMagic  = 0x0C212C37
	summedBytes = 65528 // an item from that size on has the MD5 of its size before it
)

// maxItemBytes is the most that one record takes: MQTT's largest message, and what is said of it.
const maxItemBytes = 256<<20 + 1<<20

// Records reads the records of a backup one by one. A record is a tuple: the name of the table, the key and so on, as the
// table has them. What says how tables are made is left out. After an error there are no more.
func Records(r io.Reader) iter.Seq2[Term, error] {
	return func(yield func(Term, error) bool) {
		if err := readHeader(r); err != nil {
			yield(Term{}, err)
			return
		}
		var buffer bytes.Buffer
		for n := 0; ; n++ {
			item, err := readItem(r, &buffer)
			if err == io.EOF { //nolint:errorlint // readItem returns it as it is
				if n > 0 {
					return
				}
				err = fmt.Errorf("%w: there is nothing in it", ErrBackup)
			}
			var t Term
			if err == nil {
				t, err = Decode(item)
			}
			if err == nil && n == 0 && (t.Kind != Tuple || len(t.Items) < 3 || !t.Items[0].IsAtom("log_header") || !t.Items[1].IsAtom("backup_log")) {
				err = fmt.Errorf("%w: its first record does not say so", ErrBackup)
			}
			if err != nil {
				yield(Term{}, fmt.Errorf("record %d: %w", n, err))
				return
			}
			if n == 0 || t.Kind != Tuple || len(t.Items) < 3 || t.Items[0].IsAtom("schema") {
				continue
			}
			if !yield(t, nil) {
				return
			}
		}
	}
}

func readHeader(r io.Reader) error {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return fmt.Errorf("%w: %w", ErrBackup, err)
	}
	state := binary.BigEndian.Uint32(head[4:])
	if binary.BigEndian.Uint32(head[:]) != logMagic || state != logOpened && state != logClosed {
		return fmt.Errorf("%w: it does not begin as one", ErrBackup)
	}
	return nil
}

// readItem reads the next item of a log. io.EOF alone: there is none. What it returns is good until the next call.
func readItem(r io.Reader, buffer *bytes.Buffer) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if err == io.EOF { //nolint:errorlint // as io.ReadFull has it: nothing was read
			return nil, io.EOF
		}
		return nil, fmt.Errorf("%w: within a record: %w", ErrBackup, err)
	}
	size := binary.BigEndian.Uint32(head[:])
	magic := binary.BigEndian.Uint32(head[4:])
	if magic != itemMagic && magic != olderMagic {
		return nil, fmt.Errorf("%w: no record where one should begin", ErrBackup)
	}
	if size > maxItemBytes {
		return nil, fmt.Errorf("%w: a record of %d bytes; at most %d are read", ErrBackup, size, maxItemBytes)
	}
	if magic == itemMagic && size >= summedBytes {
		var sum [md5.Size]byte
		if _, err := io.ReadFull(r, sum[:]); err != nil || sum != md5.Sum(head[:4]) {
			return nil, fmt.Errorf("%w: the size of a record is not what its sum says", ErrBackup)
		}
	}
	buffer.Reset()
	if n, err := io.CopyN(buffer, r, int64(size)); err != nil {
		return nil, fmt.Errorf("%w: %d bytes into a record of %d: %w", ErrBackup, n, size, err)
	}
	return buffer.Bytes(), nil
}

package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/summary"
	"github.com/barid-mqtt/barid/pkg/vfs"
)

// A span's file is named <first>-<next>.sum, 20 digits each: it is of the blocks from first up to the one before next.
// Numbers are little endian:
//
//	 0  "BARIDSUM" (8)
//	 8  version (4): 1
//	12  number of runs (4)
//	16  first (8)
//	24  for each run: the sequence after it (8), the length of its summary (4), the summary
//	    CRC-32C of all before (4)
//
// The files hold nothing that the log does not, so they are written without a sync, and one that is damaged, of another
// version or missing is no loss.
const (
	summariesName    = "summaries"
	summaryExtension = ".sum"
	summaryMagic     = "BARIDSUM"
	summaryVersion   = 1
	summaryHeader    = 24
)

var summaryTable = crc32.MakeTable(crc32.Castagnoli)

func (e *Engine) spanName(s span) string {
	return filepath.Join(e.options.Dir, summariesName, fmt.Sprintf("%020d-%020d%s", s.first, s.next, summaryExtension))
}

func (s *span) encode() []byte {
	b := append([]byte(nil), summaryMagic...)
	b = binary.LittleEndian.AppendUint32(b, summaryVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s.runs)))
	b = binary.LittleEndian.AppendUint64(b, s.first)
	for _, r := range s.runs {
		b = binary.LittleEndian.AppendUint64(b, r.next)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(r.summary)))
		b = append(b, r.summary...)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, summaryTable))
}

var errSummary = errors.New("not a valid summary of this version")

// decodeSpan reads the runs of a span. They point into b.
func decodeSpan(s span, b []byte) ([]run, error) {
	if len(b) < summaryHeader+4 || string(b[:8]) != summaryMagic || binary.LittleEndian.Uint32(b[8:]) != summaryVersion {
		return nil, errSummary
	}
	body := b[:len(b)-4]
	n, first := binary.LittleEndian.Uint32(b[12:]), binary.LittleEndian.Uint64(b[16:])
	if crc32.Checksum(body, summaryTable) != binary.LittleEndian.Uint32(b[len(body):]) || first != s.first {
		return nil, errSummary
	}
	var runs []run
	at := first
	for rest := body[summaryHeader:]; len(rest) > 0; {
		if len(rest) < 12 {
			return nil, errSummary
		}
		r := run{next: binary.LittleEndian.Uint64(rest)}
		size := binary.LittleEndian.Uint32(rest[8:])
		if rest = rest[12:]; uint64(size) > uint64(len(rest)) || r.next <= at || !summary.IsSummary(rest[:size]) {
			return nil, errSummary
		}
		r.summary, rest, at = rest[:size:size], rest[size:], r.next
		runs = append(runs, r)
	}
	if at != s.next || len(runs) != int(n) {
		return nil, errSummary
	}
	return runs, nil
}

// readSpan reads the runs of a span into dst's memory, if that suffices, and returns the memory that they are in.
func (e *Engine) readSpan(s *span, dst []byte) ([]byte, error) {
	name := e.spanName(*s)
	b, err := vfs.ReadFileInto(dst, e.options.FS, name)
	if err != nil {
		return nil, err
	}
	s.runs, err = decodeSpan(*s, b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

// writeSpan writes a span's file, if there is room.
func (e *Engine) writeSpan(s *span) error {
	if err := e.options.roomForState(); err != nil {
		return err
	}
	name := e.spanName(*s)
	fsys := e.options.FS
	f, err := fsys.Create(name)
	if errors.Is(err, fs.ErrExist) { // of a time before the log lost its end, and left by a removal that was not durable
		if err := fsys.Remove(name); err != nil {
			return err
		}
		f, err = fsys.Create(name)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteAt(s.encode(), 0)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, fsys.Remove(name))
	}
	return nil
}

func (e *Engine) removeSpans(gone []span) error {
	for _, s := range gone {
		if err := e.options.FS.Remove(e.spanName(s)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("storage: remove a summary: %w", err)
		}
	}
	return nil
}

// openSummaries finds the spans, and removes those that are not of the log as it is: the log may have lost its end, and
// other blocks come there.
func (e *Engine) openSummaries() error {
	dir := filepath.Join(e.options.Dir, summariesName)
	fsys := e.options.FS
	if err := fsys.MkdirAll(dir); err != nil {
		return fmt.Errorf("storage: make %s: %w", dir, err)
	}
	names, err := fsys.List(dir)
	if err != nil {
		return fmt.Errorf("storage: list %s: %w", dir, err)
	}
	s := &e.summaries
	removed := false
	for _, name := range names { // in order
		found, ok := parseSpanName(name)
		last := len(s.files) - 1
		if ok && found.next <= e.log.next && found.next > e.log.first && (last < 0 || s.files[last].next <= found.first) {
			s.files = append(s.files, found)
			continue
		}
		if err := fsys.Remove(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("storage: remove an old summary: %w", err)
		}
		removed = true
	}
	if removed {
		if err := fsys.SyncDir(dir); err != nil {
			return fmt.Errorf("storage: remove old summaries: %w", err)
		}
	}
	return e.continueSummaries()
}

// continueSummaries has the summarizer go on where the files end, unless that is far from the log's end.
func (e *Engine) continueSummaries() error {
	s := &e.summaries
	next := e.log.first
	if n := len(s.files); n > 0 {
		next = max(next, s.files[n-1].next)
	}
	start := e.log.end
	if next < e.log.next {
		var err error
		if start, err = e.startOf(next); err != nil {
			return err
		}
	}
	if e.log.end-start > summaryGap {
		next, start = e.log.next, e.log.end
	}
	s.restart(next)
	s.upTo.Store(start)
	if e.log.end-start >= e.options.summaryStep {
		signal(s.wake)
	}
	return nil
}

func parseSpanName(name string) (s span, ok bool) {
	name, ok = strings.CutSuffix(name, summaryExtension)
	first, next, dash := strings.Cut(name, "-")
	if !ok || !dash || len(first) != 20 || len(next) != 20 {
		return s, false
	}
	var err1, err2 error
	s.first, err1 = strconv.ParseUint(first, 10, 64)
	s.next, err2 = strconv.ParseUint(next, 10, 64)
	return s, err1 == nil && err2 == nil && s.first < s.next
}

// eachRecord calls fn for the encoded records of a block, with their topics. Both point into b.
func eachRecord(h *header, b []byte, fn func(i int, topic, encoded []byte) error) error {
	rest := b[blockHeader : blockHeader+h.recordBytes]
	for i := range int(h.records) {
		if len(rest) < 4 {
			return errBlock
		}
		n := binary.LittleEndian.Uint32(rest)
		if rest = rest[4:]; uint64(n) > uint64(len(rest)) {
			return errBlock
		}
		topic, err := message.EncodedTopic(rest[:n])
		if err != nil {
			return fmt.Errorf("%w: %w", errBlock, err)
		}
		if err := fn(i, topic, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

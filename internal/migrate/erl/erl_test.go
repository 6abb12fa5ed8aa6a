package erl

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/barid-mqtt/barid/internal/migrate/exporttest"
)

func (t Term) String() string {
	switch t.Kind {
	case Int:
		return fmt.Sprint(t.Int)
	case Binary:
		return fmt.Sprintf("<<%q>>", t.Text)
	case String:
		return fmt.Sprintf("%q", t.Text)
	case Tuple, List, Map:
		parts := make([]string, len(t.Items))
		for i, item := range t.Items {
			parts[i] = item.String()
		}
		brackets := map[Kind]string{Tuple: "{}", List: "[]", Map: "()"}[t.Kind]
		return brackets[:1] + strings.Join(parts, ",") + brackets[1:]
	case Other:
		return "other"
	}
	return t.Text
}

// The bytes are those of the format's description.
func TestDecode(t *testing.T) {
	for data, want := range map[string]string{
		"\x83a\xff":                                            "255",
		"\x83b\xff\xff\xff\xfe":                                "-2",
		"\x83n\x06\x00\x29\xfa\x61\x2b\x90\x01":                "1718714759721",
		"\x83n\x08\x01\xfc\xff\xff\xff\xff\xff\xff\x07":        "-576460752303423484",
		"\x83n\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01":    "10000000000000000",
		"\x83o\x00\x00\x00\x01\x01\x05":                        "-5",
		"\x83w\x02ok":                                          "ok",
		"\x83d\x00\x02ok":                                      "ok",
		"\x83v\x00\x02\xc3\xa9":                                "é",
		"\x83s\x02ok":                                          "ok",
		"\x83m\x00\x00\x00\x03a\x00b":                          `<<"a\x00b">>`,
		"\x83M\x00\x00\x00\x01\x03\xa0":                        `<<"\xa0">>`,
		"\x83k\x00\x02hi":                                      `"hi"`,
		"\x83j":                                                "[]",
		"\x83l\x00\x00\x00\x01a\x01j":                          "[1]",
		"\x83l\x00\x00\x00\x01a\x01a\x02":                      "[1,2]",
		"\x83h\x02a\x01h\x00":                                  "{1,{}}",
		"\x83i\x00\x00\x00\x01a\x01":                           "{1}",
		"\x83t\x00\x00\x00\x01w\x01ka\x01":                     "(k,1)",
		"\x83F\x3f\xf8\x00\x00\x00\x00\x00\x00":                "1.5",
		"\x83X" + "w\x01n" + strings.Repeat("\x00", 12):        "other",
		"\x83Z\x00\x01" + "w\x01n" + strings.Repeat("\x00", 8): "other",
		"\x83q" + "w\x01m" + "w\x01f" + "a\x01":                "other",
		"\x83p\x00\x00\x00\x06ab":                              "other",
	} {
		got, err := Decode([]byte(data))
		if err != nil || got.String() != want {
			t.Errorf("%q: %s %v, want %s", data, got, err, want)
		}
		for n := range len(data) {
			if _, err := Decode([]byte(data[:n])); !errors.Is(err, ErrTerm) {
				t.Errorf("%q cut after %d bytes: %v", data, n, err)
			}
		}
		if _, err := Decode([]byte(data + "\x00")); !errors.Is(err, ErrTerm) {
			t.Errorf("%q with a byte after it: %v", data, err)
		}
	}
}

func TestHostileTermsAreErrors(t *testing.T) {
	for what, data := range map[string]string{
		"tuples within tuples":   "\x83" + strings.Repeat("h\x01", 10_000) + "j",
		"lists within lists":     "\x83" + strings.Repeat("l\x00\x00\x00\x01", 10_000) + "j",
		"nodes within nodes":     "\x83" + strings.Repeat("X", 10_000),
		"a list that is a lie":   "\x83l\x7f\xff\xff\xff" + strings.Repeat("j", 100),
		"a map that is a lie":    "\x83t\x7f\xff\xff\xffj",
		"a binary that is":       "\x83m\xff\xff\xff\xffx",
		"an integer that is":     "\x83o\x7f\xff\xff\xff\x00x",
		"more terms than wanted": "\x83l\x00\x10\x00\x00" + strings.Repeat("j", 1<<20) + "j",
		"a function of no size":  "\x83p\x00\x00\x00\x00",
		"compressed":             "\x83P\x00\x00\x00\x01",
	} {
		if _, err := Decode([]byte(data)); !errors.Is(err, ErrTerm) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func records(data []byte) (got []string, err error) {
	for t, e := range Records(iotest.OneByteReader(bytes.NewReader(data))) {
		if e != nil {
			return got, e
		}
		got = append(got, t.String())
	}
	return got, nil
}

func TestRecords(t *testing.T) {
	large := strings.Repeat("x", 70_000)
	data := exporttest.Table("tab", exporttest.Tuple{"key", "value"}, exporttest.Tuple{"large", large}, exporttest.Tuple{"deleted"}, exporttest.Tuple{1, 2})
	got, err := records(data)
	want := []string{`{tab,<<"key">>,<<"value">>}`, fmt.Sprintf("{tab,<<%q>>,<<%q>>}", "large", large), "{tab,1,2}"}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%.200q %v", got, err)
	}
	if got, err := records(exporttest.Table("tab")); err != nil || got != nil {
		t.Errorf("an empty table: %q %v", got, err)
	}
	// What is cut within a record is an error; what is cut between two cannot be told from all of it.
	for n := range len(data) - 1 {
		got, err := records(data[:n])
		if err != nil && !errors.Is(err, ErrBackup) || err == nil && len(got) >= len(want) {
			t.Fatalf("cut after %d bytes: %d records, %v", n, len(got), err)
		}
		if n == 200 {
			break
		}
	}
}

func TestWhatIsNoBackupIsAnError(t *testing.T) {
	good := exporttest.Table("tab")
	other := []byte{1, 2, 3, 4, 6, 7, 8, 9}
	for what, data := range map[string][]byte{
		"nothing":                nil,
		"another file":           []byte("#!/bin/sh\nexit\n"),
		"no item":                other,
		"another log":            exporttest.AppendItem(other, exporttest.Tuple{exporttest.Atom("log_header"), exporttest.Atom("trans_log"), 1}),
		"another item":           append(bytes.Clone(good), "\x00\x00\x00\x01abcdx"...),
		"an item that is a lie":  append(bytes.Clone(good), "\x0f\x00\x00\x00bWLAx"...),
		"a size without its sum": append(bytes.Clone(good), "\x00\x01\x00\x00bWLA"+strings.Repeat("x", 1<<17)...),
		"an item past the bound": append(bytes.Clone(good), "\x7f\xff\xff\xffbWLA"...),
	} {
		if _, err := records(data); !errors.Is(err, ErrBackup) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAReadersErrorIsNotTheEndOfATable(t *testing.T) {
	broken := errors.New("the disk is gone")
	data := exporttest.Table("tab", exporttest.Tuple{"key", "value"})
	for _, err := range Records(io.MultiReader(bytes.NewReader(data), iotest.ErrReader(broken))) {
		if err != nil {
			if !errors.Is(err, broken) {
				t.Error(err)
			}
			return
		}
	}
	t.Error("no error")
}

func FuzzDecode(f *testing.F) {
	f.Add(exporttest.Append([]byte{131}, exporttest.Tuple{exporttest.Atom("a"), "b", 1, int64(1) << 40, exporttest.List{1, exporttest.Charlist("x")}, exporttest.Map{1, 2}, exporttest.Reference{}}))
	f.Add([]byte("\x83F\x3f\xf8\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := Decode(data); err != nil && !errors.Is(err, ErrTerm) {
			t.Fatalf("the error %v", err)
		}
	})
}

func FuzzRecords(f *testing.F) {
	f.Add(exporttest.Table("tab", exporttest.Tuple{"key", "value"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, err := range Records(bytes.NewReader(data)) {
			if err != nil && !errors.Is(err, ErrBackup) && !errors.Is(err, ErrTerm) {
				t.Fatalf("the error %v", err)
			}
		}
	})
}

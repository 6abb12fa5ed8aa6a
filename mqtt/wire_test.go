package mqtt

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestVarint(t *testing.T) {
	for _, row := range []struct {
		n    uint32
		want string
	}{
		{0, "\x00"}, {1, "\x01"}, {127, "\x7f"}, {128, "\x80\x01"}, {16_383, "\xff\x7f"}, {16_384, "\x80\x80\x01"},
		{2_097_151, "\xff\xff\x7f"}, {2_097_152, "\x80\x80\x80\x01"}, {MaxRemaining, "\xff\xff\xff\x7f"},
	} {
		got := AppendVarint([]byte{9}, row.n)
		if string(got[1:]) != row.want || got[0] != 9 || VarintLen(row.n) != len(row.want) {
			t.Errorf("%d: got %x with length %d, want %x", row.n, got[1:], VarintLen(row.n), row.want)
		}
		value, n, bad := readVarint(append(got[1:], 0xAA))
		if value != row.n || n != len(row.want) || bad != nil {
			t.Errorf("%x: read %d of %d bytes, %v", row.want, value, n, bad)
		}
		for cut := range row.want {
			if _, n, bad := readVarint([]byte(row.want[:cut])); n != 0 || bad != nil {
				t.Errorf("%x cut to %d bytes: %d, %v", row.want, cut, n, bad)
			}
		}
	}
}

func TestAppendStringNeverLiesAboutItsLength(t *testing.T) {
	if got := AppendString([]byte("x"), "ab"); string(got) != "x\x00\x02ab" {
		t.Errorf("got %q", got)
	}
	got := AppendString(nil, bytes.Repeat([]byte("a"), MaxStringBytes+1))
	if len(got) != 2+MaxStringBytes || got[0] != 0xFF || got[1] != 0xFF {
		t.Errorf("got %d bytes that begin with %x", len(got), got[:2])
	}
}

// TestCharactersAtEachPlace puts each byte and some sequences at each place of topics of each length around the eight bytes
// that are looked at together, and compares with what the standard library says.
func TestCharactersAtEachPlace(t *testing.T) {
	bits := []string{"é", "温", "😀", "\ufeff", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80", "+/", "/#"}
	for c := range 256 {
		bits = append(bits, string([]byte{byte(c)}))
	}
	for length := range 26 {
		for place := range length + 1 {
			for _, bit := range bits {
				s := []byte(strings.Repeat("a", place) + bit + strings.Repeat("b", length-place))
				text := utf8.Valid(s) && !bytes.Contains(s, []byte{0})
				if got := checkText(s) == nil; got != text {
					t.Fatalf("checkText(%q): %v", s, got)
				}
				if got := ValidTopicName(s); got != (text && !bytes.ContainsAny(s, "+#")) {
					t.Fatalf("ValidTopicName(%q): %v", s, got)
				}
			}
		}
	}
	if ValidTopicName(nil) || checkText(nil) != nil {
		t.Error("the empty string is a topic name, or no string")
	}
}

func TestDecodeHeader(t *testing.T) {
	for _, row := range []struct {
		bytes string
		want  Header
		n     int
	}{
		{"\xc0\x00", Header{Type: PINGREQ}, 2},
		{"\x3b\x05rest", Header{PUBLISH, 0x0B, 5}, 2},
		{"\x82\x80\x01", Header{SUBSCRIBE, 2, 128}, 3},
		{"\x30\xff\xff\xff\x7f", Header{PUBLISH, 0, MaxRemaining}, 5},
	} {
		h, n, err := DecodeHeader([]byte(row.bytes))
		if h != row.want || n != row.n || err != nil {
			t.Errorf("%x: %+v of %d bytes, %v", row.bytes, h, n, err)
		}
	}
	if _, _, err := DecodeHeader([]byte{0x30, 0x80}); !errors.Is(err, ErrIncomplete) {
		t.Errorf("half a header: %v", err)
	}
}

func FuzzDecodeHeader(f *testing.F) {
	f.Add([]byte("\x30\xff\xff\xff\x7f"))
	f.Add([]byte("\x30\x80\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := DecodeHeader(b)
		if err != nil {
			if h != (Header{}) || n != 0 {
				t.Errorf("%x: %+v of %d bytes comes with %v", b, h, n, err)
			}
			return
		}
		again := AppendVarint([]byte{byte(h.Type)<<4 | h.Flags}, h.Remaining)
		if !bytes.Equal(again, b[:n]) {
			t.Errorf("%x: decoded from %x", again, b[:n])
		}
	})
}

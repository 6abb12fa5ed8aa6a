package message

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

func samples() []*Message {
	return []*Message{
		{},
		{Topic: "a"},
		{Topic: "a/b", Payload: []byte("payload"), QoS: mqtt.AtLeastOnce},
		{
			Topic: "site/42/temperature", Payload: bytes.Repeat([]byte{0, 0xFF}, 300), Properties: []byte{1, 1}, QoS: mqtt.ExactlyOnce,
			Retain: true, PublishedAt: time.Unix(1_700_000_000, 5), ExpiresAt: time.Unix(5_900_000_000, 0), ClientID: "c", Username: "u",
		},
		{Topic: "t", PublishedAt: time.Unix(0, 0), ExpiresAt: time.Unix(0, -1)},
	}
}

func TestDecodeBringsBackWhatWasEncoded(t *testing.T) {
	for i, m := range samples() {
		b := AppendEncoded([]byte("before"), m, uint16(i*1000))
		if got := len(b) - len("before"); got > EncodedBound(m) {
			t.Errorf("message %d takes %d bytes, more than the bound of %d", i, got, EncodedBound(m))
		}
		got, id, err := Decode(b[len("before"):])
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if id != uint16(i*1000) || !reflect.DeepEqual(got, m) {
			t.Errorf("message %d: %+v came back as %+v with packet identifier %d", i, m, got, id)
		}
	}
}

func TestDecodeRefusesWhatIsNotWhole(t *testing.T) {
	b := AppendEncoded(nil, samples()[3], 65535)
	for n := range len(b) {
		if m, _, err := Decode(b[:n:n]); !errors.Is(err, ErrEncoding) {
			t.Fatalf("the first %d of %d bytes: %+v, %v", n, len(b), m, err)
		}
	}
	small := AppendEncoded(nil, samples()[1], 1)
	for name, b := range map[string][]byte{
		"a byte too many":       append(bytes.Clone(b), 0),
		"a coming version":      append([]byte{EncodingVersion + 1}, small[1:]...),
		"a coming flag":         append([]byte{EncodingVersion, 0x20}, small[2:]...),
		"QoS 3":                 append([]byte{EncodingVersion, 3}, small[2:]...),
		"packet identifier":     append([]byte{EncodingVersion, 0, 0x80, 0x80, 0x04}, small[3:]...),
		"an endless number":     append([]byte{EncodingVersion, 0}, bytes.Repeat([]byte{0xFF}, 20)...),
		"a length past the end": {EncodingVersion, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F},
	} {
		if m, _, err := Decode(b); !errors.Is(err, ErrEncoding) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

func TestDecodeAllocatesTheMessageOnly(t *testing.T) {
	b := AppendEncoded(nil, samples()[3], 7)
	if n := testing.AllocsPerRun(100, func() {
		if _, _, err := Decode(b); err != nil {
			t.Error(err)
		}
	}); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzDecode checks that no bytes do harm, and that those which are a message come out as one that encodes to the same.
func FuzzDecode(f *testing.F) {
	for i, m := range samples() {
		f.Add(AppendEncoded(nil, m, uint16(i)))
	}
	f.Add([]byte{EncodingVersion, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F})
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		m, id, err := Decode(b)
		if !bytes.Equal(b, before) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			if !errors.Is(err, ErrEncoding) || m != nil {
				t.Errorf("%+v, %v", m, err)
			}
			return
		}
		again, againID, err := Decode(AppendEncoded(nil, m, id))
		if err != nil || againID != id || !reflect.DeepEqual(again, m) {
			t.Errorf("%+v came back as %+v, %v", m, again, err)
		}
	})
}

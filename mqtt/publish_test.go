package mqtt

import (
	"errors"
	"reflect"
	"slices"
	"testing"
)

// publishBody returns the header and body of a PUBLISH such as a device sends: QoS 1, 256 bytes.
func publishBody(tb testing.TB, v Version, p PublishProperties) (Header, []byte) {
	tb.Helper()
	x := Publish{QoS: AtLeastOnce, PacketID: 7, Topic: []byte("devices/house-17/floor-2/temp"), Properties: p, Payload: make([]byte, 256)}
	b, err := x.AppendTo(nil, v)
	if err != nil {
		tb.Fatal(err)
	}
	h, n, err := DecodeHeader(b)
	if err != nil {
		tb.Fatal(err)
	}
	return h, b[n:]
}

// manyProperties are all that a PUBLISH can have, user properties twice.
func manyProperties() PublishProperties {
	return PublishProperties{
		Present:       forwarded | 1<<PropMessageExpiry | 1<<PropTopicAlias,
		PayloadFormat: 1, MessageExpirySeconds: 60, TopicAlias: 3,
		ResponseTopic: []byte("answers/here"), CorrelationData: []byte{0, 1, 2}, ContentType: []byte("application/json"),
		User:            AppendUserProperty(AppendUserProperty(nil, "trace", "4711"), "trace", "4712"),
		SubscriptionIDs: []uint32{1, 2, 3},
	}
}

func TestPublishDecodeAllocatesNothing(t *testing.T) {
	var x Publish
	for name, p := range map[string]PublishProperties{"none": {}, "many": manyProperties()} {
		h, body := publishBody(t, V5, p)
		if err := x.Decode(h, body, V5); err != nil { // makes room for subscription identifiers
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { err := x.Decode(h, body, V5); _ = err }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestPublishDecodeForgetsWhatWasThere(t *testing.T) {
	var x Publish
	h, body := publishBody(t, V5, manyProperties())
	if err := x.Decode(h, body, V5); err != nil {
		t.Fatal(err)
	}
	if want := manyProperties(); !reflect.DeepEqual(x.Properties, want) {
		t.Fatalf("got %+v\nwant %+v", x.Properties, want)
	}
	ids := x.Properties.SubscriptionIDs
	if err := x.Decode(Header{Type: PUBLISH, Remaining: 4}, []byte("\x00\x01a\x00"), V5); err != nil {
		t.Fatal(err)
	}
	if &x.Properties.SubscriptionIDs[:1][0] != &ids[0] {
		t.Error("the room for subscription identifiers is gone")
	}
	x.Properties.SubscriptionIDs = nil
	if want := (Publish{Topic: []byte("a"), Payload: []byte{}}); !reflect.DeepEqual(x, want) {
		t.Errorf("got %+v\nwant %+v", x, want)
	}
}

func TestDecodedSlicesCannotGrowIntoTheBody(t *testing.T) {
	h, body := publishBody(t, V5, manyProperties())
	before := slices.Clone(body)
	var x Publish
	if err := x.Decode(h, body, V5); err != nil {
		t.Fatal(err)
	}
	p := &x.Properties
	for _, s := range [][]byte{x.Topic, x.Payload, p.ResponseTopic, p.CorrelationData, p.ContentType, p.User} {
		_ = append(s, "overwrites"...)
	}
	if !slices.Equal(body, before) {
		t.Error("appending to a field changed the body")
	}
}

func TestForward(t *testing.T) {
	p := manyProperties()
	b := p.AppendForward([]byte("x"))
	got, err := DecodeForward(b[1:])
	if err != nil || b[0] != 'x' {
		t.Fatal(err)
	}
	want := manyProperties()
	want.Present, want.MessageExpirySeconds, want.TopicAlias, want.SubscriptionIDs = forwarded, 0, 0, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if b := new(PublishProperties).AppendForward(nil); b != nil {
		t.Errorf("no properties are %x", b)
	}
}

func TestForwardHasNothingElse(t *testing.T) {
	for name, b := range map[string]string{
		"message expiry": "\x02\x00\x00\x00\x01", "topic alias": "\x23\x00\x01", "subscription identifier": "\x0b\x01",
		"session expiry": "\x11\x00\x00\x00\x01", "cut short": "\x01", "twice": "\x01\x00\x01\x00", "will delay": "\x18\x00\x00\x00\x01",
	} {
		var e *DecodeError
		if p, err := DecodeForward([]byte(b)); !errors.As(err, &e) || !reflect.DeepEqual(p, PublishProperties{}) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func BenchmarkPublishDecode(b *testing.B) {
	for _, row := range []struct {
		name       string
		version    Version
		properties PublishProperties
	}{
		{"3.1.1", V311, PublishProperties{}},
		{"5.0", V5, PublishProperties{}},
		{"5.0/properties", V5, manyProperties()},
	} {
		b.Run(row.name, func(b *testing.B) {
			h, body := publishBody(b, row.version, row.properties)
			var x Publish
			b.ReportAllocs()
			for b.Loop() {
				if err := x.Decode(h, body, row.version); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeHeader(b *testing.B) {
	header := []byte{0x32, 0xA3, 0x02}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := DecodeHeader(header); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPubackDecode(b *testing.B) {
	var x Puback
	body := []byte{1, 2}
	b.ReportAllocs()
	for b.Loop() {
		if err := x.Decode(Header{Type: PUBACK, Remaining: 2}, body, V5); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPubackAppendTo(b *testing.B) {
	x := Puback{Ack{PacketID: 7}}
	dst := make([]byte, 0, 8)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.AppendTo(dst, V5); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPublishAppendTo(b *testing.B) {
	x := Publish{QoS: AtLeastOnce, PacketID: 7, Topic: []byte("devices/house-17/floor-2/temp"), Payload: make([]byte, 256)}
	dst := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.AppendTo(dst, V5); err != nil {
			b.Fatal(err)
		}
	}
}

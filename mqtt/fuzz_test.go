package mqtt_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/barid-mqtt/barid/mqtt"
)

// fuzzPacket fuzzes the packets of one type: what decodes must encode, and decode again as the same. Seeds are the vectors
// of that type.
func fuzzPacket(f *testing.F, typ mqtt.Type) {
	for _, vectors := range readVectors(f) {
		for _, v := range vectors {
			h, n, err := mqtt.DecodeHeader(v.packet)
			if err == nil && h.Type == typ {
				f.Add(h.Flags, v.packet[n:], uint8(v.version))
			}
		}
	}
	f.Fuzz(func(t *testing.T, flags uint8, body []byte, level uint8) {
		v := mqtt.V31 + mqtt.Version(level)%3
		h := mqtt.Header{Type: typ, Flags: flags & 0x0F, Remaining: uint32(len(body))}
		before := bytes.Clone(body)
		packet, err := mqtt.Decode(h, body, v)
		if !bytes.Equal(body, before) {
			t.Fatalf("decoding changed %x to %x", before, body)
		}
		if err != nil {
			var e *mqtt.DecodeError
			if !errors.As(err, &e) || !e.Code.Failed() || e.Packet != typ || e.Offset < 0 || e.Offset > len(body) {
				t.Fatalf("%v %x: %#v", v, body, err)
			}
			return
		}
		if c, ok := packet.(*mqtt.Connect); ok {
			v = c.Version
		}
		checkRoundTrip(t, v.String(), packet, v)
	})
}

func FuzzConnect(f *testing.F)     { fuzzPacket(f, mqtt.CONNECT) }
func FuzzConnack(f *testing.F)     { fuzzPacket(f, mqtt.CONNACK) }
func FuzzPublish(f *testing.F)     { fuzzPacket(f, mqtt.PUBLISH) }
func FuzzPuback(f *testing.F)      { fuzzPacket(f, mqtt.PUBACK) }
func FuzzPubrec(f *testing.F)      { fuzzPacket(f, mqtt.PUBREC) }
func FuzzPubrel(f *testing.F)      { fuzzPacket(f, mqtt.PUBREL) }
func FuzzPubcomp(f *testing.F)     { fuzzPacket(f, mqtt.PUBCOMP) }
func FuzzSubscribe(f *testing.F)   { fuzzPacket(f, mqtt.SUBSCRIBE) }
func FuzzSuback(f *testing.F)      { fuzzPacket(f, mqtt.SUBACK) }
func FuzzUnsubscribe(f *testing.F) { fuzzPacket(f, mqtt.UNSUBSCRIBE) }
func FuzzUnsuback(f *testing.F)    { fuzzPacket(f, mqtt.UNSUBACK) }
func FuzzPingreq(f *testing.F)     { fuzzPacket(f, mqtt.PINGREQ) }
func FuzzPingresp(f *testing.F)    { fuzzPacket(f, mqtt.PINGRESP) }
func FuzzDisconnect(f *testing.F)  { fuzzPacket(f, mqtt.DISCONNECT) }
func FuzzAuth(f *testing.F)        { fuzzPacket(f, mqtt.AUTH) }

func FuzzDecodeForward(f *testing.F) {
	f.Add([]byte("\x01\x01\x03\x00\x04text\x26\x00\x01k\x00\x01v"))
	f.Add([]byte("\x26\x00\x01k\x00\x01v\x01\x00\x26\x00\x01k\x00\x01v"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := mqtt.DecodeForward(b)
		if err != nil {
			return
		}
		once := p.AppendForward(nil)
		p, err = mqtt.DecodeForward(once)
		if err != nil || len(once) != len(b) {
			t.Fatalf("%x: encoded as %x: %v", b, once, err)
		}
		if twice := p.AppendForward(nil); !bytes.Equal(once, twice) {
			t.Errorf("%x: encoded as %x and then as %x", b, once, twice)
		}
	})
}

func FuzzUserProperties(f *testing.F) {
	f.Add([]byte("\x26\x00\x01k\x00\x01v\x26\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		u := mqtt.UserProperties(b)
		var again mqtt.UserProperties
		n := 0
		for k, v := range u.All() {
			again = mqtt.AppendUserProperty(again, k, v)
			n++
		}
		if n != u.Len() || !bytes.HasPrefix(u, again) {
			t.Errorf("%x: %d of %d, as %x", b, n, u.Len(), again)
		}
	})
}

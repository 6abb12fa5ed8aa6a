package wire

import (
	"testing"

	"github.com/barid-mqtt/barid/mqtt"
)

func TestTemplateEncodesWhatTheCodecReads(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		for qos := range mqtt.QoS(3) {
			for _, size := range []int{StampBytes, 100, 200, 20_000} {
				m := Message{Topic: "load/1/2", QoS: qos, Retain: size == 100, PayloadBytes: size}
				tmpl, err := NewTemplate(m, v)
				if err != nil {
					t.Fatal(err)
				}
				want := Stamp{Publisher: 70_000, Seq: 1 << 31, At: 1 << 60}
				b := tmpl.Append([]byte("before"), 0xABCD, want)[len("before"):]
				if len(b) != tmpl.Len() {
					t.Errorf("Len %d, appended %d", tmpl.Len(), len(b))
				}
				h, n, err := mqtt.DecodeHeader(b)
				if err != nil {
					t.Fatal(err)
				}
				var p mqtt.Publish
				if err := p.Decode(h, b[n:], v); err != nil {
					t.Fatal(err)
				}
				got, ok := ReadStamp(p.Payload)
				if !ok || got != want || len(p.Payload) != size || string(p.Topic) != m.Topic || p.QoS != qos || p.Retain != m.Retain {
					t.Errorf("%v, QoS %d, %d bytes: read %+v, %+v", v, qos, size, p, got)
				}
				if qos > 0 && p.PacketID != 0xABCD {
					t.Errorf("packet identifier %#x", p.PacketID)
				}
			}
		}
	}
}

func TestTemplateSaysWhatItCannotDo(t *testing.T) {
	for _, m := range []Message{{Topic: "a", PayloadBytes: StampBytes - 1}, {Topic: "a/#", PayloadBytes: StampBytes}} {
		if _, err := NewTemplate(m, mqtt.V5); err == nil {
			t.Errorf("%+v: no error", m)
		}
	}
	if _, ok := ReadStamp(make([]byte, StampBytes-1)); ok {
		t.Error("a short payload has a stamp")
	}
}

func TestAcksAreThoseOfTheCodec(t *testing.T) {
	for _, p := range []mqtt.Packet{
		&mqtt.Puback{Ack: mqtt.Ack{PacketID: 258}}, &mqtt.Pubrec{Ack: mqtt.Ack{PacketID: 258}},
		&mqtt.Pubrel{Ack: mqtt.Ack{PacketID: 258}}, &mqtt.Pubcomp{Ack: mqtt.Ack{PacketID: 258}},
	} {
		want, err := p.AppendTo(nil, mqtt.V5)
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendAck(nil, p.Type(), 258); string(got) != string(want) {
			t.Errorf("%v: % x, want % x", p.Type(), got, want)
		}
		if id, code, ok := Ack(want[2:]); id != 258 || code != mqtt.Success || !ok {
			t.Errorf("%v: read %d, %v, %v", p.Type(), id, code, ok)
		}
	}
	if _, code, _ := Ack([]byte{0, 1, 0x97, 0}); code != mqtt.QuotaExceeded {
		t.Errorf("code %v", code)
	}
	if _, _, ok := Ack([]byte{1}); ok {
		t.Error("a body of one byte is an acknowledgement")
	}
}

func TestNumberedTemplateHasATopicForEachMessage(t *testing.T) {
	for _, size := range []int{0, StampBytes} {
		tmpl, err := NewTemplate(Message{Topic: "r/7", QoS: 1, Retain: true, PayloadBytes: size, Numbered: true}, mqtt.V311)
		if err != nil {
			t.Fatal(err)
		}
		for seq, want := range map[uint32]string{0: "r/7/00000000", 1234567: "r/7/01234567"} {
			b := tmpl.Append(nil, 9, Stamp{Seq: seq})
			h, n, err := mqtt.DecodeHeader(b)
			if err != nil {
				t.Fatal(err)
			}
			var p mqtt.Publish
			if err := p.Decode(h, b[n:], mqtt.V311); err != nil {
				t.Fatal(err)
			}
			if string(p.Topic) != want || len(p.Payload) != size || p.PacketID != 9 || !p.Retain {
				t.Errorf("message %d: %+v", seq, p)
			}
		}
	}
}

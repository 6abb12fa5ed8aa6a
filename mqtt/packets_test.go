package mqtt

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"testing"
)

func TestConnectThatFailsKeepsItsVersion(t *testing.T) {
	for _, row := range []struct {
		body string
		want Version
		code ReasonCode
	}{
		{"\x00\x04MQTT\x05\x03\x00\x00\x00\x00\x00", V5, MalformedPacket},
		{"\x00\x04MQTT\x04\x02\x00\x00\x00\x05", V311, MalformedPacket},
		{"\x00\x04MQTT\x06", 6, UnsupportedProtocolVersion},
		{"\x00\x04MQTT\x84\x02\x00\x00\x00\x00", 0x84, UnsupportedProtocolVersion},
		{"\x00\x06MQIsdp\x04\x02\x00\x00\x00\x00", 4, UnsupportedProtocolVersion},
		{"\x00\x04AMQP\x05\x02\x00\x00\x00\x00\x00", 0, ProtocolError},
		{"\x00\x04MQTT", 0, MalformedPacket},
	} {
		p, err := Decode(Header{Type: CONNECT}, []byte(row.body), 0)
		c, ok := p.(*Connect)
		if !ok || c.Version != row.want || !errors.Is(err, row.code) {
			t.Errorf("%q: %+v, %v", row.body, p, err)
		}
	}
}

func TestConnectFields(t *testing.T) {
	body := "\x00\x04MQTT\x05\xee\x01\x02" +
		"\x0c\x11\x00\x00\x00\x05\x21\x00\x07\x17\x00\x19\x01" + "\x00\x02id" +
		"\x0b\x18\x00\x00\x00\x09\x01\x01\x26\x00\x00\x00\x00\x00\x01w\x00\x01x\x00\x01u\x00\x01p"
	var c Connect
	// The will's properties are 12 bytes, not 11.
	if err := c.Decode(Header{Type: CONNECT}, []byte(body), 0); !errors.Is(err, MalformedPacket) {
		t.Errorf("properties that end within a property: %v", err)
	}
	body = string(bytes.Replace([]byte(body), []byte("id\x0b"), []byte("id\x0c"), 1))
	if err := c.Decode(Header{Type: CONNECT}, []byte(body), 0); err != nil {
		t.Fatal(err)
	}
	w := c.Will
	if c.ClientID != "id" || !c.CleanStart || c.KeepAlive != 0x0102 || c.Username != "u" || !c.HasUsername ||
		string(c.Password) != "p" || !c.HasPassword || c.SessionExpirySeconds != 5 || c.ReceiveMaximum != 7 || !c.OmitProblemInformation ||
		!c.RequestResponseInformation {
		t.Errorf("got %+v", c)
	}
	if w == nil || w.Topic != "w" || string(w.Payload) != "x" || w.QoS != AtLeastOnce || !w.Retain || w.DelaySeconds != 9 ||
		w.Properties.Present != 1<<PropPayloadFormat || w.Properties.PayloadFormat != 1 || w.Properties.User.Len() != 1 {
		t.Errorf("will %+v", w)
	}
}

// TestDecodeOverwrites decodes a packet of each type into one that is full, and wants nothing left of it.
func TestDecodeOverwrites(t *testing.T) {
	user := AppendUserProperty(nil, "k", "v")
	seconds := uint32(1)
	for _, row := range []struct {
		full decoder
		body string
	}{
		{&Connect{Username: "u", User: user, Will: &Will{}, AuthData: []byte{1}}, "\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00"},
		{&Connack{Code: Banned, ReasonString: "r", User: user, SessionExpirySeconds: &seconds}, "\x00\x00\x00"},
		{&Puback{Ack{1, QuotaExceeded, "r", user}}, "\x00\x02"},
		{&Pubrec{Ack{1, QuotaExceeded, "r", user}}, "\x00\x02"},
		{&Pubrel{Ack{1, PacketIDNotFound, "r", user}}, "\x00\x02"},
		{&Pubcomp{Ack{1, PacketIDNotFound, "r", user}}, "\x00\x02"},
		{&Subscribe{1, 9, user, []FilterOptions{{}, {}}}, "\x00\x02\x00\x00\x01a\x00"},
		{&Suback{1, "r", user, []ReasonCode{0, 0}}, "\x00\x02\x00\x00"},
		{&Unsubscribe{1, user, []string{"x", "y"}}, "\x00\x02\x00\x00\x01a"},
		{&Unsuback{1, "r", user, []ReasonCode{0, 0}}, "\x00\x02\x00\x00"},
		{&Disconnect{ServerBusy, &seconds, "r", user, "s"}, ""},
		{&Auth{ReAuthenticate, "m", true, []byte{1}, "r", user}, ""},
	} {
		h := Header{Type: row.full.Type(), Flags: typeFlags[row.full.Type()]}
		if err := row.full.Decode(h, []byte(row.body), V5); err != nil {
			t.Errorf("%s: %v", h.Type, err)
			continue
		}
		fresh, err := Decode(h, []byte(row.body), V5)
		if err != nil {
			t.Errorf("%s: %v", h.Type, err)
			continue
		}
		a, _ := row.full.AppendTo(nil, V5)
		b, _ := fresh.AppendTo(nil, V5)
		if !bytes.Equal(a, b) {
			t.Errorf("%s: %x decoded into a full packet is %x, into an empty one %x", h.Type, row.body, a, b)
		}
	}
}

func TestSubscribeOptions(t *testing.T) {
	var s Subscribe
	body := "\x00\x02\x02\x0b\x05\x00\x01a\x2e\x00\x01b\x11"
	if err := s.Decode(Header{Type: SUBSCRIBE, Flags: 2}, []byte(body), V5); err != nil {
		t.Fatal(err)
	}
	want := []FilterOptions{{"a", ExactlyOnce, true, true, NoRetained}, {"b", AtLeastOnce, false, false, SendRetainedIfNew}}
	if s.PacketID != 2 || s.SubscriptionID != 5 || !slices.Equal(s.Filters, want) {
		t.Errorf("got %+v", s)
	}
}

func TestUserProperties(t *testing.T) {
	var u UserProperties
	pairs := []string{"b", "1", "a", "2", "", "", "b", "3"}
	for i := 0; i < len(pairs); i += 2 {
		u = AppendUserProperty(u, pairs[i], pairs[i+1])
	}
	var got []string
	for k, v := range u.All() {
		got = append(got, k, v)
	}
	if !slices.Equal(got, pairs) || u.Len() != 4 {
		t.Errorf("got %q, %d of them", got, u.Len())
	}
	for k, v := range u.All() {
		if k != "b" || v != "1" {
			t.Errorf("after a break: %q, %q", k, v)
		}
		break
	}
	for cut := 1; cut < 7; cut++ {
		if n := u[:len(u)-cut].Len(); n != 3 {
			t.Errorf("without the last %d bytes: %d", cut, n)
		}
	}
}

// TestUserPropertiesLieInTheBody wants a copy only where others are between them.
func TestUserPropertiesLieInTheBody(t *testing.T) {
	a, b := AppendUserProperty(nil, "k", "1"), AppendUserProperty(nil, "k", "2")
	for name, row := range map[string]struct {
		properties [][]byte
		copied     bool
	}{
		"together":        {[][]byte{{0x1f, 0, 0}, a, b}, false},
		"apart":           {[][]byte{a, {0x1f, 0, 0}, b}, true},
		"apart, then not": {[][]byte{a, {0x1f, 0, 0}, b, a}, true},
	} {
		properties := slices.Concat(row.properties...)
		body := append([]byte{0, 1, 0, byte(len(properties))}, properties...)
		var x Puback
		if err := x.Decode(Header{Type: PUBACK}, body, V5); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var want []byte
		for _, p := range row.properties {
			if p[0] == byte(PropUser) {
				want = append(want, p...)
			}
		}
		if !bytes.Equal(x.User, want) {
			t.Errorf("%s: got %q, want %q", name, x.User, want)
		}
		clear(body)
		if copied := x.User[0] != 0; copied != row.copied {
			t.Errorf("%s: copied is %v", name, copied)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	var p Publish
	_, _, header := DecodeHeader([]byte("\x82\x80\x00"))
	_, filter := ParseTopicFilter("a#")
	_, encode := new(Puback).AppendTo(nil, V5)
	for _, row := range []struct {
		err  error
		want string
	}{
		{p.Decode(Header{Type: PUBLISH}, []byte("\x00\x03a/#\x00"), V5), "PUBLISH: topic name holds a wildcard at offset 2 [MQTT-3.3.2-2]"},
		{p.Decode(Header{Type: PUBLISH}, []byte("\x00\x01\xff"), V311), "PUBLISH: topic name is not well-formed UTF-8 at offset 2 [MQTT-1.4.0-1]"},
		{p.Decode(Header{Type: PUBLISH}, []byte("\x00\x01a\x03\x23\x00\x00"), V5), "PUBLISH: topic alias is 0 at offset 5 [MQTT-3.3.2-8]"},
		{p.Decode(Header{Type: PUBLISH}, []byte("\x00\x01a\x04\x01\x00\x01\x00"), V5), "PUBLISH: payload format indicator is there twice at offset 6"},
		{p.Decode(Header{Type: PUBLISH}, []byte("\x00\x01a\x04\x08\x00\x01#"), V5), "PUBLISH: response topic holds a wildcard at offset 7 [MQTT-3.3.2-14]"},
		{p.Decode(Header{Type: PUBLISH}, []byte("\x00\x01a\x03\x08\x00\x00"), V5), "PUBLISH: response topic is empty at offset 7 [MQTT-4.7.3-1]"},
		{p.Decode(Header{Type: PUBLISH}, []byte("\x00\x01a\x04\x08\x00\x01\xff"), V5), "PUBLISH: response topic is not well-formed UTF-8 at offset 7 [MQTT-1.5.4-1]"},
		{header, "SUBSCRIBE: remaining length is not in its shortest form at offset 1 [MQTT-1.5.5-1]"},
		{filter, `topic filter "a#" has a # that is not a level of its own [MQTT-4.7.1-1]`},
		{encode, "PUBACK: packet identifier is 0"},
		{TopicAliasInvalid, "topic alias invalid (0x94)"},
	} {
		if row.err == nil || row.err.Error() != row.want {
			t.Errorf("got  %v\nwant %s", row.err, row.want)
		}
	}
}

// TestLengthIsNoReasonToAllocate decodes packets that promise much and hold little.
func TestLengthIsNoReasonToAllocate(t *testing.T) {
	for _, row := range []struct {
		h    Header
		body string
	}{
		{Header{PUBLISH, 0, MaxRemaining}, "\xff\xffa"},
		{Header{SUBSCRIBE, 2, MaxRemaining}, "\x00\x01\xff\xff\xff\x7f"},
		{Header{CONNECT, 0, MaxRemaining}, "\x00\x04MQTT\x05\xff\x00\x00\x00\xff\xff"},
		{Header{SUBACK, 0, MaxRemaining}, "\x00\x01\x00"},
	} {
		const runs = 100
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			if _, err := Decode(row.h, []byte(row.body), V5); err == nil {
				t.Fatalf("%s %q: decodes", row.h.Type, row.body)
			}
		}
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) / runs; n > 2048 {
			t.Errorf("%s: %d bytes allocated for %d", row.h.Type, n, len(row.body))
		}
	}
}

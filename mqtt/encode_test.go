package mqtt_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/mqtt"
)

func ptr[T any](v T) *T { return &v }

var allVersions = [3]mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5}

// TestEncodings has the exact bytes of packets for 3.1, 3.1.1 and 5; "" is an error.
func TestEncodings(t *testing.T) {
	user := mqtt.AppendUserProperty(nil, "k", "v")
	ack := mqtt.Ack{PacketID: 0x0102}
	failed := mqtt.Ack{PacketID: 0x0102, Code: mqtt.QuotaExceeded}
	unfound := mqtt.Ack{PacketID: 1, Code: mqtt.PacketIDNotFound, ReasonString: "?", User: user}
	will := &mqtt.Will{Topic: "w", Payload: []byte("x"), QoS: 2, Retain: true, DelaySeconds: 9}
	for _, row := range []struct {
		name   string
		packet mqtt.Packet
		want   [3]string
	}{
		{"smallest CONNECT", &mqtt.Connect{}, [3]string{"100e00064d5149736470030000000000", "100c00044d515454040000000000", "100d00044d51545405000000000000"}},
		{"CONNECT", &mqtt.Connect{ClientID: "c", CleanStart: true, KeepAlive: 60, HasUsername: true, Username: "u", HasPassword: true, Password: []byte("p"), Will: will, ReceiveMaximum: 1},
			[3]string{"101b00064d514973647003f6003c000163000177000178000175000170", "101900044d51545404f6003c000163000177000178000175000170", "102300044d51545405f6003c03210001000163051800000009000177000178000175000170"}},
		{"CONNECT with all properties", &mqtt.Connect{SessionExpirySeconds: mqtt.NeverExpires, ReceiveMaximum: 2, MaximumPacketSize: 3, TopicAliasMaximum: 4, RequestResponseInformation: true, OmitProblemInformation: true, HasAuthMethod: true, AuthMethod: "m", AuthData: []byte{0}, User: user},
			[3]string{"100e00064d5149736470030000000000", "100c00044d515454040000000000", "103000044d5154540500000023" + "11ffffffff" + "210002" + "2700000003" + "220004" + "1901" + "1700" + "1500016d" + "16000100" + "2600016b000176" + "0000"}},
		{"CONNECT with a password alone", &mqtt.Connect{HasPassword: true}, [3]string{"", "", "100f00044d515454054000000000000000"}},
		{"CONNACK", &mqtt.Connack{}, [3]string{"20020000", "20020000", "2003000000"}},
		{"CONNACK with session present", &mqtt.Connack{SessionPresent: true}, [3]string{"20020000", "20020100", "2003010000"}},
		{"CONNACK with properties", &mqtt.Connack{ReceiveMaximum: 8, MaximumQoS: ptr(mqtt.QoS(1)), RetainAvailable: ptr(false), AssignedClientID: "a", ServerKeepAlive: ptr(uint16(9)), SessionExpirySeconds: ptr(uint32(0))},
			[3]string{"20020000", "20020000", "2016000013" + "1100000000" + "210008" + "2401" + "130009" + "2500" + "12000161"}},
		{"CONNACK with maximum QoS 2", &mqtt.Connack{MaximumQoS: ptr(mqtt.QoS(2))}, [3]string{"20020000", "20020000", "2003000000"}},
		{"PUBLISH QoS 0", &mqtt.Publish{Topic: []byte("a"), Payload: []byte("x")}, [3]string{"300400016178", "300400016178", "30050001610078"}},
		{"PUBLISH QoS 2", &mqtt.Publish{Topic: []byte("a"), QoS: 2, Dup: true, Retain: true, PacketID: 7}, [3]string{"3d050001610007", "3d050001610007", "3d06000161000700"}},
		{"PUBLISH with properties", &mqtt.Publish{Topic: []byte("a"), Properties: mqtt.PublishProperties{Present: 1<<mqtt.PropPayloadFormat | 1<<mqtt.PropTopicAlias, PayloadFormat: 1, TopicAlias: 5, User: user, SubscriptionIDs: []uint32{1, 300}}},
			[3]string{"3003000161", "3003000161", "3015000161" + "11" + "0101" + "230005" + "2600016b000176" + "0b01" + "0bac02"}},
		{"PUBLISH with an alias alone", &mqtt.Publish{Properties: mqtt.PublishProperties{Present: 1 << mqtt.PropTopicAlias, TopicAlias: 1}}, [3]string{"", "", "3006000003230001"}},
		{"PUBACK", &mqtt.Puback{Ack: ack}, [3]string{"40020102", "40020102", "40020102"}},
		{"PUBACK with an error", &mqtt.Puback{Ack: failed}, [3]string{"40020102", "40020102", "4003010297"}},
		{"PUBREC with an error", &mqtt.Pubrec{Ack: failed}, [3]string{"50020102", "50020102", "5003010297"}},
		{"PUBREL", &mqtt.Pubrel{Ack: ack}, [3]string{"62020102", "62020102", "62020102"}},
		{"PUBCOMP with properties", &mqtt.Pubcomp{Ack: unfound}, [3]string{"70020001", "70020001", "700f0001920b1f00013f2600016b000176"}},
		{"PUBACK with a reason for success", &mqtt.Puback{Ack: mqtt.Ack{PacketID: 1, ReasonString: "r"}}, [3]string{"40020001", "40020001", "4008000100041f000172"}},
		{"SUBSCRIBE", &mqtt.Subscribe{PacketID: 1, SubscriptionID: 128, Filters: []mqtt.FilterOptions{{Filter: "a", QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: 2}, {Filter: "b"}}},
			[3]string{"820a000100016101" + "00016200", "820a000100016101" + "00016200", "820e0001030b8001" + "0001612d" + "00016200"}},
		{"SUBACK", &mqtt.Suback{PacketID: 1, Codes: []mqtt.ReasonCode{0, 1, 2, mqtt.NotAuthorized}}, [3]string{"9006000100010280", "9006000100010280", "900700010000010287"}},
		{"UNSUBSCRIBE", &mqtt.Unsubscribe{PacketID: 1, Filters: []string{"a", "b"}, User: user}, [3]string{"a2080001000161000162", "a2080001000161000162", "a2100001072600016b000176000161000162"}},
		{"UNSUBACK", &mqtt.Unsuback{PacketID: 1, Codes: []mqtt.ReasonCode{0, mqtt.NoSubscriptionExisted}}, [3]string{"b0020001", "b0020001", "b0050001000011"}},
		{"PINGREQ", &mqtt.Pingreq{}, [3]string{"c000", "c000", "c000"}},
		{"PINGRESP", &mqtt.Pingresp{}, [3]string{"d000", "d000", "d000"}},
		{"DISCONNECT", &mqtt.Disconnect{}, [3]string{"e000", "e000", "e000"}},
		{"DISCONNECT with a code", &mqtt.Disconnect{Code: mqtt.SessionTakenOver}, [3]string{"e000", "e000", "e0018e"}},
		{"DISCONNECT with properties", &mqtt.Disconnect{SessionExpirySeconds: ptr(uint32(1)), ServerReference: "s"}, [3]string{"e000", "e000", "e00b0009" + "1100000001" + "1c000173"}},
		{"AUTH", &mqtt.Auth{Code: mqtt.ContinueAuthentication, HasAuthMethod: true, AuthMethod: "m", AuthData: []byte{1}}, [3]string{"", "", "f00a18081500016d16000101"}},
		{"AUTH success", &mqtt.Auth{}, [3]string{"", "", "f000"}},
	} {
		for i, v := range allVersions {
			got, err := row.packet.AppendTo(nil, v)
			if hex.EncodeToString(got) != row.want[i] || (err != nil) != (row.want[i] == "") {
				t.Errorf("%s %s: got %x, %v\nwant %s", row.name, v, got, err, row.want[i])
			}
			if err != nil {
				continue
			}
			if _, err := decodeWhole(got, v); err != nil {
				t.Errorf("%s %s: does not decode: %v", row.name, v, err)
			}
		}
	}
}

func TestConnackReturnCodes(t *testing.T) {
	for code, want := range map[mqtt.ReasonCode]int{
		mqtt.Success: 0, mqtt.UnsupportedProtocolVersion: 1, mqtt.ClientIDNotValid: 2, mqtt.ServerUnavailable: 3,
		mqtt.ServerBusy: 3, mqtt.ConnectionRateExceeded: 3, mqtt.QuotaExceeded: 3, mqtt.ServerMoved: 3,
		mqtt.BadUserNameOrPassword: 4, mqtt.NotAuthorized: 5, mqtt.Banned: 5, mqtt.BadAuthenticationMethod: 5,
		mqtt.MalformedPacket: -1, mqtt.ProtocolError: -1,
	} {
		for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311} {
			got, err := (&mqtt.Connack{Code: code}).AppendTo(nil, v)
			if want < 0 && err == nil || want >= 0 && (err != nil || int(got[3]) != want) {
				t.Errorf("%s in %s: %x, %v, want return code %d", code, v, got, err, want)
			}
		}
	}
}

// TestPacketsThatCannotBeSaid lists packets that fail to encode, with a word of the reason.
func TestPacketsThatCannotBeSaid(t *testing.T) {
	long := strings.Repeat("a", 65_536)
	topic := []byte("a")
	props := func(p mqtt.PublishProperties, present ...mqtt.PropertyID) *mqtt.Publish {
		for _, id := range present {
			p.Present.Add(id)
		}
		return &mqtt.Publish{Topic: topic, Properties: p}
	}
	for _, row := range []struct {
		packet mqtt.Packet
		reason string
	}{
		{&mqtt.Connect{ClientID: long}, "client identifier is longer"},
		{&mqtt.Connect{ClientID: "\x00"}, "client identifier holds U+0000"},
		{&mqtt.Connect{ClientID: "\xed\xa0\x80"}, "client identifier is not well-formed"},
		{&mqtt.Connect{HasUsername: true, Username: "\xff"}, "user name is not well-formed"},
		{&mqtt.Connect{HasPassword: true, Password: []byte(long)}, "password is longer"},
		{&mqtt.Connect{Will: &mqtt.Will{}}, "will topic is not"},
		{&mqtt.Connect{Will: &mqtt.Will{Topic: "a/#"}}, "will topic is not"},
		{&mqtt.Connect{Will: &mqtt.Will{Topic: "a", QoS: 3}}, "will QoS is above 2"},
		{&mqtt.Connect{Will: &mqtt.Will{Topic: "a", Payload: []byte(long)}}, "will payload is longer"},
		{&mqtt.Connect{AuthData: []byte{1}}, "without an authentication method"},
		{&mqtt.Connect{User: mqtt.UserProperties("x")}, "user properties are not in their encoding"},
		{&mqtt.Connect{User: mqtt.AppendUserProperty(nil, "\x00", "")}, "user property holds U+0000"},
		{&mqtt.Connack{SessionPresent: true, Code: mqtt.NotAuthorized}, "session present"},
		{&mqtt.Connack{Code: mqtt.SessionTakenOver}, "reason code is not"},
		{&mqtt.Connack{ReasonString: long}, "reason string is longer"},
		{&mqtt.Publish{}, "topic is not a topic name"},
		{&mqtt.Publish{Topic: []byte("+")}, "topic is not a topic name"},
		{&mqtt.Publish{Topic: []byte(long)}, "topic is not a topic name"},
		{&mqtt.Publish{Topic: topic, QoS: 1}, "packet identifier is 0"},
		{&mqtt.Publish{Topic: topic, QoS: 3, PacketID: 1}, "QoS is 3"},
		{&mqtt.Publish{Topic: topic, Dup: true}, "DUP is set with QoS 0"},
		{&mqtt.Publish{Topic: topic, Payload: make([]byte, mqtt.MaxRemaining)}, "longer than a remaining length"},
		{props(mqtt.PublishProperties{}, mqtt.PropTopicAlias), "topic alias is 0"},
		{props(mqtt.PublishProperties{PayloadFormat: 2}, mqtt.PropPayloadFormat), "payload format"},
		{props(mqtt.PublishProperties{ResponseTopic: []byte("#")}, mqtt.PropResponseTopic), "response topic"},
		{props(mqtt.PublishProperties{ContentType: []byte("\xff")}, mqtt.PropContentType), "content type is not well-formed"},
		{props(mqtt.PublishProperties{CorrelationData: []byte(long)}, mqtt.PropCorrelationData), "correlation data is longer"},
		{props(mqtt.PublishProperties{SubscriptionIDs: []uint32{0}}), "subscription identifier"},
		{props(mqtt.PublishProperties{SubscriptionIDs: []uint32{mqtt.MaxRemaining + 1}}), "subscription identifier"},
		{&mqtt.Puback{}, "packet identifier is 0"},
		{&mqtt.Pubrel{Ack: mqtt.Ack{PacketID: 1, Code: mqtt.QuotaExceeded}}, "reason code is not"},
		{&mqtt.Subscribe{PacketID: 1}, "no topic filter"},
		{&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{}}}, "topic filter is empty"},
		{&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "a", QoS: 3}}}, "QoS is 3"},
		{&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "a", RetainHandling: 3}}}, "retain handling is 3"},
		{&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "$share/g/a", NoLocal: true}}}, "shared"},
		{&mqtt.Subscribe{Filters: []mqtt.FilterOptions{{Filter: "a"}}}, "packet identifier is 0"},
		{&mqtt.Suback{PacketID: 1}, "no reason code"},
		{&mqtt.Suback{PacketID: 1, Codes: []mqtt.ReasonCode{3}}, "reason code is not"},
		{&mqtt.Unsubscribe{PacketID: 1}, "no topic filter"},
		{&mqtt.Unsubscribe{PacketID: 1, Filters: []string{""}}, "topic filter is empty"},
		{&mqtt.Unsuback{PacketID: 1}, "no reason code"},
		{&mqtt.Disconnect{Code: mqtt.BadUserNameOrPassword}, "reason code is not"},
		{&mqtt.Auth{Code: mqtt.ReAuthenticate}, "authentication method is missing"},
		{&mqtt.Auth{Code: mqtt.NotAuthorized, HasAuthMethod: true}, "reason code is not"},
	} {
		dst := append(make([]byte, 0, 64), "kept"...)
		got, err := row.packet.AppendTo(dst, mqtt.V5)
		var e *mqtt.EncodeError
		if !errors.As(err, &e) || e.Packet != row.packet.Type() || !strings.Contains(e.Reason, row.reason) {
			t.Errorf("%s: got %v, want %q", row.packet.Type(), err, row.reason)
		}
		if string(got) != "kept" {
			t.Errorf("%s (%v): left %q", row.packet.Type(), err, got)
		}
	}
}

func TestConnectFailsForUnknownLevels(t *testing.T) {
	for _, v := range []mqtt.Version{0, 2, 6} {
		if _, err := (&mqtt.Connect{}).AppendTo(nil, v); err == nil {
			t.Errorf("%v: no error", v)
		}
	}
}

// TestLengthsThatMovePackets encodes packets whose lengths take one to three bytes, also for their properties.
func TestLengthsThatMovePackets(t *testing.T) {
	for _, n := range []int{0, 1, 100, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 16_370, 16_383, 16_384, 65_535} {
		s := strings.Repeat("s", n)
		for _, packet := range []mqtt.Packet{
			&mqtt.Publish{Topic: []byte("t"), Payload: []byte(s)},
			&mqtt.Puback{Ack: mqtt.Ack{PacketID: 1, ReasonString: s}},
			&mqtt.Puback{Ack: mqtt.Ack{PacketID: 1, ReasonString: s, User: mqtt.AppendUserProperty(nil, s, s)}},
		} {
			checkRoundTrip(t, packet.Type().String(), packet, mqtt.V5)
		}
	}
}

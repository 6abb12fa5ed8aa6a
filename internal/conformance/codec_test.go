package conformance

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// TestEncode compares with bytes that were put together by hand from the standard.
func TestEncode(t *testing.T) {
	tests := []struct {
		packet string
		level  byte
		want   string
	}{
		{"connect id=a clean", 4, "100d00044d5154540402000000 0161"},
		{"connect id=a keep_alive=10", 3, "100f00064d514973647003 00000a 000161"},
		{"connect id=a clean session_expiry=1", 5, "101300044d51545405020000 051100000001 000161"},
		{"connect id=a will=w will.payload=x will.qos=1 will.retain will.delay=2 username=u password=p", 5,
			"102000044d515454 05ec0000 00 000161 051800000002 000177 000178 000175 000170"},
		{"publish t payload=x", 4, "3004000174 78"},
		{"publish t qos1 id=258 dup retain payload=x alias=3 prop=k:v", 5, "3b11000174 0102 0a 230003 2600016b000176 78"},
		{"puback 7", 5, "40020007"},
		{"pubrec 7 0x87", 5, "5003000787"},
		{"pubrel 7 0x92 reason=r", 5, "6208000792 041f000172"},
		{"pubcomp 7 0x92", 4, "70020007"},
		{"subscribe 1 a qos1 nl, b qos2 rap rh2 subid=128", 5, "820e0001 030b8001 00016105 0001622a"},
		{"subscribe 1 a qos1", 4, "82060001 00016101"},
		{"unsubscribe 1 a b", 5, "a2090001 00 000161 000162"},
		{"pingreq", 5, "c000"},
		{"disconnect", 5, "e000"},
		{"disconnect 0x04", 5, "e00104"},
		{"auth 0x18 method=m data=d", 5, "f00a18 08 1500016d 16000164"},
	}
	for _, test := range tests {
		p, err := ParsePacket(test.packet)
		if err != nil {
			t.Errorf("%s: %v", test.packet, err)
			continue
		}
		got, err := Encode(p, test.level)
		if want := strings.ReplaceAll(test.want, " ", ""); err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s:\ngot  %x %v\nwant %s", test.packet, got, err, want)
		}
	}
}

func TestDecode(t *testing.T) {
	tests := []struct {
		bytes string
		level byte
		want  string // the packet, or what the error says
	}{
		{"20020000", 4, "connack 0x00 session_present=0"},
		{"2008010005 2100051300 0a", 5, "too early"},
		{"2009010006 210005 13000a", 5, "connack 0x00 session_present=1 receive_max=5 server_keep_alive=10"},
		{"20020200", 4, "acknowledge flags"},
		{"20020100", 3, "acknowledge flags"},
		{"3a0a0001740102 03230003 78", 5, "publish t qos1 id=258 dup payload=x alias=3"},
		{"310400017478", 4, "publish t retain payload=x"},
		{"360400017478", 4, "QoS 3"},
		{"3207000174000000 78", 5, "packet identifier 0"},
		{"40020007", 5, "puback 7"},
		{"4003000710", 5, "puback 7 0x10"},
		{"4003000710", 4, "too many"},
		{"60020007", 5, "flags"},
		{"62020007", 5, "pubrel 7"},
		{"9005000100 0280", 5, "suback 1 0x02 0x80"},
		{"90040001 0280", 4, "suback 1 0x02 0x80"},
		{"b0020001", 4, "unsuback 1"},
		{"d000", 4, "pingresp"},
		{"e000", 5, "disconnect"},
		{"e000", 4, "does not send it in this version"},
		{"e00482 02 7e00", 5, "unknown property"},
		{"c000", 5, "a server does not send it"},
		{"0000", 5, "packet type 0"},
		{"d08000", 5, "longer than it must be"},
		{"d080808080", 5, "more than four bytes"},
		{"d0", 5, ErrIncomplete.Error()},
		{"3004000174", 4, ErrIncomplete.Error()},
	}
	for _, test := range tests {
		data, err := hex.DecodeString(strings.ReplaceAll(test.bytes, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		p, rest, err := Decode(data, test.level)
		got := p.String()
		if err != nil {
			got = err.Error()
		} else if len(rest) > 0 {
			t.Errorf("%s: %x is left", test.bytes, rest)
		}
		if err == nil && got != test.want || !strings.Contains(got, test.want) {
			t.Errorf("%s:\ngot  %s\nwant %s", test.bytes, got, test.want)
		}
	}
}

// FuzzDecode checks that no bytes from a server make the runner panic, and that what is decoded is consumed.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x20\x03\x00\x00\x00"), byte(5))
	f.Add([]byte("\x3a\x0a\x00\x01t\x01\x02\x03\x23\x00\x03x"), byte(5))
	f.Fuzz(func(t *testing.T, data []byte, level byte) {
		_, rest, err := Decode(data, level%3+3)
		if err == nil && len(rest) >= len(data) {
			t.Error("a packet of no bytes")
		}
		if errors.Is(err, ErrIncomplete) && len(rest) != len(data) {
			t.Error("an incomplete packet was consumed")
		}
	})
}

func TestAppendRaw(t *testing.T) {
	for line, want := range map[string]string{
		`30 0a1b "ab" s"c d" 41*3`: "300a1b6162000363206441" + "4141",
		`10 ( 00 ( ( ) 01 ) "x" )`: "100500020001" + "78",
		`30 ( 41*200 )`:            "30c801" + strings.Repeat("41", 200),
		`s"\x00\u00e9" "\xff"`:     "000300c3a9ff",
	} {
		got, err := AppendRaw(nil, line)
		if err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s: got %x %v, want %s", line, got, err, want)
		}
	}
	for _, line := range []string{"3", "zz", "( 00", "00 )", `"a`, "41*x"} {
		if got, err := AppendRaw(nil, line); err == nil {
			t.Errorf("%s: got %x, want an error", line, got)
		}
	}
}

func TestPacketsReadAsTheyAreWritten(t *testing.T) {
	for _, line := range []string{
		"publish t qos1 id=1 dup retain payload=x prop=a:b prop=c:d subid=1 subid=2", `publish "a b" payload="\x00\xff"`,
		"suback 1 0x00 0x87", "connack 0x00 session_present=1", "disconnect 0x8e reason=gone", "publish t payload=x*50",
	} {
		p, err := ParsePacket(line)
		if err != nil || p.String() != line {
			t.Errorf("%s: got %s %v", line, p, err)
		}
	}
	for _, line := range []string{"", "hello", "publish t colour=red", "pingreq 1", `publish "t`} {
		if p, err := ParsePacket(line); err == nil {
			t.Errorf("%q: got %s, want an error", line, p)
		}
	}
}

package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/barid-mqtt/barid/pkg/memnet"
	"pgregory.net/rapid"
)

func tcp(s string) net.Addr {
	a, err := net.ResolveTCPAddr("tcp", s)
	if err != nil {
		panic(err)
	}
	if v4 := a.IP.To4(); v4 != nil {
		a.IP = v4
	}
	return a
}

// v2 builds a header of version 2 by hand.
func v2(versionCommand, family byte, rest string) string {
	b := append([]byte(signatureV2), versionCommand, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(rest)))
	return string(b) + rest
}

const (
	ends4 = "\xc0\x00\x02\x07" + "\xc6\x33\x64\x01" + "\x12\x67" + "\x07\x5b" // 192.0.2.7:4711 → 198.51.100.1:1883
	ends6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02" + "\x12\x67" + "\x07\x5b"
)

func pad(path string) string { return path + strings.Repeat("\x00", unixPath-len(path)) }

func tlv(kind byte, value string) string { return string(TLV{kind, []byte(value)}.appendTo(nil)) }

// summed adds a right checksum to a header of IPv4.
func summed(before, after string) string {
	h := v2(0x21, 0x11, ends4+before+tlv(TypeCRC32C, "\x00\x00\x00\x00")+after)
	sum := crc32.Checksum([]byte(h), crc32.MakeTable(crc32.Castagnoli))
	return strings.Replace(h, tlv(TypeCRC32C, "\x00\x00\x00\x00"), tlv(TypeCRC32C, string(binary.BigEndian.AppendUint32(nil, sum))), 1)
}

var good = []struct {
	name  string
	raw   string
	src   net.Addr
	dst   net.Addr
	local bool
	tlvs  int
}{
	{"v1 TCP4", "PROXY TCP4 192.0.2.7 198.51.100.1 4711 1883\r\n", tcp("192.0.2.7:4711"), tcp("198.51.100.1:1883"), false, 0},
	{"v1 shortest TCP4", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n", tcp("1.1.1.1:1"), tcp("2.2.2.2:2"), false, 0},
	{"v1 longest TCP4", "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", tcp("255.255.255.255:65535"), tcp("255.255.255.255:65535"), false, 0},
	{"v1 TCP6", "PROXY TCP6 2001:db8::1 2001:db8::2 4711 1883\r\n", tcp("[2001:db8::1]:4711"), tcp("[2001:db8::2]:1883"), false, 0},
	{"v1 shortest TCP6", "PROXY TCP6 :: :: 0 0\r\n", tcp("[::]:0"), tcp("[::]:0"), false, 0},
	{"v1 longest TCP6", "PROXY TCP6 " + strings.Repeat("ffff:", 7) + "ffff " + strings.Repeat("ffff:", 7) + "ffff 65535 65535\r\n",
		tcp("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"), tcp("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"), false, 0},
	{"v1 UNKNOWN", "PROXY UNKNOWN\r\n", nil, nil, false, 0},
	{"v1 UNKNOWN and more", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", nil, nil, false, 0},
	{"v2 TCP4", v2(0x21, 0x11, ends4), tcp("192.0.2.7:4711"), tcp("198.51.100.1:1883"), false, 0},
	{"v2 TCP6", v2(0x21, 0x21, ends6), tcp("[2001:db8::1]:4711"), tcp("[2001:db8::2]:1883"), false, 0},
	{"v2 UDP4", v2(0x21, 0x12, ends4), net.UDPAddrFromAddrPort(tcp("192.0.2.7:4711").(*net.TCPAddr).AddrPort()),
		net.UDPAddrFromAddrPort(tcp("198.51.100.1:1883").(*net.TCPAddr).AddrPort()), false, 0},
	{"v2 Unix", v2(0x21, 0x31, pad("/a")+pad("/b")), &net.UnixAddr{Name: "/a", Net: "unix"}, &net.UnixAddr{Name: "/b", Net: "unix"}, false, 0},
	{"v2 LOCAL", v2(0x20, 0x00, ""), nil, nil, true, 0},
	{"v2 LOCAL with addresses", v2(0x20, 0x11, ends4), nil, nil, true, 0},
	{"v2 LOCAL without addresses of its family", v2(0x20, 0x11, ""), nil, nil, true, 0},
	{"v2 unspecified", v2(0x21, 0x00, ""), nil, nil, false, 0},
	{"v2 unspecified transport", v2(0x21, 0x10, ends4), nil, nil, false, 0},
	{"v2 TLVs", v2(0x21, 0x11, ends4+tlv(TypeAuthority, "x")+tlv(0xEE, "")), tcp("192.0.2.7:4711"), tcp("198.51.100.1:1883"), false, 2},
	{"v2 checksum", summed(tlv(TypeNoop, "abc"), tlv(TypeALPN, "mqtt")), tcp("192.0.2.7:4711"), tcp("198.51.100.1:1883"), false, 3},
	{"v2 as long as allowed", v2(0x21, 0x11, ends4+tlv(TypeNoop, strings.Repeat("x", DefaultMaxBytes-fixedV2-len(ends4)-3))),
		tcp("192.0.2.7:4711"), tcp("198.51.100.1:1883"), false, 1},
}

func TestGoodHeadersLeaveWhatFollows(t *testing.T) {
	for _, tt := range good {
		for _, slow := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", tt.name, slow), func(t *testing.T) {
				rest := strings.NewReader(tt.raw + "\x10rest")
				r := io.Reader(rest)
				if slow {
					r = iotest.OneByteReader(rest)
				}
				h, err := ReadFrom(r, DefaultMaxBytes)
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(h.Source, tt.src) || !reflect.DeepEqual(h.Destination, tt.dst) {
					t.Errorf("%v → %v, want %v → %v", h.Source, h.Destination, tt.src, tt.dst)
				}
				if version := int(tt.name[1] - '0'); h.Version != version || h.Local != tt.local || len(h.TLVs) != tt.tlvs {
					t.Errorf("%+v", h)
				}
				if left, _ := io.ReadAll(rest); string(left) != "\x10rest" {
					t.Errorf("left %q", left)
				}
			})
		}
	}
}

func TestBadHeaders(t *testing.T) {
	for _, tt := range []struct {
		name string
		raw  string
		want error
	}{
		{"MQTT", "\x10\x0c\x00\x04MQTT\x05", ErrNoHeader},
		{"TLS", "\x16\x03\x01", ErrNoHeader},
		{"one wrong byte", "G", ErrNoHeader},
		{"almost v1", "PROXZ", ErrNoHeader},
		{"almost v2", "\r\n\r\n\x00\r\nQUIX", ErrNoHeader},
		{"nothing", "", io.ErrUnexpectedEOF},
		{"v1 cut short", "PROXY TCP4 192.0.2.7 198.51.100.1 47", io.ErrUnexpectedEOF},
		{"v2 cut short", v2(0x21, 0x11, ends4)[:20], io.ErrUnexpectedEOF},
		{"v1 without an end", "PROXY UNKNOWN " + strings.Repeat("x", 200), ErrTooLong},
		{"v1 a byte too long", "PROXY UNKNOWN " + strings.Repeat("x", maxV1-15) + "\r\n", ErrTooLong},
		{"v1 LF alone", "PROXY TCP4 192.0.2.7 198.51.100.1 4711 1883\n", ErrMalformed},
		{"v1 LF within", "PROXY UNKNOWN\n" + strings.Repeat("x", 20) + "\r\n", ErrMalformed},
		{"v1 family", "PROXY UDP4 192.0.2.7 198.51.100.1 4711 1883\r\n", ErrMalformed},
		{"v1 family in lower case", "PROXY tcp4 192.0.2.7 198.51.100.1 4711 1883\r\n", ErrMalformed},
		{"v1 field missing", "PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n", ErrMalformed},
		{"v1 field too many", "PROXY TCP4 192.0.2.7 198.51.100.1 4711 1883 \r\n", ErrMalformed},
		{"v1 two spaces", "PROXY TCP4  192.0.2.7 198.51.100.1 4711 1883\r\n", ErrMalformed},
		{"v1 IPv6 as TCP4", "PROXY TCP4 2001:db8::1 198.51.100.1 4711 1883\r\n", ErrMalformed},
		{"v1 IPv4 as TCP6", "PROXY TCP6 192.0.2.7 198.51.100.1 4711 1883\r\n", ErrMalformed},
		{"v1 zone", "PROXY TCP6 fe80::1%eth0 fe80::2 4711 1883\r\n", ErrMalformed},
		{"v1 leading zero", "PROXY TCP4 192.0.2.07 198.51.100.1 4711 1883\r\n", ErrMalformed},
		{"v1 port too large", "PROXY TCP4 192.0.2.7 198.51.100.1 65536 1883\r\n", ErrMalformed},
		{"v1 port with a sign", "PROXY TCP4 192.0.2.7 198.51.100.1 +4711 1883\r\n", ErrMalformed},
		{"v1 port with a zero", "PROXY TCP4 192.0.2.7 198.51.100.1 04711 1883\r\n", ErrMalformed},
		{"v2 version 1", v2(0x11, 0x11, ends4), ErrMalformed},
		{"v2 command 2", v2(0x22, 0x11, ends4), ErrMalformed},
		{"v2 family 4", v2(0x21, 0x41, ends4), ErrMalformed},
		{"v2 transport 3", v2(0x21, 0x13, ends4), ErrMalformed},
		{"v2 addresses cut short", v2(0x21, 0x11, ends4[1:]), ErrMalformed},
		{"v2 TLV cut short", v2(0x21, 0x11, ends4+"\x02\x00"), ErrMalformed},
		{"v2 TLV claims too much", v2(0x21, 0x11, ends4+"\x02\x00\x02x"), ErrMalformed},
		{"v2 wrong checksum", strings.Replace(summed("", ""), "\xc0\x00\x02\x07", "\xc0\x00\x02\x08", 1), ErrMalformed},
		{"v2 short checksum", v2(0x21, 0x11, ends4+tlv(TypeCRC32C, "abc")), ErrMalformed},
		{"v2 too long", v2(0x21, 0x11, ends4+tlv(TypeNoop, strings.Repeat("x", DefaultMaxBytes))), ErrTooLong},
		{"v2 claims too much", v2(0x21, 0x11, ends4)[:14] + "\xff\xff", ErrTooLong},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := ReadFrom(strings.NewReader(tt.raw), DefaultMaxBytes)
			if !errors.Is(err, tt.want) || !reflect.DeepEqual(h, Header{}) {
				t.Errorf("%+v, %v; want %v", h, err, tt.want)
			}
		})
	}
}

// A client that sends something short and waits is told at once that it is not a proxy.
func TestOtherProtocolsAreSeenAtOnce(t *testing.T) {
	client, server := memnet.Pipe()
	defer client.Close()
	defer server.Close()
	client.Write([]byte("\xc0\x00")) // PINGREQ, and nothing more
	if _, err := Read(server); err != ErrNoHeader {
		t.Errorf("err = %v", err)
	}
}

func TestSSL(t *testing.T) {
	ssl := func(client byte, verify uint32, subs string) string {
		return tlv(TypeSSL, string(binary.BigEndian.AppendUint32([]byte{client}, verify))+subs)
	}
	cn := tlv(subtypeCN, "sensor-7")
	for _, tt := range []struct {
		name string
		tlvs string
		want SSL
		ok   bool
	}{
		{"none", tlv(TypeAuthority, "mqtt.example"), SSL{}, false},
		{"too short", tlv(TypeSSL, "\x01\x00"), SSL{}, false},
		{"malformed within", ssl(1, 0, "\x22\x00"), SSL{}, false},
		{"no certificate", ssl(1, 0, tlv(subtypeVersion, "TLSv1.3")), SSL{TLS: true, Version: "TLSv1.3"}, true},
		{"verified", ssl(3, 0, cn+tlv(subtypeCipher, "X")), SSL{TLS: true, Certificate: true, Verified: true, CommonName: "sensor-7", Cipher: "X"}, true},
		{"resumed", ssl(5, 0, cn), SSL{TLS: true, Certificate: true, Verified: true, CommonName: "sensor-7"}, true},
		{"not verified", ssl(3, 20, cn), SSL{TLS: true, Certificate: true, CommonName: "sensor-7"}, true},
		{"claims a name without a certificate", ssl(1, 0, cn), SSL{TLS: true, CommonName: "sensor-7"}, true},
	} {
		h, err := ReadFrom(strings.NewReader(v2(0x21, 0x11, ends4+tt.tlvs)), DefaultMaxBytes)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := h.SSL(); got != tt.want || ok != tt.ok {
			t.Errorf("%s: %+v, %v", tt.name, got, ok)
		}
		if a := h.Authority(); (a == "mqtt.example") != (tt.name == "none") {
			t.Errorf("%s: authority %q", tt.name, a)
		}
	}
}

func TestConnReportsAddresses(t *testing.T) {
	for raw, want := range map[string]string{
		"PROXY TCP4 192.0.2.7 198.51.100.1 4711 1883\r\n": "192.0.2.7:4711 198.51.100.1:1883",
		"PROXY UNKNOWN\r\n":   "the proxy the server",
		v2(0x20, 0x11, ends4): "the proxy the server",
	} {
		client, server := memnet.PipeWith(memnet.Options{ClientAddr: memnet.Addr("the proxy"), ServerAddr: memnet.Addr("the server")})
		io.WriteString(client, raw+"hello")
		c, err := Accept(server)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(c.RemoteAddr(), " ", c.LocalAddr()); got != want {
			t.Errorf("%q: addresses %s, want %s", raw, got, want)
		}
		b := make([]byte, 5)
		if _, err := io.ReadFull(c, b); string(b) != "hello" || err != nil || c.NetConn() != net.Conn(server) {
			t.Errorf("%q: then %q, %v", raw, b, err)
		}
		c.Close()
		client.Close()
	}
}

func drawAddr(t *rapid.T, label string) net.IP {
	n := rapid.SampledFrom([]int{4, 16}).Draw(t, label+" length")
	return rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, label)
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Header{Local: rapid.Bool().Draw(t, "local")}
		src := &net.TCPAddr{IP: drawAddr(t, "source"), Port: rapid.IntRange(0, 65535).Draw(t, "source port")}
		dst := &net.TCPAddr{IP: drawAddr(t, "destination"), Port: rapid.IntRange(0, 65535).Draw(t, "destination port")}
		if !h.Local {
			h.Source, h.Destination = src, dst
		}
		for range rapid.IntRange(0, 3).Draw(t, "TLVs") {
			kind := rapid.ByteRange(0x40, 0xFF).Draw(t, "type")
			h.TLVs = append(h.TLVs, TLV{kind, rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "value")})
		}
		raw, err := h.AppendV2(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ReadFrom(bytes.NewReader(raw), DefaultMaxBytes)
		if err != nil || fmt.Sprint(got.TLVs) != fmt.Sprint(h.TLVs) || got.Local != h.Local {
			t.Fatalf("%+v, %v; want %+v", got, err, h)
		}
		checkEnds(t, got, h)
		if got, err = ReadFrom(bytes.NewReader(h.AppendV1(nil)), DefaultMaxBytes); err != nil {
			t.Fatal(err)
		}
		checkEnds(t, got, h)
	})
}

func checkEnds(t *rapid.T, got, want Header) {
	for _, pair := range [][2]net.Addr{{got.Source, want.Source}, {got.Destination, want.Destination}} {
		if (pair[0] == nil) != (pair[1] == nil) {
			t.Fatalf("%v, want %v", pair[0], pair[1])
		}
		if pair[0] == nil {
			continue
		}
		g, w := pair[0].(*net.TCPAddr), pair[1].(*net.TCPAddr)
		if !g.IP.Equal(w.IP) || g.Port != w.Port {
			t.Fatalf("%v, want %v", g, w)
		}
	}
}

func TestAppendV2RefusesWhatDoesNotFit(t *testing.T) {
	for _, sizes := range [][]int{{70_000}, {40_000, 40_000}} {
		h := Header{Source: tcp("1.1.1.1:1"), Destination: tcp("2.2.2.2:2")}
		for _, n := range sizes {
			h.TLVs = append(h.TLVs, TLV{TypeNoop, make([]byte, n)})
		}
		if b, err := h.AppendV2([]byte("x")); !errors.Is(err, ErrTooLong) || string(b) != "x" {
			t.Errorf("%v: %d bytes, %v", sizes, len(b), err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, tt := range good {
		f.Add([]byte(tt.raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := bytes.NewReader(raw)
		h, err := ReadFrom(r, DefaultMaxBytes)
		used := raw[:len(raw)-r.Len()]
		if len(used) > DefaultMaxBytes {
			t.Fatalf("took %d bytes", len(used))
		}
		if err != nil {
			if !reflect.DeepEqual(h, Header{}) {
				t.Fatalf("%v with %+v", err, h)
			}
			return
		}
		h.SSL()
		if (h.Source == nil) != (h.Destination == nil) {
			t.Fatalf("one address only: %+v", h)
		}
		// The header's end does not depend on what follows.
		again, err := ReadFrom(bytes.NewReader(used), DefaultMaxBytes)
		if err != nil || !reflect.DeepEqual(again, h) {
			t.Fatalf("alone: %+v, %v; before: %+v", again, err, h)
		}
	})
}

package proxyproto

import (
	"encoding/binary"
	"hash/crc32"
)

// The types of TLVs that the specification names.
const (
	TypeALPN      byte = 0x01
	TypeAuthority byte = 0x02 // the host name that the client asked for (SNI)
	TypeCRC32C    byte = 0x03
	TypeNoop      byte = 0x04
	TypeUniqueID  byte = 0x05
	TypeSSL       byte = 0x20
	TypeNetNS     byte = 0x30
)

// The types of the TLVs within TypeSSL.
const (
	subtypeVersion byte = 0x21
	subtypeCN      byte = 0x22
	subtypeCipher  byte = 0x23
)

// The bits that say what the client did, in a TypeSSL value.
const (
	clientSSL      = 0x01
	clientCertConn = 0x02 // a certificate came over this connection
	clientCertSess = 0x04 // a certificate came at least once in this TLS session
)

// TLV is a header's extension: a type and a value.
type TLV struct {
	Type  byte
	Value []byte
}

func (t TLV) appendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(append(dst, t.Type), uint16(len(t.Value)))
	return append(dst, t.Value...)
}

func parseTLVs(b []byte) ([]TLV, error) {
	var tlvs []TLV
	for len(b) > 0 {
		if len(b) < 3 {
			return nil, malformed("TLV cut short")
		}
		n := int(binary.BigEndian.Uint16(b[1:]))
		if len(b) < 3+n {
			return nil, malformed("TLV %#02x claims %d bytes, %d are left", b[0], n, len(b)-3)
		}
		tlvs = append(tlvs, TLV{b[0], b[3 : 3+n : 3+n]})
		b = b[3+n:]
	}
	return tlvs, nil
}

// checkCRC verifies the checksum over the whole header, if it has one. The TLVs begin at the given offset.
func checkCRC(whole []byte, at int, tlvs []TLV) error {
	for _, t := range tlvs {
		if t.Type != TypeCRC32C {
			at += 3 + len(t.Value)
			continue
		}
		if len(t.Value) != 4 {
			return malformed("checksum of %d bytes", len(t.Value))
		}
		var zero [4]byte
		table := crc32.MakeTable(crc32.Castagnoli)
		sum := crc32.Update(0, table, whole[:at+3])
		sum = crc32.Update(sum, table, zero[:])
		if crc32.Update(sum, table, whole[at+7:]) != binary.BigEndian.Uint32(t.Value) {
			return malformed("checksum is wrong")
		}
		return nil
	}
	return nil
}

func find(tlvs []TLV, kind byte) ([]byte, bool) {
	for _, t := range tlvs {
		if t.Type == kind {
			return t.Value, true
		}
	}
	return nil, false
}

// Value returns the value of the first TLV of a type.
func (h *Header) Value(kind byte) ([]byte, bool) { return find(h.TLVs, kind) }

// Authority returns the host name that the client asked the proxy for, "" if there is none.
func (h *Header) Authority() string {
	v, _ := h.Value(TypeAuthority)
	return string(v)
}

// SSL is what a proxy says about the TLS connection that it ended.
type SSL struct {
	TLS         bool // the client spoke TLS
	Certificate bool // it showed a certificate
	Verified    bool // and the proxy verified that
	Version     string
	Cipher      string
	CommonName  string // of the certificate's subject; not to be relied on unless Verified
}

// SSL returns what the proxy says about TLS; ok is false if it says nothing, or nothing sensible.
func (h *Header) SSL() (s SSL, ok bool) {
	v, ok := h.Value(TypeSSL)
	if !ok || len(v) < 5 {
		return SSL{}, false
	}
	subs, err := parseTLVs(v[5:])
	if err != nil {
		return SSL{}, false
	}
	client := v[0]
	s.TLS = client&clientSSL != 0
	s.Certificate = client&(clientCertConn|clientCertSess) != 0
	s.Verified = s.Certificate && binary.BigEndian.Uint32(v[1:]) == 0
	for kind, to := range map[byte]*string{subtypeVersion: &s.Version, subtypeCipher: &s.Cipher, subtypeCN: &s.CommonName} {
		value, _ := find(subs, kind)
		*to = string(value)
	}
	return s, true
}

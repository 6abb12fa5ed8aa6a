package proxyproto

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
)

// fixedV2 is the length of version 2's fixed part: signature, version and command, family, length.
const fixedV2 = len(signatureV2) + 4

// The commands, and the address families with their transports, of version 2.
const (
	commandLocal = 0
	commandProxy = 1

	familyUnspec = 0x0
	familyIPv4   = 0x1
	familyIPv6   = 0x2
	familyUnix   = 0x3

	transportUnspec = 0x0
	transportStream = 0x1
	transportDgram  = 0x2
)

// unixPath is the length of a Unix socket's path in a header, padded with zeros.
const unixPath = 108

// readV2 reads the rest of a header of version 2.
func readV2(r io.Reader, start []byte, maxBytes int) (Header, error) {
	whole := make([]byte, fixedV2, 128)
	copy(whole, start)
	if _, err := io.ReadFull(r, whole[len(start):]); err != nil {
		return Header{}, readError(err)
	}
	length := int(binary.BigEndian.Uint16(whole[fixedV2-2:]))
	if fixedV2+length > maxBytes {
		return Header{}, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLong, fixedV2+length, maxBytes)
	}
	// The buffer grows with what arrives, not with what is claimed.
	body := bytes.NewBuffer(whole)
	n, err := io.CopyN(body, r, int64(length))
	if n < int64(length) {
		return Header{}, readError(err)
	}
	return parseV2(body.Bytes())
}

// parseV2 parses a whole header, whose signature and length are right.
func parseV2(b []byte) (Header, error) {
	versionCommand, family, transport := b[12], b[13]>>4, b[13]&0xF
	if v := versionCommand >> 4; v != 2 {
		return Header{}, malformed("version %d", v)
	}
	h := Header{Version: 2}
	switch command := versionCommand & 0xF; command {
	case commandLocal: // addresses and families mean nothing
		h.Local = true
	case commandProxy:
	default:
		return Header{}, malformed("command %d", command)
	}
	if family > familyUnix || transport > transportDgram {
		return Header{}, malformed("family and transport %#02x", b[13])
	}
	size := addressesLen(family)
	rest := b[fixedV2:]
	if h.Local && len(rest) < size {
		return h, nil
	}
	if len(rest) < size {
		return Header{}, malformed("%d bytes are too few for the addresses", len(rest))
	}
	if !h.Local && transport != transportUnspec {
		h.Source, h.Destination = parseAddresses(family, transport, rest[:size])
	}
	var err error
	if h.TLVs, err = parseTLVs(rest[size:]); err != nil {
		return Header{}, err
	}
	if err := checkCRC(b, fixedV2+size, h.TLVs); err != nil {
		return Header{}, err
	}
	return h, nil
}

// addressesLen is how many bytes the two addresses take.
func addressesLen(family byte) int {
	switch family {
	case familyIPv4:
		return 2*4 + 2*2
	case familyIPv6:
		return 2*16 + 2*2
	case familyUnix:
		return 2 * unixPath
	}
	return 0
}

// parseAddresses parses the addresses, of which b holds exactly as many bytes as there must be.
func parseAddresses(family, transport byte, b []byte) (src, dst net.Addr) {
	switch family {
	case familyUnix:
		return unixAddr(transport, b[:unixPath]), unixAddr(transport, b[unixPath:])
	case familyIPv4, familyIPv6:
		n := (len(b) - 4) / 2
		from, _ := netip.AddrFromSlice(b[:n]) // 4 or 16 bytes
		to, _ := netip.AddrFromSlice(b[n : 2*n])
		ports := b[2*n:]
		return ipAddr(transport, from, ports), ipAddr(transport, to, ports[2:])
	}
	return nil, nil
}

func ipAddr(transport byte, ip netip.Addr, port []byte) net.Addr {
	ap := netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(port))
	if transport == transportDgram {
		return net.UDPAddrFromAddrPort(ap)
	}
	return net.TCPAddrFromAddrPort(ap)
}

func unixAddr(transport byte, path []byte) net.Addr {
	network := "unix"
	if transport == transportDgram {
		network = "unixgram"
	}
	return &net.UnixAddr{Name: string(bytes.TrimRight(path, "\x00")), Net: network}
}

// AppendV2 appends the header in version 2. It fails, with dst as it was, if the TLVs are too long for it.
func (h *Header) AppendV2(dst []byte) ([]byte, error) {
	command, family, addresses := byte(commandProxy), byte(0), []byte(nil)
	if h.Local {
		command = commandLocal
	} else {
		family, addresses = appendAddresses(h.Source, h.Destination)
	}
	rest := addresses
	for _, t := range h.TLVs {
		if len(t.Value) > 0xFFFF {
			return dst, fmt.Errorf("proxyproto: TLV %#02x of %d bytes: %w", t.Type, len(t.Value), ErrTooLong)
		}
		rest = t.appendTo(rest)
	}
	if len(rest) > 0xFFFF {
		return dst, fmt.Errorf("proxyproto: writing header: %w", ErrTooLong)
	}
	dst = append(append(dst, signatureV2...), 2<<4|command, family)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(rest)))
	return append(dst, rest...), nil
}

// appendAddresses encodes two addresses of one kind; of others the family is unspecified.
func appendAddresses(src, dst net.Addr) (family byte, b []byte) {
	switch s := src.(type) {
	case *net.TCPAddr:
		if d, ok := dst.(*net.TCPAddr); ok {
			return appendIPs(transportStream, s.AddrPort(), d.AddrPort())
		}
	case *net.UDPAddr:
		if d, ok := dst.(*net.UDPAddr); ok {
			return appendIPs(transportDgram, s.AddrPort(), d.AddrPort())
		}
	case *net.UnixAddr:
		if d, ok := dst.(*net.UnixAddr); ok && len(s.Name) <= unixPath && len(d.Name) <= unixPath {
			b = make([]byte, 2*unixPath)
			copy(b, s.Name)
			copy(b[unixPath:], d.Name)
			return familyUnix<<4 | transportStream, b
		}
	}
	return familyUnspec<<4 | transportUnspec, nil
}

func appendIPs(transport byte, src, dst netip.AddrPort) (family byte, b []byte) {
	a, z, is4 := pairOf(src.Addr(), dst.Addr())
	family = familyIPv6
	if is4 {
		family = familyIPv4
	}
	b = append(a.AsSlice(), z.AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, src.Port())
	return family<<4 | transport, binary.BigEndian.AppendUint16(b, dst.Port())
}

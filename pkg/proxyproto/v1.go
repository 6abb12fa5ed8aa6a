package proxyproto

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// maxV1 is the length of the longest header of version 1, with its line end.
const maxV1 = 107

// readV1 reads the rest of a header of version 1. Its end shows only at the line end, so it is read byte by byte: as
// much as it must still have at least is read at once.
func readV1(r io.Reader, start []byte) (Header, error) {
	line := make([]byte, len(start), maxV1)
	copy(line, start)
	switch {
	case strings.HasPrefix(string(line), "PROXY TCP4 "):
		line = line[:len("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n")]
	case strings.HasPrefix(string(line), "PROXY TCP6 "):
		line = line[:len("PROXY TCP6 :: :: 0 0\r\n")]
	}
	for have := len(start); ; {
		if _, err := io.ReadFull(r, line[have:]); err != nil {
			return Header{}, readError(err)
		}
		if line[len(line)-1] == '\n' {
			return parseV1(string(line))
		}
		if have = len(line); have == maxV1 {
			return Header{}, fmt.Errorf("%w: no line end within %d bytes", ErrTooLong, maxV1)
		}
		line = line[:have+1]
	}
}

// parseV1 parses a line with its end.
func parseV1(line string) (Header, error) {
	body, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.Contains(body, "\n") {
		return Header{}, malformed("line does not end with CR LF")
	}
	fields := strings.Split(body, " ")
	h := Header{Version: 1}
	switch family := fields[1]; {
	case family == "UNKNOWN": // whatever follows means nothing
		return h, nil
	case family != "TCP4" && family != "TCP6":
		return Header{}, malformed("family %q", family)
	case len(fields) != 6:
		return Header{}, malformed("%d fields, not 6", len(fields))
	}
	is4 := fields[1] == "TCP4"
	var errs [2]error
	h.Source, errs[0] = parseEndV1(is4, fields[2], fields[4])
	h.Destination, errs[1] = parseEndV1(is4, fields[3], fields[5])
	if err := errors.Join(errs[:]...); err != nil {
		return Header{}, err
	}
	return h, nil
}

// parseEndV1 parses an address and a port.
func parseEndV1(is4 bool, host, port string) (net.Addr, error) {
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Is4() != is4 || ip.Zone() != "" {
		return nil, malformed("address %q", host)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != port { // no sign, no leading zero
		return nil, malformed("port %q", port)
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip.Unmap(), uint16(n))), nil
}

// AppendV1 appends the header in version 1, in which only TCP addresses can be said; others become UNKNOWN.
func (h *Header) AppendV1(dst []byte) []byte {
	src, ok1 := h.Source.(*net.TCPAddr)
	to, ok2 := h.Destination.(*net.TCPAddr)
	if !ok1 || !ok2 {
		return append(dst, "PROXY UNKNOWN\r\n"...)
	}
	a, b, is4 := pairOf(src.AddrPort().Addr(), to.AddrPort().Addr())
	family := "TCP6"
	if is4 {
		family = "TCP4"
	}
	return fmt.Appendf(dst, "PROXY %s %s %s %d %d\r\n", family, a, b, src.Port, to.Port)
}

// pairOf brings two addresses to one family: IPv4 if both are, otherwise IPv6.
func pairOf(a, b netip.Addr) (netip.Addr, netip.Addr, bool) {
	a, b = a.Unmap().WithZone(""), b.Unmap().WithZone("")
	if a.Is4() && b.Is4() {
		return a, b, true
	}
	return netip.AddrFrom16(a.As16()), netip.AddrFrom16(b.As16()), false
}

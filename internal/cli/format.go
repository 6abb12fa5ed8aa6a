package cli

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

const formatHelp = "%t topic, %p payload, %x payload in hexadecimal, %l its length, %m packet identifier, %q QoS, %r retained, " +
	"%I time, %U time in seconds, %%; \\n, \\t and \\\\"

// checkFormat returns what is wrong with a format of sub -F.
func checkFormat(format string) error {
	for i := 0; i < len(format); i++ {
		known := ""
		switch format[i] {
		case '%':
			known = "tpxlmqrIU%"
		case '\\':
			known = `nt\`
		default:
			continue
		}
		if i++; i == len(format) || strings.IndexByte(known, format[i]) < 0 {
			return fmt.Errorf("-F: after %q comes one of %s", format[i-1], known)
		}
	}
	return nil
}

// appendMessage appends a message as a format that checkFormat found good says.
func appendMessage(dst []byte, format string, p *paho.Publish, now time.Time) []byte {
	for i := 0; i < len(format); i++ {
		switch format[i] {
		case '%':
			i++
			dst = appendVerb(dst, format[i], p, now)
		case '\\':
			i++
			dst = append(dst, map[byte]byte{'n': '\n', 't': '\t', '\\': '\\'}[format[i]])
		default:
			dst = append(dst, format[i])
		}
	}
	return dst
}

func appendVerb(dst []byte, verb byte, p *paho.Publish, now time.Time) []byte {
	switch verb {
	case 't':
		return append(dst, p.Topic...)
	case 'p':
		return append(dst, p.Payload...)
	case 'x':
		return hex.AppendEncode(dst, p.Payload)
	case 'l':
		return strconv.AppendInt(dst, int64(len(p.Payload)), 10)
	case 'm':
		return strconv.AppendUint(dst, uint64(p.PacketID), 10)
	case 'q':
		return strconv.AppendUint(dst, uint64(p.QoS), 10)
	case 'r':
		if p.Retain {
			return append(dst, '1')
		}
		return append(dst, '0')
	case 'I':
		return now.AppendFormat(dst, time.RFC3339)
	case 'U':
		return strconv.AppendInt(dst, now.Unix(), 10)
	}
	return append(dst, verb)
}

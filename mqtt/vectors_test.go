package mqtt_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/mqtt"
)

// vector is a line of testdata/vectors.
type vector struct {
	name       string
	version    mqtt.Version
	packet     []byte
	result     string // "ok", "incomplete" or a reason code
	statements []string
}

func (v vector) String() string { return fmt.Sprintf("%s (%s)", v.name, v.version) }

// readVectors returns the vectors of each file.
func readVectors(t testing.TB) map[string][]vector {
	t.Helper()
	names, err := filepath.Glob("testdata/vectors/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	files := map[string][]vector{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if line == "" || line[0] == '#' {
				continue
			}
			v, err := parseVector(line)
			if err != nil {
				t.Fatalf("%s:%d: %v", name, i+1, err)
			}
			base := strings.TrimSuffix(filepath.Base(name), ".txt")
			files[base] = append(files[base], v)
		}
	}
	return files
}

func parseVector(line string) (vector, error) {
	fields := strings.Split(line, " | ")
	if len(fields) != 5 {
		return vector{}, fmt.Errorf("%d fields instead of 5", len(fields))
	}
	versions := map[string]mqtt.Version{"3.1": mqtt.V31, "3.1.1": mqtt.V311, "5.0": mqtt.V5}
	v := vector{name: fields[0], version: versions[fields[1]], result: fields[3]}
	if v.version == 0 {
		return vector{}, fmt.Errorf("version %q", fields[1])
	}
	var err error
	v.packet, err = hex.DecodeString(strings.ReplaceAll(fields[2], " ", ""))
	if fields[4] != "-" {
		v.statements = strings.Split(fields[4], ",")
	}
	return v, err
}

// decodeWhole decodes b, which must be one packet and nothing else.
func decodeWhole(b []byte, v mqtt.Version) (mqtt.Packet, error) {
	h, n, err := mqtt.DecodeHeader(b)
	if err != nil {
		return nil, err
	}
	if len(b)-n != int(h.Remaining) {
		return nil, fmt.Errorf("the vector has %d bytes after its header, which says %d", len(b)-n, h.Remaining)
	}
	return mqtt.Decode(h, b[n:], v)
}

func TestVectors(t *testing.T) {
	for file, vectors := range readVectors(t) {
		t.Run(file, func(t *testing.T) {
			for _, v := range vectors {
				packet, err := decodeWhole(v.packet, v.version)
				switch v.result {
				case "ok":
					if err != nil {
						t.Errorf("%v: %v", v, err)
						continue
					}
					checkRoundTrip(t, v.String(), packet, v.version)
				case "incomplete":
					if !errors.Is(err, mqtt.ErrIncomplete) {
						t.Errorf("%v: got %v, want ErrIncomplete", v, err)
					}
				default:
					checkDecodeError(t, v, err)
				}
			}
		})
	}
}

func checkDecodeError(t *testing.T, v vector, err error) {
	t.Helper()
	var e *mqtt.DecodeError
	if !errors.As(err, &e) {
		t.Errorf("%v: got %v, want reason code %s", v, err, v.result)
		return
	}
	statement := ""
	if len(v.statements) > 0 {
		statement = v.statements[0]
	}
	if got := fmt.Sprintf("0x%02x", uint8(e.Code)); got != v.result || e.Statement != statement {
		t.Errorf("%v: got %s (%v), want %s [%s]", v, got, err, v.result, statement)
	}
	if !errors.Is(err, e.Code) {
		t.Errorf("%v: the error does not unwrap to its code", v)
	}
	if e.Offset < 0 || e.Offset > len(v.packet) {
		t.Errorf("%v: offset %d is outside of the packet", v, e.Offset)
	}
}

// checkRoundTrip encodes a packet that was decoded, and wants the same when that is decoded. What it encodes must also be
// the shortest form: encoding again changes nothing.
func checkRoundTrip(t testing.TB, name string, packet mqtt.Packet, v mqtt.Version) {
	t.Helper()
	prefix := []byte("before")
	encoded, err := packet.AppendTo(prefix, v)
	if err != nil {
		t.Errorf("%s: decoded, but not encoded: %v", name, err)
		return
	}
	if string(encoded[:len(prefix)]) != "before" {
		t.Errorf("%s: AppendTo changed what was there", name)
	}
	again, err := decodeWhole(encoded[len(prefix):], v)
	if err != nil {
		t.Errorf("%s: encoded as %x, which does not decode: %v", name, encoded[len(prefix):], err)
		return
	}
	if !reflect.DeepEqual(packet, again) {
		t.Errorf("%s: encoded as %x\n got %+v\nwant %+v", name, encoded[len(prefix):], again, packet)
	}
}

// TestStatementsHaveVectors keeps the vectors from losing a statement that the bytes of a packet can break.
func TestStatementsHaveVectors(t *testing.T) {
	broken := map[string]bool{}
	for _, vectors := range readVectors(t) {
		for _, v := range vectors {
			if v.result == "ok" || v.result == "incomplete" {
				continue
			}
			for _, s := range v.statements {
				broken[fmt.Sprintf("%v:%s", v.version == mqtt.V5, s)] = true
			}
		}
	}
	for _, s := range visibleV5 {
		if !broken["true:MQTT-"+s] {
			t.Errorf("no vector breaks statement MQTT-%s of version 5", s)
		}
	}
	for _, s := range visibleV3 {
		if !broken["false:MQTT-"+s] {
			t.Errorf("no vector breaks statement MQTT-%s of 3.1.1", s)
		}
	}
}

// The statements that a single packet's bytes can break.
var (
	visibleV5 = strings.Fields(`1.5.4-1 1.5.4-2 1.5.5-1 1.5.7-1 2.1.3-1 2.2.1-3 2.2.1-5 2.2.1-6 2.2.2-1
		3.1.2-1 3.1.2-2 3.1.2-3 3.1.2-9 3.1.2-11 3.1.2-12 3.1.2-13 3.1.3-11 3.1.3-12 3.2.2-1 3.2.2-6 3.2.2-8
		3.3.1-2 3.3.1-4 3.3.2-1 3.3.2-2 3.3.2-8 3.3.2-13 3.3.2-14 3.3.2-19 3.4.2-1 3.5.2-1 3.6.1-1 3.6.2-1 3.7.2-1
		3.8.1-1 3.8.3-1 3.8.3-2 3.8.3-4 3.8.3-5 3.9.3-1 3.9.3-2 3.10.1-1 3.10.3-1 3.10.3-2 3.11.3-1 3.11.3-2
		3.14.1-1 3.14.2-1 3.15.1-1 3.15.2-1 4.7.0-1 4.7.3-1 4.7.3-2`)
	visibleV3 = strings.Fields(`1.4.0-1 1.4.0-2 2.2.2-2 2.3.1-1 2.3.1-6 2.3.1-7 3.1.2-1 3.1.2-2 3.1.2-3 3.1.2-13
		3.1.2-14 3.1.2-15 3.1.2-22 3.1.3-4 3.1.3-10 3.1.3-11 3.2.2-4 3.3.1-2 3.3.1-4 3.3.2-1 3.3.2-2 3.6.1-1 3.8.1-1
		3.8.3-1 3.8.3-3 3.8.3-4 3.9.3-1 3.9.3-2 3.10.1-1 3.10.3-1 3.10.3-2 3.14.1-1 4.7.1-1 4.7.3-1 4.7.3-2`)
)

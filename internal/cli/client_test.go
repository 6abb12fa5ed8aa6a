package cli

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/barid-mqtt/barid/mqtt"
)

func TestClientFlags(t *testing.T) {
	for _, tt := range []struct {
		args   string
		server string // the URL that is connected to
		topic  string // of -L
		err    string
	}{
		{args: "", server: "mqtt://localhost:1883"},
		{args: "-h 10.0.0.1 -p 2883", server: "mqtt://10.0.0.1:2883"},
		{args: "-h ::1", server: "mqtt://[::1]:1883"},
		{args: "--insecure", server: "mqtts://localhost:8883"},
		{args: "-L mqtt://host", server: "mqtt://host:1883"},
		{args: "-L mqtts://host/a/b", server: "mqtts://host:8883", topic: "a/b"},
		{args: "-L mqtt://user:secret@host:7/t", server: "mqtt://host:7", topic: "t"},
		{args: "-L ws://host", server: "ws://host:80/mqtt"},
		{args: "-L wss://host:8084/path", server: "wss://host:8084/path"},
		{args: "--unix /run/b.sock", server: "unix:///run/b.sock"},
		{args: "-L http://host", err: "-L http://host: give mqtt://"},
		{args: "-L mqtt://", err: "and a host"},
		{args: "-L mqtt://host:port", err: "-L: invalid port"},
		{args: "-p 70000", err: "-p is from 1 to 65535"},
		{args: "-q 3", err: "a QoS is 0, 1 or 2"},
		{args: "--will-topic w --will-qos 3", err: "a QoS is 0, 1 or 2"},
		{args: "--will-retain", err: "a will needs --will-topic"},
		{args: "-V mqttv311", err: "-V mqttv311: only mqttv5 is spoken"},
		{args: "-k 65536", err: "-k is from 0 to 65535"},
		{args: "-x 4294967296", err: "-x is from 0 to 4294967295"},
		{args: "-c", err: "-c needs a client id: -i"},
		{args: "--cert a", err: "--cert and --key belong together"},
		{args: "--cafile /does/not/exist", err: "--cafile: open /does/not/exist"},
	} {
		o := &clientOptions{}
		if err := o.flags("test").Parse(strings.Fields(tt.args)); err != nil {
			t.Errorf("%s: %v", tt.args, err)
			continue
		}
		topic, err := o.complete()
		switch {
		case tt.err != "":
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: got %v, want %s", tt.args, err, tt.err)
			}
		case err != nil:
			t.Errorf("%s: %v", tt.args, err)
		case o.server.String() != tt.server || topic != tt.topic:
			t.Errorf("%s: got %s and topic %q, want %s and %q", tt.args, o.server, topic, tt.server, tt.topic)
		}
	}
}

func TestURLHoldsTheCredentials(t *testing.T) {
	o := &clientOptions{}
	if err := o.flags("test").Parse([]string{"-L", "mqtt://user:secret@host"}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.complete(); err != nil {
		t.Fatal(err)
	}
	if o.username != "user" || o.password != "secret" {
		t.Errorf("got %q and %q", o.username, o.password)
	}
}

func TestSessionExpiryOfTheFlags(t *testing.T) {
	for args, want := range map[string]uint32{"": 0, "-x 60": 60, "-c -i me": mqtt.NeverExpires, "-c -i me -x 60": 60} {
		o := &clientOptions{}
		if err := o.flags("test").Parse(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		if _, err := o.complete(); err != nil {
			t.Fatal(err)
		}
		p := o.connectPacket()
		if got := *p.Properties.SessionExpiryInterval; got != want {
			t.Errorf("%s: got %d, want %d", args, got, want)
		}
		if p.CleanStart == strings.Contains(args, "-c") {
			t.Errorf("%s: clean start %t", args, p.CleanStart)
		}
	}
}

func TestPayloads(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("in\nfile\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		o     pubOptions
		stdin string
		want  []string
	}{
		{"a text", pubOptions{text: "x", hasText: true}, "", []string{"x"}},
		{"nothing", pubOptions{empty: true}, "", []string{""}},
		{"a file", pubOptions{file: file}, "", []string{"in\nfile\n"}},
		{"the whole input", pubOptions{whole: true}, "a\nb", []string{"a\nb"}},
		{"lines", pubOptions{lines: true}, "a\n\nb\n", []string{"a", "", "b"}},
		{"lines without a last end", pubOptions{lines: true}, "a\nb", []string{"a", "b"}},
		{"no line", pubOptions{lines: true}, "", nil},
	} {
		var got []string
		for payload, err := range tt.o.payloads(strings.NewReader(tt.stdin)) {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			got = append(got, string(payload))
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	broken := errors.New("broken")
	for _, err := range (&pubOptions{lines: true}).payloads(io.MultiReader(strings.NewReader("a"), failing{broken})) {
		if !errors.Is(err, broken) {
			t.Errorf("a broken input: got %v", err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestMessageFormat(t *testing.T) {
	p := &paho.Publish{Topic: "a/b", Payload: []byte("h\x00"), QoS: 1, Retain: true, PacketID: 7}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for format, want := range map[string]string{
		"%p": "h\x00", "%t %p": "a/b h\x00", "%x|%l|%m|%q|%r": "6800|2|7|1|1", "%I %U": "2026-01-02T03:04:05Z 1767323045", `100%%\t\n\\`: "100%\t\n\\", "": "",
	} {
		if err := checkFormat(format); err != nil {
			t.Errorf("%q: %v", format, err)
			continue
		}
		if got := string(appendMessage(nil, format, p, now)); got != want {
			t.Errorf("%q: got %q, want %q", format, got, want)
		}
	}
	for _, format := range []string{"%", "a%", "%z", `\`, `\x`} {
		if checkFormat(format) == nil {
			t.Errorf("%q: no error", format)
		}
	}
}

func TestPlainErrors(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	if got := plain(refused).Error(); got != "connection refused" {
		t.Errorf("got %q", got)
	}
	other := errors.New("other")
	if got := plain(other); !errors.Is(got, other) {
		t.Errorf("got %v", got)
	}
}

func TestFinalErrors(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{io.EOF, false},
		{&lostError{"", mqtt.ServerShuttingDown}, false},
		{&lostError{"", mqtt.SessionTakenOver}, true},
		{fmt.Errorf("cannot connect: %w", refused(0x86, "no")), true},
		{fmt.Errorf("cannot connect: %w", refused(0x89, "")), false},
	} {
		if got := final(tt.err); got != tt.want {
			t.Errorf("%v: got %t", tt.err, got)
		}
	}
}

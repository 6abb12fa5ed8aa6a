//go:build e2e && linux

package hostile

import (
	"crypto/tls"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/hostile"
	"github.com/barid-mqtt/barid/mqtt"
	"github.com/barid-mqtt/barid/pkg/websocket"
)

// Nobody without credentials gets anything on any port, and no file of the broker's is anybody else's to read.
func TestAStrangerGetsNothingOnAnyPort(t *testing.T) {
	b := start(t, 0)
	for _, name := range []string{"tcp", "tls", "ws", "wss", "proxy", "api"} {
		for _, c := range []mqtt.Connect{
			{}, {Username: evilUser, HasUsername: true},
			{Username: evilUser, HasUsername: true, Password: []byte("wrong"), HasPassword: true},
			{Username: "", HasUsername: true, Password: []byte(evilPassword), HasPassword: true},
		} {
			for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
				if v != mqtt.V5 && c.HasPassword && !c.HasUsername {
					continue
				}
				c.Version, c.ClientID, c.CleanStart = v, "stranger", true
				_, ack, err := hostile.Connect(b.transport(name), &c)
				if err == nil && !ack.Code.Failed() {
					t.Errorf("%s, version %v, user %q: accepted", name, v, c.Username)
				} else if err != nil {
					t.Errorf("%s, version %v, user %q: no answer: %v", name, v, c.Username, err)
				}
			}
		}
		b.silent(name)
	}
	b.closedAPI()
	b.closedFiles()
	b.stop()
}

// transport connects to a listener, as far as MQTT begins.
func (b *broker) transport(name string) net.Conn {
	b.t.Helper()
	b.strangers++ // each from an address of its own: failures of one address are answered ever more slowly
	from := &net.TCPAddr{IP: net.IPv4(127, 1, byte(b.strangers>>8), byte(b.strangers))}
	c, err := (&net.Dialer{Timeout: 5 * time.Second, LocalAddr: from}).Dial("tcp", b.addr[name])
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	switch name {
	case "proxy":
		_, _ = io.WriteString(c, "PROXY TCP4 192.0.2.1 192.0.2.2 1234 1883\r\n")
	case "tls", "wss":
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	if name == "ws" || name == "wss" || name == "api" {
		w, err := websocket.Client(c, websocket.ClientOptions{Host: "localhost", Path: "/mqtt", Subprotocols: []string{"mqtt"}})
		if err != nil {
			b.t.Fatalf("%s: %v", name, err)
		}
		return w
	}
	return c
}

// silent checks that packets which are no CONNECT are answered by nothing.
func (b *broker) silent(name string) {
	b.t.Helper()
	for _, pk := range []mqtt.Packet{
		&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.FilterOptions{{Filter: "#"}}}, &mqtt.Pingreq{},
		&mqtt.Publish{Topic: []byte("pair/x"), QoS: 1, PacketID: 1}, &mqtt.Auth{Code: mqtt.ContinueAuthentication, AuthMethod: "SCRAM-SHA-256", HasAuthMethod: true},
	} {
		p := &hostile.Peer{Conn: b.transport(name), Version: mqtt.V5}
		if err := p.Send(pk); err != nil {
			b.t.Error(err)
		}
		if answer, err := p.Receive(); err == nil && answer.Type() != mqtt.DISCONNECT {
			b.t.Errorf("%s: %v is answered by %v", name, pk.Type(), answer.Type())
		}
	}
}

// openPaths are answered to anybody: by no details, or by what says how to log in.
var openPaths = map[string]bool{
	"get /status": true, "get /healthz": true, "get /readyz": true, "post /api/v5/login": true, "get /mqtt": true,
	"get /api/v5/openapi.yaml": true, "get /api/v5/docs": true,
}

// closedAPI asks for every path of the contract.
func (b *broker) closedAPI() {
	b.t.Helper()
	contract, err := os.ReadFile("../../api/openapi.yaml")
	if err != nil {
		b.t.Fatal(err)
	}
	path, asked := "", 0
	for line := range strings.Lines(string(contract)) {
		if m := regexp.MustCompile(`^  (/\S*):\s*$`).FindStringSubmatch(line); m != nil {
			path = m[1]
		} else if m := regexp.MustCompile(`^    (get|put|post|delete|patch):\s*$`).FindStringSubmatch(line); m != nil && path != "" {
			asked++
			b.refuses(m[1], regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(path, "x"))
		} else if strings.HasPrefix(line, "components:") {
			break
		}
	}
	if asked < 30 {
		b.t.Errorf("only %d paths were found", asked)
	}
}

func (b *broker) refuses(method, path string) {
	b.t.Helper()
	for _, authorization := range []string{"", "Basic YWRtaW46YWRtaW4=", "Bearer x"} {
		r, err := http.NewRequest(strings.ToUpper(method), "http://"+b.addr["api"]+path, strings.NewReader("{}"))
		if err != nil {
			b.t.Fatal(err)
		}
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		answer, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(r)
		if err != nil {
			b.t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusUnauthorized && !openPaths[method+" "+path] {
			b.t.Errorf("%s %s with %q is answered %d", method, path, authorization, answer.StatusCode)
		}
	}
}

// closedFiles looks at who may read what is in the data directory.
func (b *broker) closedFiles() {
	b.t.Helper()
	dir := filepath.Join(b.dir, "data")
	var open []string
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			open = append(open, fmt.Sprint(name, " ", info.Mode()))
		}
		return err
	})
	if err != nil {
		b.t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "barid.sock")); err != nil || info.Mode().Perm() != 0o600 {
		b.t.Errorf("the socket: %v, %v", info.Mode(), err)
	}
	if root, err := os.Stat(dir); err != nil || root.Mode().Perm()&0o077 != 0 && len(open) > 0 {
		b.t.Errorf("others may read %v, %v", open, err)
	}
}

//go:build e2e

package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	jwtlib "github.com/golang-jwt/jwt/v5"

	"github.com/barid-mqtt/barid/pkg/scram"
)

const jwtSecret = "a secret of more than thirty-two bytes"

// The certificates that barid certs makes do what it says: a client proves itself with one, a client without is turned away,
// and what its certificate calls it is its username.
func TestCertsMakeMutualTLS(t *testing.T) {
	certs, dir := filepath.Join(t.TempDir(), "certs"), t.TempDir()
	run(t, "barid", "certs", certs, "--client", "sensor-7")
	acl := filepath.Join(dir, "acl")
	check(t, "writing the ACL", writeFile(acl, "user sensor-7\ntopic readwrite sensors/#\n"))
	in := func(name string) string { return filepath.Join(certs, name) }
	b, err := startBroker(dir, "listeners.mutual.type=tls", "listeners.mutual.bind=127.0.0.1:0", "listeners.mutual.cert_file="+in("server.crt"),
		"listeners.mutual.key_file="+in("server.key"), "listeners.mutual.client_ca_file="+in("ca.crt"),
		"listeners.mutual.require_client_cert=true", "listeners.mutual.cert_username=cn", "auth.acl_file="+acl)
	check(t, "starting", err)
	defer func() { check(t, "stopping", b.stop()) }()
	port := b.port("mutual")
	common := []string{"-V", "5", "-h", "localhost", "-p", port, "--cafile", in("ca.crt")}
	with := append(common, "--cert", in("sensor-7.crt"), "--key", in("sensor-7.key"))

	sub := background(t, "mosquitto_sub", append(with, "-d", "-t", "sensors/#", "-C", "1")...)
	check(t, "subscribing", sub.waitFor("SUBACK"))
	run(t, "mosquitto_pub", append(with, "-t", "sensors/1", "-m", "21.5", "-q", "1")...)
	check(t, "receiving", sub.waitFor("21.5"))

	if out, err := exec.Command(installed(t, "mosquitto_pub"), append(common, "-t", "sensors/1", "-m", "x")...).CombinedOutput(); err == nil {
		t.Errorf("a client without a certificate got in: %s", out)
	}
	out, _ := exec.Command(installed(t, "mosquitto_pub"), append(with, "-t", "other", "-m", "x", "-q", "1", "-d")...).CombinedOutput()
	if !strings.Contains(string(out), "RC:135") && !strings.Contains(string(out), "ot authorized") {
		t.Errorf("a topic of others was not refused: %s", out)
	}
}

func TestTokenAsPassword(t *testing.T) {
	dir := t.TempDir()
	b, err := startBroker(dir, "auth.jwt.secret="+jwtSecret, "auth.jwt.claims=sub=${clientid}")
	check(t, "starting", err)
	defer func() { check(t, "stopping", b.stop()) }()
	token := func(claims jwtlib.MapClaims) string {
		s, err := jwtlib.NewWithClaims(jwtlib.SigningMethodHS256, claims).SignedString([]byte(jwtSecret))
		check(t, "signing", err)
		return s
	}
	publish := func(password string) error {
		return exec.Command(installed(t, "mosquitto_pub"), "-p", b.port("tcp"), "-i", "c1", "-u", "u", "-P", password, "-t", "a", "-m", "x", "-q", "1").Run()
	}
	exp := time.Now().Add(time.Hour).Unix()
	if err := publish(token(jwtlib.MapClaims{"sub": "c1", "exp": exp})); err != nil {
		t.Errorf("with its token: %v", err)
	}
	for name, password := range map[string]string{
		"another's token": token(jwtlib.MapClaims{"sub": "c2", "exp": exp}), "an old token": token(jwtlib.MapClaims{"sub": "c1", "exp": 1}), "a password": "secret",
	} {
		if err := publish(password); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if strings.Contains(b.output(), jwtSecret) || strings.Contains(b.output(), "eyJ") {
		t.Errorf("the log shows a secret:\n%s", b.output())
	}
}

// scramAuth is SCRAM for paho.golang.
type scramAuth struct {
	mu     sync.Mutex
	client *scram.Client
	err    error
}

const scramMethod = "SCRAM-SHA-512"

func (a *scramAuth) Authenticate(p *paho.Auth) *paho.Auth {
	a.mu.Lock()
	defer a.mu.Unlock()
	var data []byte
	data, _, a.err = a.client.Next(p.Properties.AuthData)
	return &paho.Auth{ReasonCode: 0x18, Properties: &paho.AuthProperties{AuthMethod: scramMethod, AuthData: data}}
}

func (a *scramAuth) Authenticated() {}

func TestPaho5SCRAM(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "scram")
	run(t, "barid", "passwd", "--scram", "-b", file, "alice", "correct horse")
	b, err := startBroker(dir, "auth.scram_file="+file)
	check(t, "starting", err)
	defer func() { check(t, "stopping", b.stop()) }()
	connect := func(password string) (*paho.Client, *scramAuth, *paho.Connack, error) {
		conn, err := net.Dial("tcp", b.urls["tcp"].Host)
		check(t, "dialing", err)
		a := &scramAuth{client: scram.NewClient(scram.SHA512, "alice", password)}
		first, _, _ := a.client.Next(nil)
		c := paho.NewClient(paho.ClientConfig{Conn: conn, AuthHandler: a, OnClientError: func(error) {}})
		p := clean()
		p.Properties = &paho.ConnectProperties{AuthMethod: scramMethod, AuthData: first}
		ack, err := c.Connect(soon(t), p)
		return c, a, ack, err
	}
	c, a, ack, err := connect("correct horse")
	check(t, "connecting", err)
	if _, done, err := a.client.Next(ack.Properties.AuthData); !done || err != nil {
		t.Errorf("the broker does not prove itself: %v", err)
	}
	check(t, "disconnecting", c.Disconnect(&paho.Disconnect{}))
	if _, _, ack, err := connect("wrong"); err == nil || ack == nil || ack.ReasonCode != 0x87 {
		t.Errorf("a wrong password: %+v, %v", ack, err)
	}
}

func writeFile(name, text string) error { return os.WriteFile(name, []byte(text), 0o600) }

package broker

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	jwtlib "github.com/golang-jwt/jwt/v5"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/devcerts"
	"github.com/barid-mqtt/barid/mqtt"
	"github.com/barid-mqtt/barid/pkg/scram"
)

const tokenSecret = "a secret of more than thirty-two bytes"

func token(t *testing.T, claims jwtlib.MapClaims) []byte {
	t.Helper()
	s, err := jwtlib.NewWithClaims(jwtlib.SigningMethodHS256, claims).SignedString([]byte(tokenSecret))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(s)
}

func TestTokensLetInAndEndTheirConnection(t *testing.T) {
	synctest.Test(t, tokensLetInAndEndTheirConnection)
}

func tokensLetInAndEndTheirConnection(t *testing.T) {
	b := newTestBroker(t, []string{"auth.jwt.secret=" + tokenSecret, "auth.jwt.claims=sub=${clientid}"})
	defer stopBroker(t, b)
	connect := func(id string, password []byte) (*peer, mqtt.ReasonCode) {
		p := &peer{conn: dial(t, b), version: mqtt.V5}
		return p, p.connectAs(t, &mqtt.Connect{ClientID: id, Username: "u", HasUsername: true, Password: password, HasPassword: true})
	}
	if _, code := connect("c2", token(t, jwtlib.MapClaims{"sub": "c1"})); code != mqtt.NotAuthorized {
		t.Errorf("another client's token: %v", code)
	}
	if _, code := connect("c1", []byte("a password")); code != mqtt.BadUserNameOrPassword {
		t.Errorf("no token: %v", code)
	}
	if _, code := connect("c1", token(t, jwtlib.MapClaims{"sub": "c1", "exp": time.Now().Add(-time.Minute).Unix()})); code != mqtt.NotAuthorized {
		t.Errorf("a token that has ended: %v", code)
	}
	soon := time.Now().Add(20 * time.Second).Truncate(time.Second) // a token's time has no parts of seconds
	p, code := connect("c1", token(t, jwtlib.MapClaims{"sub": "c1", "exp": soon.Unix(), "acl": map[string]any{"pub": []string{"up/${clientid}"}}}))
	if code != mqtt.Success {
		t.Fatalf("its token: %v", code)
	}
	for topic, want := range map[string]mqtt.ReasonCode{"up/c1": mqtt.NoMatchingSubscribers, "up/c2": mqtt.NotAuthorized} {
		if err := p.send(&mqtt.Publish{Topic: []byte(topic), QoS: mqtt.AtLeastOnce, PacketID: 1}); err != nil {
			t.Fatal(err)
		}
		if pk, err := p.receive(); err != nil || pk.(*mqtt.Puback).Code != want {
			t.Errorf("%s: %+v, %v", topic, pk, err)
		}
	}
	if err := p.conn.SetReadDeadline(soon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	pk, err := p.receive()
	if d, ok := pk.(*mqtt.Disconnect); err != nil || !ok || !d.Code.Failed() {
		t.Errorf("at the end of the token: %+v, %v", pk, err)
	}
	if late := time.Since(soon); late < 0 || late > 2*time.Second {
		t.Errorf("it ended %v after the token", late)
	}
}

func TestServersAreAsked(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		result := "deny"
		if r.Header.Get("X-Key") == "k" && (strings.Contains(string(body), `"password":"good"`) || strings.Contains(string(body), `"topic":"allowed"`)) {
			result = "allow"
		}
		fmt.Fprintf(w, `{"result":%q}`, result)
	}))
	defer server.Close()
	b := newTestBroker(t, []string{"auth.http.url=" + server.URL, "auth.http.headers=X-Key: k", "auth.http_acl.url=" + server.URL, "auth.http_acl.headers=X-Key: k"})
	defer b.Stop(t.Context())
	bad := &peer{conn: dial(t, b), version: mqtt.V5}
	if code := bad.connectAs(t, &mqtt.Connect{ClientID: "a", Username: "u", HasUsername: true, Password: []byte("bad"), HasPassword: true}); code != mqtt.NotAuthorized {
		t.Errorf("a bad password: %v", code)
	}
	p := &peer{conn: dial(t, b), version: mqtt.V5}
	if code := p.connectAs(t, &mqtt.Connect{ClientID: "b", Username: "u", HasUsername: true, Password: []byte("good"), HasPassword: true}); code != mqtt.Success {
		t.Fatalf("a good password: %v", code)
	}
	if err := p.send(&mqtt.Subscribe{PacketID: 7, Filters: []mqtt.FilterOptions{{Filter: "allowed"}, {Filter: "other"}}}); err != nil {
		t.Fatal(err)
	}
	pk, err := p.receive()
	if err != nil {
		t.Fatal(err)
	}
	if ack, ok := pk.(*mqtt.Suback); !ok || len(ack.Codes) != 2 || ack.Codes[0].Failed() || ack.Codes[1] != mqtt.NotAuthorized {
		t.Errorf("%+v", pk)
	}
}

// scramFile writes keys of users, each with the password "secret".
func scramFile(t *testing.T, names ...string) string {
	t.Helper()
	text := ""
	for _, name := range names {
		c, err := scram.NewCredentials(scram.SHA256, "secret", scram.MinIterations)
		if err != nil {
			t.Fatal(err)
		}
		text += name + ":" + c.String() + "\n"
	}
	file := filepath.Join(t.TempDir(), "scram")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const scramMethod = "SCRAM-SHA-256"

// prove runs the exchange from the client's first message on, which begin sends; end takes the server's last.
func (p *peer) prove(t *testing.T, user, password string, begin func(first []byte) error) mqtt.Packet {
	t.Helper()
	c := scram.NewClient(scram.SHA256, user, password)
	first, _, _ := c.Next(nil)
	if err := begin(first); err != nil {
		t.Fatal(err)
	}
	pk, err := p.receive()
	if err != nil {
		t.Fatal(err)
	}
	challenge, ok := pk.(*mqtt.Auth)
	if !ok || challenge.Code != mqtt.ContinueAuthentication || challenge.AuthMethod != scramMethod {
		t.Fatalf("%+v is no challenge", pk)
	}
	answer, _, err := c.Next(challenge.AuthData)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.send(&mqtt.Auth{Code: mqtt.ContinueAuthentication, HasAuthMethod: true, AuthMethod: scramMethod, AuthData: answer}); err != nil {
		t.Fatal(err)
	}
	if pk, err = p.receive(); err != nil {
		t.Fatal(err)
	}
	var last []byte
	switch pk := pk.(type) {
	case *mqtt.Connack:
		last = pk.AuthData
	case *mqtt.Auth:
		last = pk.AuthData
	}
	if last != nil {
		if _, done, err := c.Next(last); !done || err != nil {
			t.Errorf("the server does not prove itself: %v", err)
		}
	}
	return pk
}

func TestSCRAM(t *testing.T) {
	b := newTestBroker(t, []string{"auth.scram_file=" + scramFile(t, "me", "you")})
	defer b.Stop(t.Context())
	connect := func(user, password string) (*peer, mqtt.ReasonCode) {
		p := &peer{conn: dial(t, b), version: mqtt.V5}
		pk := p.prove(t, user, password, func(first []byte) error {
			return p.send(&mqtt.Connect{Version: mqtt.V5, CleanStart: true, ClientID: "c-" + user, HasAuthMethod: true, AuthMethod: scramMethod, AuthData: first})
		})
		return p, pk.(*mqtt.Connack).Code
	}
	for _, user := range []string{"me", "nobody"} {
		if _, code := connect(user, "wrong"); code != mqtt.NotAuthorized {
			t.Errorf("%s with a wrong password: %v", user, code)
		}
	}
	p, code := connect("me", "secret")
	if code != mqtt.Success || identityOf(t, b, "c-me").Username != "me" {
		t.Fatalf("the right password: %v, %+v", code, identityOf(t, b, "c-me"))
	}
	again := func(user, password string) mqtt.Packet {
		return p.prove(t, user, password, func(first []byte) error {
			return p.send(&mqtt.Auth{Code: mqtt.ReAuthenticate, HasAuthMethod: true, AuthMethod: scramMethod, AuthData: first})
		})
	}
	if a, ok := again("me", "secret").(*mqtt.Auth); !ok || a.Code != mqtt.Success {
		t.Errorf("authenticating again: %+v", a)
	}
	if d, ok := again("you", "secret").(*mqtt.Disconnect); !ok || d.Code != mqtt.NotAuthorized {
		t.Errorf("becoming another user: %+v", d)
	}
	// With keys for enhanced authentication, nobody gets in without.
	q := &peer{conn: dial(t, b), version: mqtt.V5}
	if code := q.connectAs(t, &mqtt.Connect{ClientID: "x"}); !code.Failed() {
		t.Errorf("without credentials: %v", code)
	}
}

// Where names can be proved, nobody gets one without, though clients without a name are let in.
func TestAnonymousClientsHaveNoNameBesideSCRAM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestBroker(t, []string{"auth.scram_file=" + scramFile(t, "me"), "auth.allow_anonymous=true"})
		for name, want := range map[string]mqtt.ReasonCode{"": mqtt.Success, "me": mqtt.BadUserNameOrPassword} {
			p, ack := connect(t, b, &mqtt.Connect{CleanStart: true, HasUsername: name != "", Username: name, HasPassword: name != "", Password: []byte("x")})
			if ack == nil || ack.Code != want {
				t.Errorf("%q: %+v, want %v", name, ack, want)
			}
			_ = p.conn.Close()
		}
		stopBroker(t, b)
	})
}

func TestDecoySecretOutlivesTheProcess(t *testing.T) {
	b := &Broker{ownsDir: true, cfg: &config.Config{DataDir: t.TempDir()}}
	one, err := b.decoySecret()
	if err != nil {
		t.Fatal(err)
	}
	two, err := b.decoySecret()
	if err != nil || string(one) != string(two) {
		t.Errorf("%x, then %x, %v", one, two, err)
	}
	if info, err := os.Stat(filepath.Join(b.cfg.DataDir, "scram-secret")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// A renewed certificate is shown without a restart, and to those who connect only.
func TestCertificatesAreReadAgainWhenTheyChange(t *testing.T) {
	b, files, dial := secureBroker(t, "c", nil)
	p := dial(true)
	if code := p.connectAs(t, &mqtt.Connect{ClientID: "stays"}); code != mqtt.Success {
		t.Fatal(code)
	}
	if err := os.WriteFile(files.ServerCert, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !eventually(10*time.Second, func() bool { return b.alarms.ActiveCount() == 1 }) {
		t.Fatal("a broken file raises no alarm")
	}
	for _, file := range []string{files.ServerCert, files.ServerKey} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := devcerts.Make(filepath.Dir(files.ServerCert), "another", nil); err != nil { // makes what is missing
		t.Fatal(err)
	}
	changed := func() bool { return b.alarms.ActiveCount() == 0 }
	if !eventually(10*time.Second, changed) {
		t.Fatal("the new certificate is not in use")
	}
	if err := p.send(&mqtt.Pingreq{}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.receive(); err != nil {
		t.Errorf("who was connected was cut off: %v", err)
	}
}

package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/alarm"
	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/devcerts"
	"github.com/barid-mqtt/barid/mqtt"
)

// secureBroker is a started broker with one TLS listener, and what a client needs to connect to it.
func secureBroker(t *testing.T, client string, sets []string, opts ...Option) (b *Broker, files *devcerts.Set, dial func(withCert bool) *peer) {
	t.Helper()
	files, err := devcerts.Make(t.TempDir(), client, nil)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(files.CACert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	b = newTestBroker(t, append([]string{"listeners.tcp=", "listeners.ws=", "listeners.tls.bind=127.0.0.1:0", "listeners.tls.cert_file=" + files.ServerCert,
		"listeners.tls.key_file=" + files.ServerKey, "listeners.tls.client_ca_file=" + files.CACert}, sets...), opts...)
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	pair, err := tls.LoadX509KeyPair(files.ClientCert, files.ClientKey)
	if err != nil {
		t.Fatal(err)
	}
	return b, files, func(withCert bool) *peer {
		config := &tls.Config{RootCAs: pool, ServerName: "localhost"}
		if withCert {
			config.Certificates = []tls.Certificate{pair}
		}
		nc, err := net.Dial("tcp", b.Listeners()[0].Addr)
		if err != nil {
			t.Fatal(err)
		}
		c := tls.Client(nc, config)
		t.Cleanup(func() { c.Close() })
		return &peer{conn: c, version: mqtt.V5}
	}
}

// connectAs sends a CONNECT and returns the code of its CONNACK.
func (p *peer) connectAs(t *testing.T, c *mqtt.Connect) mqtt.ReasonCode {
	t.Helper()
	c.Version, c.CleanStart = p.version, true
	if err := p.send(c); err != nil {
		t.Fatal(err)
	}
	pk, err := p.receive()
	if err != nil {
		t.Fatal(err)
	}
	ack, ok := pk.(*mqtt.Connack)
	if !ok {
		t.Fatalf("got %T", pk)
	}
	return ack.Code
}

// identityOf is who the broker takes a client for.
func identityOf(t *testing.T, b *Broker, clientID string) auth.Identity {
	t.Helper()
	c := b.registry.get(clientID)
	if c == nil {
		t.Fatalf("there is no client %q", clientID)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return *c.link.identity
}

func TestCertificateIsTheUsername(t *testing.T) {
	b, files, dial := secureBroker(t, "sensor-7", []string{"listeners.tls.cert_username=cn", "auth.allow_anonymous=false"})
	if code := dial(true).connectAs(t, &mqtt.Connect{ClientID: "a", Username: "root", HasUsername: true}); code != mqtt.Success {
		t.Errorf("with its certificate: %v", code)
	}
	if id := identityOf(t, b, "a"); id.Username != "sensor-7" {
		t.Errorf("the client is %+v", id)
	} else if pair, err := tls.LoadX509KeyPair(files.ClientCert, files.ClientKey); err != nil || !id.ExpiresAt.Equal(pair.Leaf.NotAfter) {
		t.Errorf("the connection ends at %v, the certificate at %v (%v)", id.ExpiresAt, pair.Leaf.NotAfter, err)
	}
	if code := dial(false).connectAs(t, &mqtt.Connect{ClientID: "b", Username: "sensor-7", HasUsername: true}); !code.Failed() {
		t.Error("the name without the certificate gets in")
	}
}

func TestCertificateIsTheClientID(t *testing.T) {
	b, _, dial := secureBroker(t, "sensor-7", []string{"listeners.tls.cert_username=cn", "listeners.tls.cert_client_id=true"})
	if code := dial(true).connectAs(t, &mqtt.Connect{ClientID: "somebody-else"}); code != mqtt.Success {
		t.Errorf("with its certificate: %v", code)
	}
	if id := identityOf(t, b, "sensor-7"); id.ClientID != "sensor-7" {
		t.Errorf("the client is %+v", id)
	}
	if b.registry.get("somebody-else") != nil {
		t.Error("the client chose its client id")
	}
}

func TestCertificatesThatEndSoonRaiseAnAlarm(t *testing.T) {
	b, _, _ := secureBroker(t, "c", nil)
	apiEnds := time.Now().AddDate(0, 0, 825)
	b.WatchAPICertificate("api.crt", func() time.Time { return apiEnds })
	active := func(name string) bool {
		return slices.ContainsFunc(b.alarms.Active(), func(a alarm.Alarm) bool { return a.Name == name })
	}
	for _, tt := range []struct {
		days int
		want bool
	}{{0, false}, {790, false}, {796, true}, {900, true}, {0, false}} {
		b.watchCertificates(time.Now().AddDate(0, 0, tt.days))
		if got := active(certificateAlarm + "tls"); got != tt.want {
			t.Errorf("in %d days of 825: alarm %v", tt.days, got)
		}
		if got := active(apiCertificateAlarm); got != tt.want {
			t.Errorf("of the API, in %d days of 825: alarm %v", tt.days, got)
		}
	}
	apiEnds = time.Now().AddDate(0, 0, 1)
	b.watchCertificates(time.Now())
	if !active(apiCertificateAlarm) || active(certificateAlarm+"tls") {
		t.Error("that of the API alone ends, and the alarms say something else")
	}
	apiEnds = time.Now().AddDate(1, 0, 0)
	b.watchCertificates(time.Now())
	if active(apiCertificateAlarm) {
		t.Error("renewed, and there is an alarm")
	}
}

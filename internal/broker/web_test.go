package broker

import (
	"context"
	"net"
	"net/http/httptest"
	"testing"

	"github.com/barid-mqtt/barid/mqtt"
	"github.com/barid-mqtt/barid/pkg/websocket"
)

// TestMQTTAtTheAddressOfTheAPI has a client connect through an HTTP server, to a broker with sockets and loops.
func TestMQTTAtTheAddressOfTheAPI(t *testing.T) {
	b := newTestBroker(t, []string{"listeners.tcp.bind=127.0.0.1:0", "listeners.ws=", "auth.allow_anonymous=true"})
	s := httptest.NewServer(b.WebSocket())
	defer s.Close()
	dial := func() (*websocket.Conn, error) {
		nc, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nc.Close() })
		return websocket.Client(nc, websocket.ClientOptions{Path: "/mqtt", Subprotocols: []string{"mqtt"}})
	}
	if _, err := dial(); err == nil {
		t.Error("a broker that is not started took a connection")
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	p, ack := handshake(t, c, &mqtt.Connect{Version: mqtt.V5, ClientID: "page", CleanStart: true})
	if ack.Code != mqtt.Success {
		t.Fatalf("CONNACK %v", ack.Code)
	}
	p.subscribe(t, "a/#", 1)
	if err := p.send(&mqtt.Publish{Topic: []byte("a/b"), QoS: 0, Payload: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if pk, err := p.receive(); err != nil || string(pk.(*mqtt.Publish).Topic) != "a/b" {
		t.Errorf("received %v, %v", pk, err)
	}
	if info, err := b.Client("page"); err != nil || info.Listener != "api" {
		t.Errorf("the client is %+v, %v", info, err)
	}
	if err := b.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if pk, _ := p.receive(); pk == nil || pk.(*mqtt.Disconnect).Code != mqtt.ServerShuttingDown {
		t.Errorf("at the stop the client got %v", pk)
	}
}

func TestNoMQTTAtTheAddressOfTheAPIIfThatIsNotWanted(t *testing.T) {
	for _, set := range []string{"api.mqtt=false", "api.bind="} {
		b := newTestBroker(t, []string{set})
		if b.WebSocket() != nil {
			t.Errorf("%s: it is there", set)
		}
		if err := b.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

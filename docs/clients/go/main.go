// Command go is an example of a client with a persistent session, by paho.golang's autopaho.
package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net/url"
	"os"
	"os/signal"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/autopaho/queue/memory"
	"github.com/eclipse/paho.golang/paho"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	id := cmp.Or(os.Getenv("MQTT_CLIENT_ID"), "demo-go")
	broker := &url.URL{Scheme: "mqtt", Host: cmp.Or(os.Getenv("MQTT_HOST"), "localhost") + ":" + cmp.Or(os.Getenv("MQTT_PORT"), "1883")}
	roots := x509.NewCertPool()
	if file := os.Getenv("MQTT_CA"); file != "" {
		broker.Scheme = "mqtts"
		if pem, err := os.ReadFile(file); err != nil || !roots.AppendCertsFromPEM(pem) {
			log.Fatalf("no certificates in %s (%v)", file, err)
		}
	}
	client, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls: []*url.URL{broker}, TlsCfg: &tls.Config{RootCAs: roots}, KeepAlive: 30,
		SessionExpiryInterval: 3600,         // the broker keeps the session for an hour
		Queue:                 memory.New(), // of what is published while there is no connection
		ReconnectBackoff:      autopaho.NewExponentialBackoff(time.Second, 30*time.Second, 2*time.Second, 1.5),
		ConnectUsername:       os.Getenv("MQTT_USER"), ConnectPassword: []byte(os.Getenv("MQTT_PASSWORD")),
		WillMessage:    &paho.WillMessage{Topic: "demo/" + id + "/status", Payload: []byte("offline"), QoS: 1, Retain: true},
		OnConnectError: func(err error) { log.Print(err) },
		// After each connect: a session that the broker no longer has needs its subscriptions again.
		OnConnectionUp: func(c *autopaho.ConnectionManager, _ *paho.Connack) {
			go func() { // it must not wait here
				if _, err := c.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "demo/#", QoS: 1}}}); err != nil {
					log.Print("subscribing: ", err)
				}
				publish(ctx, c, &paho.Publish{Topic: "demo/" + id + "/status", Payload: []byte("online"), QoS: 1, Retain: true})
			}()
		},
		ClientConfig: paho.ClientConfig{ClientID: id, OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(p paho.PublishReceived) (bool, error) {
				_, err := fmt.Println(p.Packet.Topic, string(p.Packet.Payload))
				return true, err
			}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for n := 1; ctx.Err() == nil; n++ {
		publish(ctx, client, &paho.Publish{Topic: "demo/" + id, Payload: fmt.Append(nil, "message ", n), QoS: 1})
		time.Sleep(time.Second)
	}
	<-client.Done() // it has said goodbye: no will
}

func publish(ctx context.Context, c *autopaho.ConnectionManager, p *paho.Publish) {
	if err := c.PublishViaQueue(ctx, &autopaho.QueuePublish{Publish: p}); err != nil {
		log.Print("publishing: ", err)
	}
}

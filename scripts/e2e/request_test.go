//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// mosquitto_rr asks, a paho client answers to where the request says.
func TestRequestAndResponse(t *testing.T) {
	topic := newTopic(t)
	requests := make(chan *paho.Publish, 1)
	responder := connect5(t, "tcp", &paho.Connect{ClientID: "", CleanStart: true}, requests)
	responder.subscribe(t, paho.SubscribeOptions{Topic: topic, QoS: 1})

	asker := background(t, "mosquitto_rr", flags(via("tcp"), "-V mqttv5 -q 1 -W 10 -t", topic, "-e", topic+"/answer", "-D", "publish correlation-data c1", "-m", "question")...)
	request := receive(t, "request", requests)
	if got := request.Properties.ResponseTopic; got != topic+"/answer" {
		t.Errorf("response topic: got %q", got)
	}
	if got := string(request.Properties.CorrelationData); got != "c1" {
		t.Errorf("correlation data: got %q", got)
	}
	responder.publish(t, &paho.Publish{
		Topic: request.Properties.ResponseTopic, QoS: 1, Payload: []byte("answer to " + string(request.Payload)),
		Properties: &paho.PublishProperties{CorrelationData: request.Properties.CorrelationData},
	})
	check(t, "mosquitto_rr", asker.wait(patience))
	if got := strings.TrimSpace(asker.output()); got != "answer to question" {
		t.Errorf("mosquitto_rr printed %q", got)
	}
}

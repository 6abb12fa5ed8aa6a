package mqtt_test

import (
	"errors"
	"fmt"

	"github.com/barid-mqtt/barid/mqtt"
)

// A connection decodes its messages into one Publish, without allocating.
func ExamplePublish_Decode() {
	stream := []byte("\x30\x0f\x00\x04room\x0021.5 °C")
	h, n, err := mqtt.DecodeHeader(stream)
	if err != nil {
		fmt.Println(err)
		return
	}
	var p mqtt.Publish
	if err := p.Decode(h, stream[n:n+int(h.Remaining)], mqtt.V5); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s: %s\n", p.Topic, p.Payload)
	// Output: room: 21.5 °C
}

// The error says what to answer and which statement is broken.
func ExampleDecodeError() {
	body := []byte("\x00\x03a/#\x00")
	_, err := mqtt.Decode(mqtt.Header{Type: mqtt.PUBLISH}, body, mqtt.V5)
	fmt.Println(err)
	if e, ok := errors.AsType[*mqtt.DecodeError](err); ok {
		answer, _ := (&mqtt.Disconnect{Code: e.Code}).AppendTo(nil, mqtt.V5)
		fmt.Printf("%x\n", answer)
	}
	// Output:
	// PUBLISH: topic name holds a wildcard at offset 2 [MQTT-3.3.2-2]
	// e00181
}

// The same packet for two versions.
func ExamplePublish_AppendTo() {
	p := mqtt.Publish{
		QoS: mqtt.AtLeastOnce, PacketID: 10, Topic: []byte("a/b"), Payload: []byte("hi"),
		Properties: mqtt.PublishProperties{User: mqtt.AppendUserProperty(nil, "k", "v")},
	}
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		b, err := p.AppendTo(nil, v)
		fmt.Printf("%s: %x %v\n", v, b, err)
	}
	// Output:
	// 3.1.1: 32090003612f62000a6869 <nil>
	// 5.0: 32110003612f62000a072600016b0001766869 <nil>
}

func ExampleParseTopicFilter() {
	f, err := mqtt.ParseTopicFilter("$share/workers/jobs/+/new")
	group, shared := f.Group()
	fmt.Println(f.Filter(), group, shared, err)
	fmt.Println(f.Matches("jobs/17/new"), f.Matches("jobs/17/done"))

	_, err = mqtt.ParseTopicFilter("$share/workers")
	fmt.Println(errors.Is(err, mqtt.TopicFilterInvalid))
	// Output:
	// jobs/+/new workers true <nil>
	// true false
	// true
}

func ExampleUserProperties_All() {
	u := mqtt.AppendUserProperty(nil, "colour", "red")
	u = mqtt.AppendUserProperty(u, "colour", "blue")
	for key, value := range u.All() {
		fmt.Println(key, value)
	}
	// Output:
	// colour red
	// colour blue
}

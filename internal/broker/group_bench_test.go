package broker

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/barid-mqtt/barid/mqtt"
)

// BenchmarkDurableGroup has 50 publishers publish 256 bytes each with QoS 1 to a shared group of 5 members with durable
// sessions, with an fsync before every acknowledgement. It ends when the members have got all of it.
func BenchmarkDurableGroup(b *testing.B) {
	for _, window := range []uint16{10, 1024} {
		b.Run(fmt.Sprintf("window=%d", window), func(b *testing.B) { benchmarkDurableGroup(b, window) })
	}
}

func benchmarkDurableGroup(b *testing.B, window uint16) {
	const publishers, members = 50, 5
	broker := newTestBroker(b, []string{"durability=fsync", "data_dir=" + b.TempDir()})
	defer func() {
		if err := broker.Stop(b.Context()); err != nil {
			b.Error(err)
		}
	}()
	var got atomic.Int64
	all := make(chan struct{})
	var clients, pubs sync.WaitGroup
	var conns []*peer
	for i := range members {
		p, _ := connect(b, broker, &mqtt.Connect{ClientID: fmt.Sprintf("m%d", i), SessionExpirySeconds: 3600, ReceiveMaximum: window})
		p.subscribe(b, "$share/g/t/#", 1)
		conns = append(conns, p)
		clients.Go(func() {
			for {
				pk, err := p.receive()
				if err != nil {
					return
				}
				pub, ok := pk.(*mqtt.Publish)
				if !ok {
					continue
				}
				if p.send(&mqtt.Puback{Ack: mqtt.Ack{PacketID: pub.PacketID}}) != nil {
					return
				}
				if got.Add(1) == int64(b.N) {
					close(all)
				}
			}
		})
	}
	payload := make([]byte, 256)
	b.ResetTimer()
	for i := range publishers {
		n := b.N / publishers
		if i < b.N%publishers {
			n++
		}
		p, _ := connect(b, broker, &mqtt.Connect{ClientID: fmt.Sprintf("p%d", i)})
		conns = append(conns, p)
		pubs.Go(func() { publishMany(b, p, fmt.Appendf(nil, "t/%d", i), payload, n) })
	}
	pubs.Wait()
	<-all
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	for _, p := range conns {
		_ = p.conn.Close()
	}
	clients.Wait()
}

// publishMany publishes n messages, 50 of them at a time without their acknowledgements.
func publishMany(b *testing.B, p *peer, topic, payload []byte, n int) {
	open := 0
	for sent := 0; sent < n || open > 0; {
		if sent < n && open < 50 {
			sent++
			open++
			if err := p.send(&mqtt.Publish{Topic: topic, Payload: payload, QoS: 1, PacketID: uint16(sent%60000 + 1)}); err != nil {
				b.Error(err)
				return
			}
			continue
		}
		if _, err := p.receive(); err != nil {
			b.Error(err)
			return
		}
		open--
	}
}

package broker

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/barid-mqtt/barid/mqtt"
)

// seeds is how many seeds a simulation is run with: more by BARID_SEEDS.
func seeds(least uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv("BARID_SEEDS"), 10, 64); err == nil {
		return n
	}
	return least
}

func TestAGroupLosesAndRepeatsNothingThroughCrashes(t *testing.T) {
	for seed := range seeds(12) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSimulation(t, seed)
				if seed%2 == 1 {
					s.world.opts = []Option{parkSoon} // from the first crash on
				}
				s.begin = s.crash
				subs := s.subscribers(seed, "$share/g/t/#")
				for i, sub := range subs {
					if seed%3 == 0 {
						sub.qos = mqtt.ExactlyOnce
					}
					switch i {
					case 0:
						sub.plain = seed%4 > 1
					case 1:
						sub.fickle = seed%5 == 2
					case 2:
						if seed%3 == 1 { // with QoS 1, since what it has with QoS 2 ends with it [MQTT-4.8.2-5]
							sub.ephemeral, sub.qos = true, mqtt.AtLeastOnce
						}
					}
				}
				checkGroup(t, s.run(subs), s.messages)
				if sub := subs[0]; sub.plain {
					for i := range 4 {
						checkHistory(t, sub.id, i, sub.own[i], s.messages, min(sub.qos, mqtt.QoS(1+i/2)) == mqtt.ExactlyOnce)
					}
				}
			})
		})
	}
}

package conn

import (
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/mqtt"
)

func TestAnAliasTableIsAMap(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 50 {
		var table aliasTable
		want := make(map[uint16]string)
		limit := 1 + rng.IntN(65535)
		for range 200 {
			alias := uint16(1 + rng.IntN(limit))
			if rng.IntN(2) == 0 {
				alias = uint16(1 + rng.IntN(min(limit, 40)))
			}
			topic := strconv.Itoa(1 + rng.IntN(50))
			if !table.set(alias, []byte(topic)) {
				t.Fatal("no room")
			}
			want[alias] = topic
		}
		bytes := 0
		for alias := range 65536 {
			if alias == 0 {
				continue
			}
			if got := table.get(uint16(alias)); got != want[uint16(alias)] {
				t.Fatalf("alias %d is %q instead of %q", alias, got, want[uint16(alias)])
			}
			bytes += len(want[uint16(alias)])
		}
		if table.bytes != bytes || table.used != len(want) {
			t.Errorf("counts %d bytes of %d aliases, want %d of %d", table.bytes, table.used, bytes, len(want))
		}
	}
}

func TestAliasesTakeMemoryAsTheyAreUsed(t *testing.T) {
	var before, after runtime.MemStats
	tables := make([]aliasTable, 100)
	runtime.ReadMemStats(&before)
	for i := range tables {
		tables[i].set(65535, []byte("topic"))
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / uint64(len(tables)); n > 2000 {
		t.Errorf("one alias takes %d bytes", n)
	}
}

func TestTopicsOfAliasesAreBounded(t *testing.T) {
	c, r := newRecorded(func(o *Options) { o.TopicAliasMaximum = 65535 })
	feed(c, stream(t, mqtt.V5, &mqtt.Connect{Version: mqtt.V5, ClientID: "c"}))
	topic := []byte(strings.Repeat("t", 60000))
	for alias := range uint16(4) {
		p := &mqtt.Publish{Topic: topic}
		p.Properties.TopicAlias, p.Properties.Present = alias+1, 1<<mqtt.PropTopicAlias
		if s := feed(c, stream(t, mqtt.V5, p)); s != Hungry {
			t.Fatalf("alias %d is refused", alias+1)
		}
	}
	p := &mqtt.Publish{Topic: topic}
	p.Properties.TopicAlias, p.Properties.Present = 9, 1<<mqtt.PropTopicAlias
	if s := feed(c, stream(t, mqtt.V5, p)); s != Closed {
		t.Fatal("a client's aliases have no limit in bytes")
	}
	c.flush(NewBatch())
	sent := packets(t, mqtt.V5, r.written)
	if d, ok := sent[len(sent)-1].(*mqtt.Disconnect); !ok || d.Code != mqtt.QuotaExceeded {
		t.Errorf("got %+v instead of DISCONNECT with 0x97", sent[len(sent)-1])
	}
}

package session

import (
	"testing"

	"pgregory.net/rapid"
)

func TestIDTableIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, model := idTable{}, map[uint16]uint16{}
		few := rapid.Uint16Range(0, 40)
		any := rapid.Uint16()
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				id := max(1, rapid.OneOf(few, any).Draw(t, "id"))
				value := rapid.Uint16().Draw(t, "value")
				table.set(id, value)
				model[id] = value
			},
			"run": func(t *rapid.T) {
				first := rapid.Uint16().Draw(t, "first")
				for i := range rapid.Uint16Range(0, 200).Draw(t, "length") {
					if id := first + i; id != 0 {
						table.set(id, i)
						model[id] = i
					}
				}
			},
			"remove": func(t *rapid.T) {
				id := rapid.OneOf(few, any).Draw(t, "id")
				table.remove(id)
				delete(model, id)
			},
			"remove half": func(*rapid.T) {
				for id := range model {
					if id%2 == 0 {
						table.remove(id)
						delete(model, id)
					}
				}
			},
			"trim": func(*rapid.T) { table.trim() },
			"": func(t *rapid.T) {
				if table.n != len(model) {
					t.Fatalf("%d held, want %d", table.n, len(model))
				}
				for id, want := range model {
					if got, ok := table.get(id); !ok || got != want {
						t.Fatalf("%d: %d, %t, want %d", id, got, ok, want)
					}
				}
				if _, ok := table.get(0); ok {
					t.Fatal("0 is held")
				}
				if table.n > 0 && len(table.slots) > 8 && table.n*4 > len(table.slots)*3 {
					t.Fatalf("%d in %d slots", table.n, len(table.slots))
				}
			},
		})
	})
}

func TestIDTableHoldsAllIdentifiers(t *testing.T) {
	var table idTable
	for id := 1; id <= maxPacketID; id++ {
		table.set(uint16(id), ^uint16(id))
	}
	if table.n != maxPacketID || len(table.slots) != 1<<16 {
		t.Fatalf("%d identifiers in %d slots", table.n, len(table.slots))
	}
	for id := 1; id <= maxPacketID; id++ {
		if v, ok := table.get(uint16(id)); !ok || v != ^uint16(id) {
			t.Fatalf("%d: %d, %t", id, v, ok)
		}
	}
	for id := 1; id <= maxPacketID; id += 2 {
		table.remove(uint16(id))
	}
	for id := 1; id <= maxPacketID; id++ {
		if _, ok := table.get(uint16(id)); ok != (id%2 == 0) {
			t.Fatalf("%d: %t", id, ok)
		}
	}
}

// TestIDTableSizeFollowsWhatItHolds: neither distant identifiers nor one that is never released make it large.
func TestIDTableSizeFollowsWhatItHolds(t *testing.T) {
	var table idTable
	table.set(1, 0)
	table.set(32_769, 0)
	for id := uint16(2); id < 60_000; id++ {
		table.set(id, 0)
		if id > 5 {
			table.remove(id - 4)
		}
	}
	if len(table.slots) > 16 {
		t.Errorf("%d identifiers in %d slots", table.n, len(table.slots))
	}
}

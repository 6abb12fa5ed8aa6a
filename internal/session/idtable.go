package session

// idTable maps packet identifiers to 16-bit values. It is an open-addressing hash table, so that its size follows what
// it holds and not which identifiers a client picks or which old one it leaves unacknowledged; an array indexed by
// identifier would need 65,536 slots for the two identifiers 1 and 32,769.
//
// Identifiers that follow each other are the usual case. Multiplying by 2¹⁶/φ spreads them evenly, and because the
// factor is odd it is a bijection on 16 bits: a table of 65,536 slots has no collisions at all.
type idTable struct {
	slots []idSlot // a power of two; the slot of identifier 0, which MQTT does not have, is a free one
	n     int
	shift uint8 // 16 - log2(len(slots))
}

type idSlot struct{ id, value uint16 }

const (
	idTableMinBits = 3
	idTableMaxBits = 16
	idHashFactor   = 40503
)

func (t *idTable) home(id uint16) int { return int(id * idHashFactor >> t.shift) }

// find returns the slot that holds id, or else the free slot where its search ended. The table must not be empty.
func (t *idTable) find(id uint16) int {
	mask := len(t.slots) - 1
	i := t.home(id)
	for t.slots[i].id != id && t.slots[i].id != 0 {
		i = (i + 1) & mask
	}
	return i
}

// get returns the value of id. Identifier 0 is never held.
func (t *idTable) get(id uint16) (value uint16, ok bool) {
	if t.n == 0 || id == 0 {
		return 0, false
	}
	slot := t.slots[t.find(id)]
	return slot.value, slot.id == id
}

// set adds id, which must not be 0, or changes its value.
func (t *idTable) set(id, value uint16) {
	if t.slots == nil {
		t.resize(idTableMinBits)
	}
	i := t.find(id)
	if t.slots[i].id == 0 {
		if t.crowded() {
			t.resize(idTableMaxBits - int(t.shift) + 1)
			i = t.find(id)
		}
		t.n++
	}
	t.slots[i] = idSlot{id, value}
}

// crowded reports whether one more identifier would take the table over three quarters. The largest one holds all.
func (t *idTable) crowded() bool { return t.shift > 0 && (t.n+1)*4 > len(t.slots)*3 }

// remove forgets id. Those behind it move up, so that no search is ever longer than what is held makes it.
func (t *idTable) remove(id uint16) {
	if t.n == 0 || id == 0 {
		return
	}
	hole, mask := t.find(id), len(t.slots)-1
	if t.slots[hole].id == 0 {
		return
	}
	t.n--
	if t.shift > 0 { // in the largest table all are at home
		for i := (hole + 1) & mask; t.slots[i].id != 0; i = (i + 1) & mask {
			if (i-t.home(t.slots[i].id))&mask >= (i-hole)&mask {
				t.slots[hole] = t.slots[i]
				hole = i
			}
		}
	}
	t.slots[hole] = idSlot{}
}

func (t *idTable) resize(bits int) {
	old := t.slots
	t.slots = make([]idSlot, 1<<bits)
	t.shift = uint8(idTableMaxBits - bits)
	for _, slot := range old {
		if slot.id != 0 {
			t.slots[t.find(slot.id)] = slot
		}
	}
}

// trim makes the table as small as what it holds allows.
func (t *idTable) trim() {
	if t.n == 0 {
		t.slots = nil
		return
	}
	bits := idTableMinBits
	for bits < idTableMaxBits && (t.n+1)*4 > 3<<bits {
		bits++
	}
	if 1<<bits < len(t.slots) {
		t.resize(bits)
	}
}

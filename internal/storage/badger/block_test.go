package badger

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"testing"

	"pgregory.net/rapid"

	"github.com/barid-mqtt/barid/internal/storage"
)

func sampleBlock() (header, []byte) {
	h := header{seq: 7, start: 1234, firstUnit: 99, tokens: 5, checkpoint: 3}
	units := []pending{
		{unit: storage.Unit{Records: []storage.Record{record("a", 10), record("b", 0)}}},
		{unit: storage.Unit{Records: []storage.Record{record("failed", 1)}, Ops: []storage.Op{put("failed", "")}}, err: errBlock},
		{},
		{unit: storage.Unit{Ops: []storage.Op{put("k", "v"), put("empty", ""), {Key: []byte("gone")}}}},
	}
	return h, appendBlock([]byte("before"), &h, units)[len("before"):]
}

func TestABlockComesBackAsItWas(t *testing.T) {
	_, b := sampleBlock()
	got, ops, err := decodeBlock(12, b)
	if err != nil {
		t.Fatal(err)
	}
	want := header{records: 2, ops: 3, units: 2, seq: 7, start: 1234, firstUnit: 99, tokens: 5, checkpoint: 3, recordBytes: got.header.recordBytes}
	if got.header != want || got.disk != 12 || got.bytes != int64(len(b)) || got.header.after() != 8 {
		t.Errorf("%+v", got)
	}
	if got.records[0].Message.Topic != "a" || got.records[1].Message.Topic != "b" || len(got.records[0].Message.Payload) != 10 {
		t.Errorf("records %+v", got.records)
	}
	if len(ops) != 3 || string(ops[0].Value) != "v" || ops[1].Value == nil || len(ops[1].Value) != 0 || ops[2].Value != nil || string(ops[2].Key) != "gone" {
		t.Errorf("ops %q", ops)
	}
	for n := range len(b) {
		if _, _, err := decodeBlock(1, b[:n]); !errors.Is(err, errBlock) {
			t.Errorf("the first %d of %d bytes: %v", n, len(b), err)
		}
	}
}

// FuzzBlock checks that no block does harm, and that one that is accepted is written as it was read.
func FuzzBlock(f *testing.F) {
	_, b := sampleBlock()
	f.Add(b)
	f.Add(b[:blockHeader])
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ops, err := decodeBlock(1, b)
		if err != nil {
			if !errors.Is(err, errBlock) {
				t.Errorf("%v is no errBlock", err)
			}
			return
		}
		h := got.header
		h.records, h.ops, h.units = 0, 0, 0
		again := appendBlock(nil, &h, []pending{{unit: storage.Unit{Records: got.records, Ops: ops}}})
		second, secondOps, err := decodeBlock(1, again)
		if err != nil || len(second.records) != len(got.records) || len(secondOps) != len(ops) {
			t.Fatalf("%d records and %d ops came back as %+v, %v", len(got.records), len(ops), second, err)
		}
		for i := range ops {
			if !bytes.Equal(ops[i].Key, secondOps[i].Key) || !bytes.Equal(ops[i].Value, secondOps[i].Value) {
				t.Errorf("op %q came back as %q", ops[i], secondOps[i])
			}
		}
	})
}

// TestTheIndexEnclosesEveryBlock compares what the index says with all points that it was told.
func TestTheIndexEnclosesEveryBlock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x index
		all := []point{{disk: 0, after: 1}}
		x.add(all[0])
		trimmed := uint64(1)
		for _, withRecords := range rapid.SliceOfN(rapid.Bool(), 1, 1000).Draw(t, "blocks") {
			p := all[len(all)-1]
			p.disk++
			if withRecords {
				p.after++
			}
			all = append(all, p)
			x.add(p)
			if rapid.IntRange(0, 20).Draw(t, "learn") == 0 {
				x.learn(all[rapid.IntRange(0, len(all)-1).Draw(t, "which")])
			}
			if rapid.IntRange(0, 200).Draw(t, "trim") == 0 {
				trimmed = max(trimmed, uint64(rapid.IntRange(1, len(all)-1).Draw(t, "to")))
				x.trim(trimmed)
			}
		}
		for sequence := uint64(1); sequence < all[len(all)-1].after+3; sequence++ {
			i := sort.Search(len(all), func(i int) bool { return all[i].after > sequence })
			low, high, ok := x.around(sequence)
			if i == len(all) || all[i].disk < trimmed {
				if ok && i == len(all) {
					t.Fatalf("block %d does not exist and is said to be between %v and %v", sequence, low, high)
				}
				continue
			}
			if !ok || low.disk >= all[i].disk || high.disk < all[i].disk || low != all[low.disk] || high != all[high.disk] {
				t.Fatalf("block %d is at %v, not after %v and up to %v (%v)", sequence, all[i], low, high, ok)
			}
		}
		if most := len(all)/indexSpacing*2 + 3; len(x.points) > most {
			t.Fatalf("%d points for %d blocks", len(x.points), len(all))
		}
	})
}

func TestTheCacheKeepsToItsSize(t *testing.T) {
	c := newCache(10_000)
	for i := range uint64(100) {
		c.add(&block{header: header{seq: i}, bytes: 1000})
		c.get(0) // is used all the time
		if c.bytes > c.max || len(c.entries) != c.order.Len() || int64(len(c.entries))*1000 != c.bytes {
			t.Fatalf("%d bytes in %d entries", c.bytes, len(c.entries))
		}
	}
	if c.get(0) == nil || c.get(99) == nil || c.get(50) != nil {
		t.Error("not the one used longest ago went first")
	}
	if c.add(&block{header: header{seq: 200}, bytes: 20_000}); c.get(200) != nil || len(c.entries) != 10 {
		t.Error("a block larger than the cache is in it")
	}
}

func TestClaimsAreForgottenOneGenerationAtATime(t *testing.T) {
	const limit = 100
	c := claims{limit: limit}
	if _, ok := c.next("first"); ok {
		t.Error("a token that no block permits")
	}
	c.permitted = 3 * limit
	first, _ := c.next("first")
	for i := range limit {
		c.next(fmt.Sprint(i))
	}
	if c.newest("first") != first {
		t.Error("a claim was forgotten after one generation")
	}
	second, _ := c.next("first")
	for i := range limit - 1 {
		c.next(fmt.Sprint("other", i))
	}
	if c.newest("first") != second || second <= first || len(c.young)+len(c.old) > 2*limit {
		t.Errorf("the newest claim is %d, not %d; %d are kept", c.newest("first"), second, len(c.young)+len(c.old))
	}
}

// TestClaimIsBetweenBlocks claims while units of the old owner commit: after Claim has returned, none may any more.
func TestClaimIsBetweenBlocks(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir()})
	for range 30 {
		old, err := e.Claim(background, "c")
		if err != nil {
			t.Fatal(err)
		}
		var outcomes []<-chan outcome
		for range 200 {
			outcomes = append(outcomes, submit(t, e, storage.Unit{ClientID: "c", Fence: old, Records: []storage.Record{record("t", 0)}}))
		}
		if _, err := e.Claim(background, "c"); err != nil {
			t.Fatal(err)
		}
		before := e.Health().Next
		for _, c := range outcomes {
			<-c
		}
		if after := e.Health().Next; after != before {
			t.Fatalf("after a claim, blocks of the old owner from %v to %v", before, after)
		}
	}
}

// TestScanMergesOverlayAndState has keys in the state that the overlay changes, deletes and adds to, more of each than
// one look at them takes.
func TestScanMergesOverlayAndState(t *testing.T) {
	e := open(t, Options{Dir: t.TempDir(), Sync: SyncKernel})
	model := map[string]string{}
	change := func(op storage.Op) {
		mustCommit(t, e, storage.Unit{Ops: []storage.Op{op}})
		if op.Value == nil {
			delete(model, string(op.Key))
		} else {
			model[string(op.Key)] = string(op.Value)
		}
	}
	key := func(i int) string { return fmt.Sprintf("k/%04d", i) }
	for i := 0; i < 4000; i += 4 {
		change(put(key(i), "state"))
	}
	for err := error(nil); err == nil; {
		err = e.applySome(false)
	}
	e.applying.Lock() // from here on changes stay in the overlay
	defer e.applying.Unlock()
	for i := 0; i < 2400; i += 4 {
		change(storage.Op{Key: []byte(key(i))})
	}
	for i := 2000; i < 4000; i += 5 {
		change(put(key(i), "overlay"))
	}
	var last string
	got := map[string]string{}
	for kv, err := range e.Scan(background, []byte("k/")) {
		if err != nil || string(kv.Key) <= last {
			t.Fatalf("%q after %q, %v", kv.Key, last, err)
		}
		last = string(kv.Key)
		got[last] = string(kv.Value)
	}
	if !maps.Equal(got, model) {
		t.Errorf("%d keys, not %d", len(got), len(model))
	}
}

// TestTheOverlayMergesItsHalves has keys in both halves of the overlay, and deletions in the young one.
func TestTheOverlayMergesItsHalves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o overlay
		var want []string
		young, old := new(changes), new(changes)
		o = overlay{young: young, old: old}
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		for i := range 20 {
			key := fmt.Sprintf("k/%02d", i)
			where := rapid.IntRange(0, 3).Draw(t, "where")
			if where&1 != 0 {
				old.Set(key, []byte("old"))
			}
			if where&2 != 0 {
				young.Set(key, nil)
			}
			if where != 0 {
				want = append(want, key)
			}
		}
		var got []string
		for from := "k/"; ; {
			some, all := o.some("k/", from, limit)
			for _, c := range some {
				if _, inYoung := young.Get(c.key); inYoung != (c.value == nil) {
					t.Fatalf("%s is %q", c.key, c.value)
				}
				got = append(got, c.key)
			}
			if all {
				break
			}
			from = got[len(got)-1] + "\x00"
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q, not %q", got, want)
		}
	})
}

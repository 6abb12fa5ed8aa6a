package memory

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"testing"
	"testing/iotest"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

// sample fills an engine with some of everything and returns it.
func sample(t testing.TB) *Engine {
	e := start(t, Options{})
	for i := range 20 {
		u := storage.Unit{Records: []storage.Record{record(fmt.Sprint("t/", i), i), {PacketID: uint16(i), Message: &message.Message{
			Topic: "full", Payload: []byte("payload"), Properties: []byte{1, 1}, QoS: 2, Retain: true,
			PublishedAt: time.Unix(1_700_000_000, 5), ExpiresAt: time.Unix(1_800_000_000, 0), ClientID: "c", Username: "u",
		}}}}
		u.Ops = []storage.Op{{Key: []byte(fmt.Sprint("k/", i)), Value: []byte{byte(i)}}, {Key: []byte("empty"), Value: []byte{}}}
		mustCommit(t, e, u)
		if _, err := e.Claim(background, "c"); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Trim(background, 0, message.Position{Block: 5}); err != nil {
		t.Fatal(err)
	}
	return e
}

func snapshotOf(t testing.TB, e *Engine) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := e.Snapshot(background, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRestoreBringsEverythingBack(t *testing.T) {
	e := sample(t)
	stream := snapshotOf(t, e)
	got, err := Restore(Options{}, iotest.OneByteReader(bytes.NewReader(stream)))
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if a, b := e.Health(), got.Health(); a != b {
		t.Errorf("health %+v became %+v", a, b)
	}
	want, _, err := e.Read(background, 0, e.Health().First, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	blocks, _, err := got.Read(background, 0, got.Health().First, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	if !equalBlocks(want, blocks) {
		t.Errorf("blocks differ: %v, %v", want, blocks)
	}
	if again := snapshotOf(t, got); !bytes.Equal(again, stream) {
		t.Errorf("a snapshot of what was restored differs: %d bytes, %d bytes", len(again), len(stream))
	}
	before, _ := e.Claim(background, "c")
	if token, err := got.Claim(background, "c"); err != nil || token < before {
		t.Errorf("tokens go on with %d, %v, not %d", token, err, before)
	}
	var tailed []uint64
	stop := got.Tail(0, message.Position{}, func(b storage.Block) { tailed = append(tailed, b.Seq) })
	next := mustCommit(t, got, storage.Unit{Records: []storage.Record{record("t", 0)}})
	got.Close()
	stop()
	if next != e.Health().Next || len(tailed) != 17 || tailed[0] != 5 {
		t.Errorf("blocks go on with %v; the tail got %v", next, tailed)
	}
}

func equalBlocks(a, b []storage.Block) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Seq != b[i].Seq || len(a[i].Records) != len(b[i].Records) {
			return false
		}
		for j := range a[i].Records {
			x, y := a[i].Records[j], b[i].Records[j]
			if x.PacketID != y.PacketID || string(x.Message.Payload) != string(y.Message.Payload) {
				return false
			}
			m := *x.Message
			m.Payload = y.Message.Payload // empty is nil
			if !reflect.DeepEqual(&m, y.Message) {
				return false
			}
		}
	}
	return true
}

func TestRestoreOfAnEmptyEngine(t *testing.T) {
	e, err := Restore(Options{}, bytes.NewReader(snapshotOf(t, start(t, Options{}))))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if p := mustCommit(t, e, storage.Unit{Records: []storage.Record{record("t", 0)}}); p != (message.Position{Block: 1}) {
		t.Errorf("the first block is %v", p)
	}
}

func TestRestoreKeepsToTheLogsLimit(t *testing.T) {
	e, err := Restore(Options{LogMaxBytes: 1}, bytes.NewReader(snapshotOf(t, sample(t))))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if h := e.Health(); h.Blocks != 1 || h.Next.Block != 21 {
		t.Errorf("%+v", h)
	}
}

func TestRestoreRefusesWhatIsNotWhole(t *testing.T) {
	stream := snapshotOf(t, sample(t))
	for n := range len(stream) {
		if e, err := Restore(Options{}, bytes.NewReader(stream[:n])); !errors.Is(err, ErrSnapshot) {
			t.Fatalf("the first %d of %d bytes: %v, %v", n, len(stream), e, err)
		}
	}
	for i := range stream {
		broken := bytes.Clone(stream)
		broken[i] ^= 0x10
		if e, err := Restore(Options{}, bytes.NewReader(broken)); !errors.Is(err, ErrSnapshot) {
			t.Fatalf("byte %d of %d changed: %v, %v", i, len(stream), e, err)
		}
	}
	broken := errors.New("the disk is gone")
	if _, err := Restore(Options{}, io.MultiReader(bytes.NewReader(stream[:100]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
}

// FuzzRestore checks that no stream does harm, and that one which is accepted comes out again as it went in.
func FuzzRestore(f *testing.F) {
	f.Add(snapshotOf(f, sample(f)))
	f.Add(snapshotOf(f, start(f, Options{})))
	f.Add([]byte(snapshotMagic + "H\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		e := newEngine(Options{})
		err := e.restore(&snapshotReader{r: bufio.NewReader(bytes.NewReader(stream))})
		if err != nil && !errors.Is(err, ErrSnapshot) {
			t.Errorf("%v is no ErrSnapshot", err)
		}
		d := decoder{stream}
		for _, r := range d.records() {
			if r.Message.QoS > 2 {
				t.Error("a record with QoS 3")
			}
			again := decoder{appendRecord(nil, r)}
			if got := again.record(); !again.whole() || !reflect.DeepEqual(got, r) {
				t.Errorf("%+v came back as %+v", r.Message, got.Message)
			}
		}
	})
}

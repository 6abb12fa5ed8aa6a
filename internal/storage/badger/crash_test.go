package badger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/pkg/vfs"
)

// TestPowerCuts cuts the power of an engine again and again. Its log is in a file system that loses what was not synced;
// its state is, after each cut, what it was at the last checkpoint, or what it is, or what it was after a first replay
// that another cut followed. A model says which records and keys must be there, and which may.
func TestPowerCuts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for i := range uint64(4) {
		t.Run(fmt.Sprint(i), func(t *testing.T) { newPowerCuts(t, seed+i).run(6) })
	}
}

// powerCuts is an engine that is cut, and the model.
type powerCuts struct {
	t      *testing.T
	random *rand.Rand
	mem    *vfs.Mem
	engine *Engine
	saved  string // a copy of the state at the last checkpoint

	units []storage.Unit           // all that were ever submitted; unit i has a record with topic i
	acked map[int]bool             // and done without an error
	at    map[int]message.Position // where they were acknowledged to be
	first message.Position         // the last trim
}

func newPowerCuts(t *testing.T, seed uint64) *powerCuts {
	p := &powerCuts{t: t, random: rand.New(rand.NewPCG(seed, 0)), mem: vfs.NewMem(seed), acked: map[int]bool{}, at: map[int]message.Position{}}
	p.start(t.TempDir())
	p.saved = p.copyState()
	return p
}

func (p *powerCuts) start(state string) {
	p.engine = open(p.t, Options{Dir: "/data", FS: p.mem, state: state, SegmentBytes: 8 << 10, MaxBlockBytes: 1 << 10, CacheBytes: 8 << 10, RecentBytes: 8 << 10})
}

func (p *powerCuts) run(cuts int) {
	for range cuts {
		for range 1 + p.random.IntN(4) {
			p.publish(40)
			switch p.random.IntN(3) {
			case 0:
				p.checkpoint()
			case 1:
				p.trim()
				if err := p.engine.truncate(); err != nil {
					p.t.Fatal(err)
				}
			}
		}
		p.cut()
		p.check()
	}
}

// unit makes the next unit: a record, and changes of keys that tell who made them last.
func (p *powerCuts) unit() (int, storage.Unit) {
	n := len(p.units)
	u := storage.Unit{Records: []storage.Record{record(strconv.Itoa(n), p.random.IntN(200))}}
	for range p.random.IntN(4) {
		op := put(fmt.Sprint("k/", p.random.IntN(30)), fmt.Sprint(n, string(make([]byte, p.random.IntN(2)*2500))))
		if p.random.IntN(4) == 0 {
			op.Value = nil
		}
		u.Ops = append(u.Ops, op)
	}
	p.units = append(p.units, u)
	return n, u
}

// publish submits units, most of them without waiting, and waits for all of them.
func (p *powerCuts) publish(n int) {
	outcomes := map[int]<-chan outcome{}
	for range n {
		i, u := p.unit()
		outcomes[i] = submit(p.t, p.engine, u)
		if p.random.IntN(8) == 0 {
			<-submit(p.t, p.engine, storage.Unit{})
		}
	}
	for i, c := range outcomes {
		if o := <-c; o.err == nil {
			p.acked[i], p.at[i] = true, o.position
		}
	}
}

func (p *powerCuts) checkpoint() {
	if err := p.engine.checkpoint(); err != nil {
		p.t.Fatal(err)
	}
	p.saved = p.copyState()
	if err := p.engine.truncate(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *powerCuts) trim() {
	h := p.engine.Health()
	to := message.Position{Block: h.First.Block + uint64(p.random.IntN(int(h.Blocks)+1))}
	if err := p.engine.Trim(background, 0, to); err != nil {
		p.t.Fatal(err)
	}
	p.first = p.engine.Health().First
}

// copyState copies the state as it is between two writes. Badger may still be writing out tables: then once more.
func (p *powerCuts) copyState() string {
	p.engine.applying.Lock()
	defer p.engine.applying.Unlock()
	from := p.engine.options.state
	for {
		to := p.t.TempDir()
		before, err := listing(from)
		if err != nil {
			p.t.Fatal(err)
		}
		for name := range before {
			err = errors.Join(err, copyFile(filepath.Join(to, name), filepath.Join(from, name)))
		}
		after, listErr := listing(from)
		if err == nil && listErr == nil && maps.Equal(before, after) {
			return to
		}
		if err := errors.Join(err, listErr); err != nil && !errors.Is(err, fs.ErrNotExist) {
			p.t.Fatal(err)
		}
	}
}

// listing returns the sizes of the files of a state. Whatever Badger does to its tables changes one of them.
func listing(dir string) (map[string]int64, error) {
	entries, err := os.ReadDir(dir)
	sizes := map[string]int64{}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && entry.Name() != "LOCK" {
			sizes[entry.Name()] = info.Size()
		}
	}
	return sizes, err
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// cut lets some units be in the air when the power goes: the file system fails at some write or sync, for good.
func (p *powerCuts) cut() {
	kind := []vfs.Op{vfs.OpWrite, vfs.OpSync, vfs.OpAny}[p.random.IntN(3)]
	p.mem.FailAfter(p.random.IntN(10), kind, errors.New("the power goes"))
	p.publish(30)
	now := p.copyState()
	p.mem.Crash(p.random.Uint64())
	p.engine.Close() // its files are dead
	state := []string{now, p.saved}[p.random.IntN(2)]
	p.start(state)
	if p.random.IntN(3) == 0 { // and once more, after the replay
		state = p.copyState()
		p.mem.Crash(p.random.Uint64())
		p.engine.Close()
		p.start(state)
	}
	p.saved = p.copyState() // of a state that has everything; the log on disk may need none of it
}

// check compares the engine with the model: acknowledged units are there where they were, others may be there, once,
// whole, and behind those that were submitted before them.
func (p *powerCuts) check() {
	t := p.t
	t.Helper()
	got := readAll(t, p.engine, 1+p.random.IntN(4000))
	there := map[int]bool{}
	last := -1
	for _, l := range got {
		i, err := strconv.Atoi(l.topic)
		if err != nil || i <= last || i >= len(p.units) {
			t.Fatalf("record %q at %v after record %d", l.topic, l.position, last)
		}
		if p.acked[i] && l.position != p.at[i] {
			t.Fatalf("record %d is at %v, and was acknowledged at %v", i, l.position, p.at[i])
		}
		last, there[i] = i, true
		p.acked[i], p.at[i] = true, l.position // from now on it must stay
	}
	model := map[string]string{}
	for i, u := range p.units {
		if p.acked[i] && !there[i] && !p.at[i].Less(p.first) {
			t.Fatalf("record %d was acknowledged at %v and is not there; the log begins at %v", i, p.at[i], p.engine.Health().First)
		}
		if !p.acked[i] {
			continue
		}
		for _, op := range u.Ops {
			if op.Value == nil {
				delete(model, string(op.Key))
			} else {
				model[string(op.Key)] = string(op.Value)
			}
		}
	}
	if keys := scanAll(t, p.engine); !maps.Equal(keys, model) {
		for _, key := range slices.Sorted(maps.Keys(model)) {
			if keys[key] != model[key] {
				t.Errorf("%s is %.20q, not %.20q", key, keys[key], model[key])
			}
		}
		t.Fatalf("%d keys are there, of %d", len(keys), len(model))
	}
}

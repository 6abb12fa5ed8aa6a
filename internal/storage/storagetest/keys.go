package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

func (s *suite) checkValue(key, want string) {
	s.t.Helper()
	if got, err := s.Get(context.Background(), []byte(key)); err != nil || string(got) != want {
		s.t.Fatalf("Get(%q) = %q, %v, not %q", key, got, err, want)
	}
}

// scan returns the keys with a prefix as "key=value".
func (s *suite) scan(prefix string) []string {
	s.t.Helper()
	var all []string
	for kv, err := range s.Scan(context.Background(), []byte(prefix)) {
		if err != nil {
			s.t.Fatalf("Scan(%q): %v", prefix, err)
		}
		all = append(all, string(kv.Key)+"="+string(kv.Value))
		if len(kv.Key) > 0 {
			kv.Key[0] = 'X' // the caller's to do as it likes
		}
		if len(kv.Value) > 0 {
			kv.Value[0] = 'X'
		}
	}
	return all
}

func getAndScan(t *testing.T, s *suite) {
	ctx := context.Background()
	if _, err := s.Get(ctx, []byte("none")); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Get of a key that is not there: %v", err)
	}
	s.mustCommit(storage.Unit{Ops: []storage.Op{
		put("a", "1"), put("b/2", "3"), put("b/1", "2"), put("b/", ""), put("c\xff\xff", "4"), put("c\xff", "5"), put("d", "6"),
		put("b0", "7"),
	}})
	s.checkValue("b/1", "2")
	s.checkValue("b/", "") // an empty value is a value
	value, err := s.Get(ctx, []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	value[0] = 'X'
	s.checkValue("a", "1")
	for prefix, want := range map[string][]string{
		"":      {"a=1", "b/=", "b/1=2", "b/2=3", "b0=7", "c\xff=5", "c\xff\xff=4", "d=6"},
		"b/":    {"b/=", "b/1=2", "b/2=3"},
		"c\xff": {"c\xff=5", "c\xff\xff=4"},
		"d":     {"d=6"},
		"e":     nil,
	} {
		if got := s.scan(prefix); !slices.Equal(got, want) {
			t.Errorf("Scan(%q) = %q, not %q", prefix, got, want)
		}
	}
	for range s.Scan(ctx, nil) {
		break // ending early is no harm
	}
	s.mustCommit(storage.Unit{Ops: []storage.Op{remove("b/1"), remove("none")}})
	if got, want := s.scan("b/"), []string{"b/=", "b/2=3"}; !slices.Equal(got, want) {
		t.Errorf("after a removal: %q, not %q", got, want)
	}
	if _, err := s.Get(ctx, []byte("b/1")); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Get of a removed key: %v", err)
	}
}

func scanFrom(t *testing.T, s *suite) {
	var u storage.Unit
	for i := range 700 { // more than an engine copies at a time
		u.Ops = append(u.Ops, put(fmt.Sprintf("k/%04d", i), "v"))
	}
	u.Ops = append(u.Ops, put("a", "v"), put("z", "v"))
	s.mustCommit(u)
	for from, want := range map[string]int{"": 700, "a": 700, "k/": 700, "k/0000": 700, "k/0003": 697, "k/0003x": 696, "k/0699": 1, "k/07": 0, "z": 0} {
		n := 0
		for kv, err := range s.ScanFrom(context.Background(), []byte("k/"), []byte(from)) {
			if err != nil {
				t.Fatal(err)
			}
			if key := fmt.Sprintf("k/%04d", 700-want+n); string(kv.Key) != key {
				t.Fatalf("from %q: key %d is %q, not %q", from, n, kv.Key, key)
			}
			n++
		}
		if n != want {
			t.Errorf("from %q: %d keys, not %d", from, n, want)
		}
	}
}

// opsInOrder submits seeded changes of few keys without waiting, and compares the end with a map.
func opsInOrder(t *testing.T, s *suite) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	model := make(map[string]string)
	for i := range 1000 {
		var u storage.Unit
		for range 1 + random.IntN(3) {
			key := fmt.Sprint("k/", random.IntN(40))
			if random.IntN(3) == 0 {
				u.Ops = append(u.Ops, remove(key))
				delete(model, key)
				continue
			}
			value := fmt.Sprint(i, "/", random.IntN(1000))
			u.Ops = append(u.Ops, put(key, value))
			model[key] = value
		}
		s.submitRetrying(u)
	}
	s.mustCommit(storage.Unit{})
	var want []string
	for key, value := range model {
		want = append(want, key+"="+value)
	}
	slices.SortFunc(want, func(a, b string) int { // by key: "=" sorts after the digits of a longer key
		return strings.Compare(a[:strings.IndexByte(a, '=')], b[:strings.IndexByte(b, '=')])
	})
	if got := s.scan("k/"); !slices.Equal(got, want) {
		t.Errorf("the keys are %q, not %q", got, want)
	}
}

// scanWhileCommitting checks that keys which nobody touches are all seen, once and in order, while others change.
func scanWhileCommitting(t *testing.T, s *suite) {
	var u storage.Unit
	var want []string
	for i := range 1000 {
		key := fmt.Sprintf("k/%04d", i*2)
		u.Ops = append(u.Ops, put(key, "v"))
		want = append(want, key+"=v")
	}
	s.mustCommit(u)
	ended := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-ended:
				return
			default:
			}
			key := fmt.Sprintf("k/%04d", i%1000*2+1)
			s.submitRetrying(storage.Unit{Ops: []storage.Op{put(key, "w")}})
			s.submitRetrying(storage.Unit{Ops: []storage.Op{remove(key)}})
		}
	})
	defer group.Wait()
	defer close(ended)
	for range 5 {
		got := s.scan("k/")
		if !slices.IsSorted(got) {
			t.Fatal("the keys are not in order")
		}
		got = slices.DeleteFunc(got, func(kv string) bool { return strings.HasSuffix(kv, "=w") })
		if !slices.Equal(got, want) {
			t.Fatalf("%d of the %d keys that were there all along were seen", len(got), len(want))
		}
	}
}

func fences(t *testing.T, s *suite) {
	ctx := context.Background()
	var tokens []storage.Token
	for range 3 {
		token, err := s.Claim(ctx, "c")
		if err != nil {
			t.Fatal(err)
		}
		if token == 0 || len(tokens) > 0 && token <= tokens[len(tokens)-1] {
			t.Fatalf("token %d after %v", token, tokens)
		}
		tokens = append(tokens, token)
	}
	for i, c := range []struct {
		fence storage.Token
		want  error
	}{{tokens[0], storage.ErrFenced}, {tokens[1], storage.ErrFenced}, {tokens[2], nil}, {0, nil}} {
		u := unit(fmt.Sprint("t/", i))
		u.ClientID, u.Fence = "c", c.fence
		u.Ops = []storage.Op{put(fmt.Sprint("k/", i), "v")}
		if o := s.commit(u); !errors.Is(o.err, c.want) {
			t.Errorf("unit %d with fence %d after the claims %v: %v, not %v", i, c.fence, tokens, o.err, c.want)
		}
	}
	checkTopics(t, s.readAll(message.Position{}, 1<<20), []string{"t/2", "t/3"})
	if got, want := s.scan("k/"), []string{"k/2=v", "k/3=v"}; !slices.Equal(got, want) {
		t.Errorf("the keys are %q, not %q", got, want)
	}
}

func fencesPerClient(t *testing.T, s *suite) {
	ctx := context.Background()
	a, err := s.Claim(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := s.Claim(ctx, "b"); err != nil {
			t.Fatal(err)
		}
	}
	u := unit("t")
	u.ClientID, u.Fence = "a", a
	if o := s.commit(u); o.err != nil {
		t.Errorf("a unit with its client's newest claim: %v", o.err)
	}
}

// snapshot takes snapshots while units commit. What the stream says is for the engine's own tests.
func snapshot(t *testing.T, s *suite) {
	s.mustCommit(storage.Unit{Records: unit(numbered("t", 100)...).Records, Ops: []storage.Op{put("k", "v")}})
	ended := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-ended:
				return
			default:
				s.submitRetrying(storage.Unit{Ops: []storage.Op{put(fmt.Sprint("k/", i%100), "w")}})
			}
		}
	})
	var stream bytes.Buffer
	for range 5 {
		stream.Reset()
		if err := s.Snapshot(context.Background(), &stream); err != nil {
			t.Errorf("Snapshot: %v", err)
		}
	}
	close(ended)
	group.Wait()
	if stream.Len() == 0 {
		t.Error("the snapshot is empty")
	}
	broken := errors.New("the disk is full")
	if err := s.Snapshot(context.Background(), failingWriter{broken}); !errors.Is(err, broken) {
		t.Errorf("Snapshot to a writer that fails: %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func cancelled(t *testing.T, s *suite) {
	s.mustCommit(storage.Unit{Records: unit("t").Records, Ops: []storage.Op{put("k", "v")}})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, readErr := s.Read(ctx, 0, message.Position{}, 100)
	_, getErr := s.Get(ctx, []byte("k"))
	_, claimErr := s.Claim(ctx, "c")
	_, sizeErr := s.Size(ctx, 0, message.Position{})
	var scanErr error
	for _, err := range s.Scan(ctx, nil) {
		scanErr = err
	}
	for name, err := range map[string]error{
		"Read": readErr, "Get": getErr, "Claim": claimErr, "Scan": scanErr, "Size": sizeErr,
		"Trim": s.Trim(ctx, 0, message.Position{Block: 1}), "Snapshot": s.Snapshot(ctx, discard{}),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context: %v", name, err)
		}
	}
}

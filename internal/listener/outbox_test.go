package listener

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"
)

// What a client that does not read leaves in the layers is written, whole and in order, once it does.
func TestWritesDoNotWait(t *testing.T) {
	for _, kind := range []string{TypeTLS, TypeWS, TypeWSS} {
		t.Run(kind, func(t *testing.T) {
			ca := newAuthority(t)
			l, got := start(t, ca.options(kind))
			client := climb(t, dial(t, l), kind, ca.client())
			exchanged := make(chan struct{})
			go func() { // a TLS client shakes hands when it reads or writes
				defer close(exchanged)
				_, _ = client.Write([]byte{1})
			}()
			a := <-got
			defer a.Close()
			<-exchanged
			a.WriteLater()
			rng := rand.New(rand.NewPCG(1, 2))
			var want []byte
			for drained := true; drained; {
				p := make([]byte, 1+rng.IntN(64<<10))
				for i := range p {
					p[i] = byte(rng.Uint32())
				}
				want = append(want, p...)
				begun := time.Now()
				var err error
				if drained, err = a.TryWrite(p); err != nil {
					t.Fatal(err)
				}
				if time.Since(begun) > 2*time.Second {
					t.Fatal("TryWrite waits")
				}
				if len(want) > 64<<20 {
					t.Fatal("the network has no end")
				}
			}
			more := bytes.Repeat([]byte("x"), 100<<10)
			all := make(chan []byte)
			go func() {
				b := make([]byte, len(want)+len(more))
				n, _ := io.ReadFull(client, b)
				all <- b[:n]
			}()
			if err := a.Drain(); err != nil {
				t.Fatal(err)
			}
			if _, err := a.TryWrite(more); err != nil {
				t.Fatal(err)
			}
			if err := a.Drain(); err != nil {
				t.Fatal(err)
			}
			if b := <-all; !bytes.Equal(b, append(want, more...)) {
				t.Errorf("the client got %d bytes that are not the %d written", len(b), len(want)+len(more))
			}
		})
	}
}

// What layers answer by themselves to a client that does not read is bounded.
func TestTheOutboxIsBounded(t *testing.T) {
	o := &outbox{held: true}
	p := make([]byte, outboxBytes/4)
	for range 4 {
		if n, err := o.write(nil, p); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	if _, err := o.write(nil, p[:1]); !errors.Is(err, errOutboxFull) {
		t.Errorf("beyond the limit: %v", err)
	}
}

package storagetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

func positions(t *testing.T, s *suite) {
	var want []read
	last := message.Position{}
	for i := range 200 {
		u := unit(numbered(fmt.Sprint("t/", i), 1+i%3)...)
		at := s.mustCommit(u)
		if !last.Less(at) {
			t.Fatalf("unit %d at %v is not after %v", i, at, last)
		}
		if at.Block == 0 {
			t.Fatalf("unit %d is in block 0", i)
		}
		for j, r := range u.Records {
			last = message.Position{Block: at.Block, Index: at.Index + uint32(j)}
			want = append(want, read{last, r})
		}
	}
	got := s.readAll(message.Position{}, 1<<20)
	if len(got) != len(want) {
		t.Fatalf("%d records were read, not %d", len(got), len(want))
	}
	for i := range want {
		if got[i].position != want[i].position || got[i].record.Message.Topic != want[i].record.Message.Topic {
			t.Fatalf("record %d: %v %q, not %v %q", i, got[i].position, got[i].record.Message.Topic,
				want[i].position, want[i].record.Message.Topic)
		}
	}
}

func readMaxBytes(t *testing.T, s *suite) {
	ctx := context.Background()
	payload := make([]byte, 10_000)
	for i := range 20 {
		s.mustCommit(storage.Unit{Records: []storage.Record{{Message: &message.Message{Topic: fmt.Sprint(i), Payload: payload}}}})
	}
	for _, c := range []struct{ maxBytes, least, most int }{
		{0, 1, 1}, {1, 1, 1}, {9_000, 1, 1}, {45_000, 2, 4}, {1 << 30, 20, 20},
	} {
		blocks, next, err := s.Read(ctx, 0, message.Position{}, c.maxBytes)
		if err != nil {
			t.Fatal(err)
		}
		records := 0
		for _, b := range blocks {
			records += len(b.Records)
		}
		if records < c.least || records > c.most {
			t.Errorf("Read of %d bytes: %d records of 10,000 bytes, not %d to %d", c.maxBytes, records, c.least, c.most)
		}
		if rest := s.readAll(next, 1<<30); records+len(rest) != 20 {
			t.Errorf("Read of %d bytes: %d records and %d more, not 20 in all", c.maxBytes, records, len(rest))
		}
	}
	checkTopics(t, s.readAll(message.Position{}, 1), []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12",
		"13", "14", "15", "16", "17", "18", "19"})
}

// readEverywhere reads from each record, from the end of each block and from beyond the log.
func readEverywhere(t *testing.T, s *suite) {
	for i := range 50 {
		s.mustCommit(unit(numbered(fmt.Sprint(i), 1+i%4)...))
	}
	all := s.readAll(message.Position{}, 1<<20)
	topics := topicsOf(all)
	for i, r := range all {
		checkTopics(t, s.readAll(r.position, 1<<20), topics[i:])
		checkTopics(t, s.readAll(r.position.Next(), 1<<20), topics[i+1:])
	}
	end := s.Health().Next
	for _, from := range []message.Position{end, end.Next(), {Block: end.Block + 10}, message.MaxPosition} {
		blocks, next, err := s.Read(context.Background(), 0, from, 1<<20)
		if err != nil || len(blocks) != 0 || next.Less(from) {
			t.Errorf("Read from %v, past the end: %d blocks, go on at %v, %v", from, len(blocks), next, err)
		}
	}
}

func messageFields(t *testing.T, s *suite) {
	now := time.Unix(1_700_000_000, 123_456_789)
	want := []storage.Record{
		{Message: &message.Message{Topic: "plain"}},
		{PacketID: 65535, Message: &message.Message{
			Topic: "a/b/c", Payload: []byte{0, 1, 2}, Properties: []byte{1, 1}, QoS: 2, Retain: true,
			PublishedAt: now, ExpiresAt: now.Add(time.Hour), ClientID: "client", Username: "user",
		}},
		{PacketID: 1, Message: &message.Message{Topic: "large", Payload: make([]byte, 3<<20), QoS: 1}},
	}
	s.mustCommit(storage.Unit{ClientID: "client", Records: slices.Clone(want)})
	got := s.readAll(message.Position{}, 1)
	if len(got) != len(want) {
		t.Fatalf("%d records, not %d", len(got), len(want))
	}
	for i, r := range got {
		if !sameRecord(r.record, want[i]) {
			t.Errorf("record %d is %+v, not %+v", i, *r.record.Message, *want[i].Message)
		}
	}
}

// sameRecord compares records; times are the same when they are the same instant, empty and nil slices are the same.
func sameRecord(a, b storage.Record) bool {
	x, y := *a.Message, *b.Message
	if a.PacketID != b.PacketID || !x.PublishedAt.Equal(y.PublishedAt) || !x.ExpiresAt.Equal(y.ExpiresAt) ||
		string(x.Payload) != string(y.Payload) || string(x.Properties) != string(y.Properties) {
		return false
	}
	x.PublishedAt, x.ExpiresAt, x.Payload, x.Properties = y.PublishedAt, y.ExpiresAt, y.Payload, y.Properties
	return reflect.DeepEqual(x, y)
}

func trim(t *testing.T, s *suite) {
	ctx := context.Background()
	topics := numbered("t", 10)
	at := s.write(topics...)
	if err := s.Trim(ctx, 0, at[4]); err != nil {
		t.Fatal(err)
	}
	first := s.checkTrimmed(message.Position{})
	s.checkTrimmed(at[0])
	if at[4].Less(first) {
		t.Fatalf("Trim before %v forgot up to %v", at[4], first)
	}
	rest := s.readAll(first, 1<<20)
	checkTopics(t, rest[len(rest)-6:], topics[4:])
	if err := s.Trim(ctx, 0, at[1]); err != nil { // what is gone already
		t.Fatal(err)
	}
	if err := s.Trim(ctx, 0, message.MaxPosition); err != nil {
		t.Fatal(err)
	}
	s.checkTrimmed(at[9])
	h := s.Health()
	if h.First != h.Next {
		t.Errorf("an empty log reaches from %v to %v", h.First, h.Next)
	}
	if got := s.readAll(h.First, 1<<20); len(got) != 0 {
		t.Errorf("%d records are left after everything was trimmed", len(got))
	}
	next := s.write("after")[0]
	if !at[9].Less(next) {
		t.Errorf("after Trim a record is at %v, not after %v", next, at[9])
	}
	checkTopics(t, s.readAll(h.First, 1<<20), []string{"after"})
}

func size(t *testing.T, s *suite) {
	ctx := context.Background()
	at := s.write(numbered("t", 100)...)
	last := s.Health().LogBytes
	for i, pos := range at {
		n, err := s.Size(ctx, 0, pos)
		if err != nil {
			t.Fatal(err)
		}
		if n > last || i > 0 && n == last || n <= 0 {
			t.Fatalf("from record %d: %d bytes, after %d from the one before", i, n, last)
		}
		last = n
	}
	for _, end := range []message.Position{s.Health().Next, message.MaxPosition} {
		if n, err := s.Size(ctx, 0, end); n != 0 || err != nil {
			t.Errorf("from %v: %d bytes, %v", end, n, err)
		}
	}
	if err := s.Trim(ctx, 0, at[50]); err != nil {
		t.Fatal(err)
	}
	var trimmed *storage.TrimmedError
	if _, err := s.Size(ctx, 0, at[3]); !errors.As(err, &trimmed) || trimmed.First != s.Health().First {
		t.Errorf("from what was trimmed: %v", err)
	}
}

// checkTrimmed reads from a position that must be gone, and returns the first that is left.
func (s *suite) checkTrimmed(from message.Position) message.Position {
	s.t.Helper()
	blocks, _, err := s.Read(context.Background(), 0, from, 1<<20)
	var trimmed *storage.TrimmedError
	if !errors.As(err, &trimmed) || len(blocks) != 0 {
		s.t.Fatalf("Read(%v) of what was trimmed: %d blocks, %v", from, len(blocks), err)
	}
	if first := s.Health().First; trimmed.First != first || !from.Less(first) {
		s.t.Fatalf("TrimmedError says %v, Health says %v, for %v", trimmed.First, first, from)
	}
	return trimmed.First
}

func health(t *testing.T, s *suite) {
	before := s.Health()
	if before.Err != nil || before.First != before.Next || before.Blocks != 0 || before.QueueBytes != 0 {
		t.Errorf("a new engine: %+v", before)
	}
	at := s.write(numbered("t", 10)...)
	s.mustCommit(storage.Unit{})
	h := s.Health()
	if h.Err != nil || h.LogBytes <= before.LogBytes || h.Blocks < 1 || h.QueueBytes != 0 {
		t.Errorf("after ten records: %+v", h)
	}
	if at[0].Less(h.First) || !at[9].Less(h.Next) {
		t.Errorf("records from %v to %v in a log from %v to %v", at[0], at[9], h.First, h.Next)
	}
	if next := s.write("next")[0]; next.Less(h.Next) {
		t.Errorf("the next block was to be %v, and a record is at %v", h.Next, next)
	}
}

package stream

import (
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/message"
)

func TestParseOffset(t *testing.T) {
	for s, want := range map[string]Offset{
		"earliest": {}, "latest": {Latest: true},
		"1700000000":                  {Since: time.Unix(1_700_000_000, 0)},
		"1700000000123":               {Since: time.UnixMilli(1_700_000_000_123)},
		"2026-01-31T12:00:00Z":        {Since: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)},
		"2026-01-31T12:00:00.5+01:00": {Since: time.Date(2026, 1, 31, 11, 0, 0, 500_000_000, time.UTC)},
		"0-0":                         {}, "12-3": {Position: message.Position{Block: 12, Index: 3}},
		"18446744073709551615-4294967295": {Position: message.MaxPosition},
	} {
		got, err := ParseOffset(s)
		if err != nil || got.Latest != want.Latest || !got.Since.Equal(want.Since) || got.Position != want.Position {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "0", "-1", "Earliest", "1-", "-", "1-2-3", "1-4294967296", "2026-01-31", "12.5", "x"} {
		if got, err := ParseOffset(s); err == nil {
			t.Errorf("%q is taken for %+v", s, got)
		}
	}
}

func FuzzParseOffset(f *testing.F) {
	for _, s := range []string{"earliest", "12-3", "1700000000", "2026-01-31T12:00:00Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := ParseOffset(s)
		if err != nil {
			return
		}
		if again, ok := ParsePosition(FormatPosition(o.Position)); !ok || again != o.Position {
			t.Fatalf("%q: %+v came back as %+v", s, o.Position, again)
		}
	})
}

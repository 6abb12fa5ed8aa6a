package migrate

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/barid-mqtt/barid/internal/auth/builtin"
	"github.com/barid-mqtt/barid/internal/migrate/erl"
)

// ban takes a record of {table, {as, who}, by, reason, at, until}; times are in seconds, until may be infinity.
func (m *emqx) ban(r *erl.Term) (o outcome, err error) {
	if !r.IsTuple(6) || !r.Items[1].IsTuple(2) || r.Items[4].Kind != erl.Int {
		return o, fmt.Errorf("%w: a ban that is not made as one", ErrExport)
	}
	as, until := builtin.BanBy(r.Items[1].Items[0].Text), r.Items[5]
	who, ok := banned(&r.Items[1].Items[1])
	if !ok || until.Kind != erl.Int && !until.IsAtom("infinity") {
		return o, fmt.Errorf("%w: a ban of nobody, or without an end that is known", ErrExport)
	}
	o.what = fmt.Sprintf("ban of %s %s", as, who)
	b := builtin.Ban{As: as, Who: who, At: time.Unix(r.Items[4].Int, 0)}
	b.By, _ = r.Items[2].Bytes()
	b.Reason, _ = r.Items[3].Bytes()
	if until.Kind == erl.Int {
		if b.Until = time.Unix(until.Int, 0); !time.Now().Before(b.Until) {
			return outcome{verdict: NotNeeded, what: o.what, note: "it has ended"}, nil
		}
	}
	if b.Until.Year() > 9999 || b.At.Year() > 9999 { // JSON has no such times
		b.Until, b.At = time.Time{}, time.Time{}
	}
	if err := builtin.CheckBan(b); err != nil {
		return outcome{o.what, Unsupported, err.Error()}, nil //nolint:nilerr // it is said of the ban
	}
	o.verdict = Taken
	return o, m.sink.Ban(b)
}

// banned reads who is banned: a name or an expression, which older versions keep with what they made of it, an address, or
// a network of {first, last, bits}.
func banned(t *erl.Term) (string, bool) {
	if text, ok := t.Bytes(); ok {
		return text, true
	}
	if t.IsTuple(2) {
		return t.Items[1].Bytes()
	}
	if a, ok := address(t); ok {
		return a.String(), true
	}
	if t.IsTuple(3) && t.Items[2].Kind == erl.Int {
		if a, ok := address(&t.Items[0]); ok && t.Items[2].Int >= 0 && t.Items[2].Int <= int64(a.BitLen()) {
			return netip.PrefixFrom(a, int(t.Items[2].Int)).String(), true
		}
	}
	return "", false
}

// address reads {127, 0, 0, 1}, or the eight words of one of IPv6.
func address(t *erl.Term) (netip.Addr, bool) {
	var b []byte
	for i := range t.Items {
		n := t.Items[i].Int
		switch {
		case t.Items[i].Kind != erl.Int || n < 0:
			return netip.Addr{}, false
		case t.IsTuple(4) && n < 256:
			b = append(b, byte(n))
		case t.IsTuple(8) && n < 1<<16:
			b = append(b, byte(n>>8), byte(n))
		}
	}
	return netip.AddrFromSlice(b)
}

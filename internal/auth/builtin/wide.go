package builtin

import "sync/atomic"

// wide are the bans by pattern and network, which are compared one by one.
type wide struct{ bans atomic.Pointer[[]Ban] }

func (w *wide) load() []Ban {
	if p := w.bans.Load(); p != nil {
		return *p
	}
	return nil
}

func (w *wide) gather(t *table[Ban]) {
	bans, _ := t.list(Page{}, func(_ string, row Ban) bool { return row.pattern != nil || row.network.IsValid() })
	w.bans.Store(&bans)
}

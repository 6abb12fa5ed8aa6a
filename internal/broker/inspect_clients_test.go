package broker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Pages of the clients, of any size, are those of the whole list in order.
func TestPagesOfClientsAreInOrder(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	b := newTestBroker(t, []string{"durability=memory"})
	defer func() {
		if err := b.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	var even, all []string
	for _, n := range random.Perm(1000) {
		id := fmt.Sprintf("c%03d", n)
		b.registry.put(b.newClient(id, true))
		if all = append(all, id); n%2 == 0 {
			even = append(even, id)
		}
	}
	slices.Sort(all)
	slices.Sort(even)
	isEven := func(i *ClientInfo) bool { return strings.ContainsRune("02468", rune(i.ClientID[3])) }
	for _, tt := range []struct {
		want  []string
		match func(*ClientInfo) bool
	}{{all, nil}, {even, isEven}} {
		for _, page := range [][2]int{{0, 1}, {0, 7}, {10, 10}, {50, 70}, {400, 90}, {0, 10_000}, {len(tt.want) - 3, 10}, {len(tt.want), 10}, {5000, 1}, {-4, 10}, {3, 0}} {
			infos, total := b.Clients(tt.match, page[0], page[1])
			var got []string
			for i := range infos {
				got = append(got, infos[i].ClientID)
			}
			var want []string
			if page[0] >= 0 && page[0] < len(tt.want) {
				want = tt.want[page[0]:min(page[0]+page[1], len(tt.want))]
			}
			if !slices.Equal(got, want) || total != len(tt.want) {
				t.Errorf("%v of %d: got %q of %d, not %q", page, len(tt.want), got, total, want)
			}
		}
	}
}

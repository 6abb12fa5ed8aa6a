package badger

import (
	"context"
	"fmt"
	"slices"

	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/storage"
)

const (
	// claimsKept is how many clients a generation of an engine's claims holds.
	claimsKept = 1 << 20
	// tokensAhead is how many tokens one block permits: a restart goes on after the last that was permitted.
	tokensAhead = 1 << 16
)

// claims knows the newest claim of each client. Tokens rise over all clients and over restarts.
//
// What is remembered is bounded: claims live in two generations, and when the young one is full, the old one is
// forgotten. A claim is thus known for at least limit claims of other clients. Claims themselves are not stored: those
// who had one are gone with the process.
type claims struct {
	limit      int // clients in a generation
	last       storage.Token
	permitted  storage.Token // a block says that tokens up to this one may be out
	young, old map[string]storage.Token
}

// next makes a claim for the client, unless a block must permit more tokens first.
func (c *claims) next(clientID string) (storage.Token, bool) {
	if c.last >= c.permitted {
		return 0, false
	}
	if len(c.young) >= c.limit {
		c.old, c.young = c.young, nil
	}
	if c.young == nil {
		c.young = make(map[string]storage.Token)
	}
	c.last++
	c.young[clientID] = c.last
	return c.last, true
}

// newest returns the client's newest claim, or 0.
func (c *claims) newest(clientID string) storage.Token {
	if token, ok := c.young[clientID]; ok {
		return token
	}
	return c.old[clientID]
}

// permit returns what the next block permits: more when half is used up.
func (c *claims) permit() storage.Token {
	if c.permitted-c.last > tokensAhead/2 {
		return c.permitted
	}
	return c.last + tokensAhead
}

// Claim implements storage.Engine. When it returns, no unit with an older fence will commit any more.
func (e *Engine) Claim(ctx context.Context, clientID string) (storage.Token, error) {
	for {
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("storage: claim a session: %w", err)
		}
		e.mu.Lock()
		if e.gone {
			e.mu.Unlock()
			return 0, storage.ErrClosed
		}
		token, ok := e.claims.next(clientID)
		writing := e.writing
		concerned := ok && fencedUnit(e.inBlock, clientID)
		e.mu.Unlock()
		if ok {
			if concerned {
				<-writing // units with an older fence are being written; ctx no longer matters, the claim is made
			}
			return token, nil
		}
		if err := e.control(ctx, kindTokens); err != nil {
			return 0, fmt.Errorf("storage: claim a session: %w", err)
		}
	}
}

func fencedUnit(units []pending, clientID string) bool {
	return slices.ContainsFunc(units, func(p pending) bool { return p.unit.Fence != 0 && p.unit.ClientID == clientID })
}

// control has the committer do something in its turn, and waits for it.
func (e *Engine) control(ctx context.Context, k kind) error {
	result := make(chan error, 1)
	p := pending{kind: k, bytes: unitOverhead, done: func(_ message.Position, err error) { result <- err }}
	if err := e.enqueue(p); err != nil {
		return err
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

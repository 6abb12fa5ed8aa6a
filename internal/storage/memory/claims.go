package memory

import "github.com/barid-mqtt/barid/internal/storage"

// claimsKept is how many clients a generation of an engine's claims holds.
const claimsKept = 1 << 20

// claims knows the newest claim of each client. Tokens rise over all clients.
//
// Clients make up their identifiers, so what is remembered must be bounded: claims live in two generations, and when
// the young one is full, the old one is forgotten. A claim is thus known for at least limit claims of other
// clients; a fence that is still in use after that fences no more, which takes a connection that outlives its own
// takeover by a million connects.
type claims struct {
	limit      int // clients in a generation
	last       storage.Token
	young, old map[string]storage.Token
}

// next makes a claim for the client.
func (c *claims) next(clientID string) storage.Token {
	if len(c.young) >= c.limit {
		c.old, c.young = c.young, nil
	}
	if c.young == nil {
		c.young = make(map[string]storage.Token)
	}
	c.last++
	c.young[clientID] = c.last
	return c.last
}

// newest returns the client's newest claim, or 0.
func (c *claims) newest(clientID string) storage.Token {
	if token, ok := c.young[clientID]; ok {
		return token
	}
	return c.old[clientID]
}

package state

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/barid-mqtt/barid/internal/storage"
)

// Given is a part of what a shared group has given one client, and what is not finished. It is written with the group,
// never with the session. That of a session which has ended is the group's again.
type Given struct {
	Key          string // what the session knows the subscription by
	Part         uint16
	Name, Filter string // of the group
	Flights      []Flight
}

// GivenKey is the key of a part.
func GivenKey(o Owner, key string, part uint16) []byte {
	return binary.BigEndian.AppendUint16(append(owned('a', o.ClientID, o.Incarnation, key), 0), part)
}

// PutGiven keeps a part; one without deliveries is forgotten.
func PutGiven(o Owner, g *Given) storage.Op {
	key := GivenKey(o, g.Key, g.Part)
	if len(g.Flights) == 0 {
		return Delete(key)
	}
	w := newWriter()
	w.string(g.Name)
	w.string(g.Filter)
	w.flights(g.Flights)
	return storage.Op{Key: key, Value: w.b}
}

// DecodeGiven reads an entry of Assigned.
func DecodeGiven(kv storage.KV) (o Owner, g *Given, err error) {
	o, rest, err := parseOwned(kv.Key)
	if err != nil {
		return o, nil, err
	}
	end := len(rest) - 3
	if end < 0 || rest[end] != 0 {
		return o, nil, fmt.Errorf("%w: key %q", errCut, kv.Key)
	}
	r := newReader(kv.Value)
	g = &Given{Key: string(rest[:end]), Part: binary.BigEndian.Uint16(rest[end+1:]), Name: r.string(), Filter: r.string(), Flights: r.flights()}
	if strings.ContainsRune(g.Name, 0) || len(g.Flights) == 0 {
		r.fail()
	}
	return o, g, r.done(kv.Key)
}

package scram

import (
	"fmt"
	"strings"
)

// String returns the credentials in the form that PostgreSQL stores them in:
//
//	SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>
func (c Credentials) String() string {
	return fmt.Sprintf("%s$%d:%s$%s:%s", c.Hash.name, c.Iterations, encode(c.Salt), encode(c.StoredKey), encode(c.ServerKey))
}

// ParseCredentials reads what String returns. Errors do not show the text: it is nobody's to see.
func ParseCredentials(text string) (Credentials, error) {
	mechanism, rest, _ := strings.Cut(text, "$")
	h, ok := HashByName(mechanism)
	if !ok {
		return Credentials{}, fmt.Errorf("scram: not a mechanism: use %s or %s", SHA256.name, SHA512.name)
	}
	cost, keys, _ := strings.Cut(rest, "$")
	count, salt, _ := strings.Cut(cost, ":")
	stored, server, _ := strings.Cut(keys, ":")
	c := Credentials{Hash: h}
	if c.Iterations, ok = iterations(count); !ok {
		return Credentials{}, fmt.Errorf("scram: iterations are not a number from %d to %d", MinIterations, MaxIterations)
	}
	if c.Salt, ok = decode(salt); !ok || len(c.Salt) < minSaltBytes || len(c.Salt) > maxSaltBytes {
		return Credentials{}, fmt.Errorf("scram: the salt is not %d to %d bytes in base64", minSaltBytes, maxSaltBytes)
	}
	if c.StoredKey, ok = decode(stored); !ok || len(c.StoredKey) != h.size {
		return Credentials{}, fmt.Errorf("scram: StoredKey is not %d bytes in base64", h.size)
	}
	if c.ServerKey, ok = decode(server); !ok || len(c.ServerKey) != h.size {
		return Credentials{}, fmt.Errorf("scram: ServerKey is not %d bytes in base64", h.size)
	}
	return c, nil
}

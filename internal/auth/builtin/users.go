package builtin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/barid-mqtt/barid/internal/auth/password"
)

// Limits of the store.
const (
	maxUsers     = 1_000_000
	maxNameBytes = 65535
	maxRoles     = 64
)

// User is what is kept of a user, in the shape of EMQX's built-in database.
type User struct {
	Name      string   `json:"user_id"`
	Hash      string   `json:"password_hash"`
	Superuser bool     `json:"is_superuser"`
	Roles     []string `json:"roles,omitempty"`

	hash password.Hash
}

// Users are the users that the broker keeps. They are a password.Source.
type Users struct {
	table *table[User]

	mu      sync.Mutex // guards typical
	typical password.Hash
}

// OpenUsers reads the users that an engine has.
func OpenUsers(ctx context.Context, e Engine) (*Users, error) {
	u := &Users{}
	t, err := open(ctx, e, "mqtt_users", maxUsers, func(row *User) (err error) {
		row.hash, err = password.Parse(row.Hash)
		u.typical = row.hash
		return err
	})
	u.table = t
	return u, err
}

// UserChange says what becomes of a user; nil leaves something as it is. A new user needs a password.
type UserChange struct {
	Password  []byte         // in the clear, to be hashed here
	Hash      *password.Hash // instead of Password: moved here from elsewhere
	Superuser *bool
	Roles     *[]string
}

// Set adds or changes a user. Clients that are connected stay so, as who they were.
func (u *Users) Set(ctx context.Context, name string, c UserChange) error {
	if err := checkName("username", name); err != nil {
		return err
	}
	hash := c.Hash
	if len(c.Password) > 0 {
		h := password.New(c.Password) // takes its time: outside of the table's lock
		hash = &h
	}
	return u.table.change(ctx, name, func(row User, known bool) (User, error) {
		row.Name = name
		if hash != nil {
			row.hash, row.Hash = *hash, hash.String()
		}
		if c.Superuser != nil {
			row.Superuser = *c.Superuser
		}
		if c.Roles != nil {
			row.Roles = slices.Clone(*c.Roles)
		}
		if row.Hash == "" {
			return row, fmt.Errorf("%w: user %q needs a password", ErrInvalid, name)
		}
		u.mu.Lock()
		u.typical = row.hash
		u.mu.Unlock()
		return row, checkRoles(row.Roles)
	})
}

// Delete removes a user, or says ErrNotFound.
func (u *Users) Delete(ctx context.Context, name string) error { return u.table.remove(ctx, name) }

// Get returns a user.
func (u *Users) Get(name string) (User, bool) { return u.table.get(name) }

// UserQuery says which users are listed; empty fields say nothing.
type UserQuery struct {
	Page
	Like      string // part of the name
	Superuser *bool
	Role      string
}

// List returns one page of the users by name, and how many there are in all.
func (u *Users) List(q UserQuery) ([]User, int) {
	return u.table.list(q.Page, func(name string, row User) bool {
		return strings.Contains(name, q.Like) && (q.Superuser == nil || row.Superuser == *q.Superuser) &&
			(q.Role == "" || slices.Contains(row.Roles, q.Role))
	})
}

// Find implements password.Source.
func (u *Users) Find(name string) (password.User, bool) {
	row, ok := u.table.get(name)
	return password.User{Hash: row.hash, Superuser: row.Superuser, Roles: row.Roles}, ok
}

// Typical implements password.Source: the hash of whom was added last.
func (u *Users) Typical() password.Hash {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.typical
}

func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: the %s is empty", ErrInvalid, what)
	case len(name) > maxNameBytes || !utf8.ValidString(name) || strings.Contains(name, "\x00"):
		return fmt.Errorf("%w: %q is no %s that MQTT allows", ErrInvalid, name, what)
	}
	return nil
}

func checkRoles(roles []string) error {
	if len(roles) > maxRoles {
		return fmt.Errorf("%w: a user has at most %d roles", ErrTooMany, maxRoles)
	}
	for _, r := range roles {
		if err := checkName("role", r); err != nil {
			return err
		}
	}
	return nil
}

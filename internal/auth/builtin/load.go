package builtin

import (
	"context"
	"fmt"

	"github.com/barid-mqtt/barid/internal/auth/password"
)

// What is moved here from elsewhere comes many at a time, each batch in one commit. A row takes the place of the one that is
// there by its name.

// Load keeps users, whose hashes are texts that package password knows.
func (u *Users) Load(ctx context.Context, users []User) error {
	names := make([]string, len(users))
	for i := range users {
		row := &users[i]
		err := checkName("username", row.Name)
		if err == nil {
			row.hash, err = password.Parse(row.Hash)
		}
		if err == nil {
			err = checkRoles(row.Roles)
		}
		if err != nil {
			return fmt.Errorf("user %q: %w", row.Name, err)
		}
		names[i] = row.Name
	}
	return u.table.load(ctx, names, users)
}

// Load keeps rules of subjects.
func (s *RuleStore) Load(ctx context.Context, rules []Rules) error {
	names := make([]string, len(rules))
	for i := range rules {
		if err := rules[i].parse(); err != nil {
			return err
		}
		names[i] = rules[i].key()
	}
	err := s.table.load(ctx, names, rules)
	s.version.Add(1)
	return err
}

// CheckBan reports what is wrong with a ban that is to be added.
func CheckBan(b Ban) error { return b.parse() }

// CheckUser reports what is wrong with the name of a user that is to be added.
func CheckUser(name string) error { return checkName("username", name) }

// Load keeps bans. No connection ends by that: nothing is connected where they are moved to.
func (b *Bans) Load(ctx context.Context, bans []Ban) error {
	names, patterns := make([]string, len(bans)), len(b.wide.load())
	for i := range bans {
		ban := &bans[i]
		if err := ban.parse(); err != nil {
			return err
		}
		names[i] = ban.key()
		if _, known := b.table.get(names[i]); !known && (ban.pattern != nil || ban.network.IsValid()) {
			patterns++
		}
	}
	if patterns > maxPatterns {
		return fmt.Errorf("%w: %d is the most of patterns and networks", ErrTooMany, maxPatterns)
	}
	err := b.table.load(ctx, names, bans)
	b.wide.gather(b.table)
	return err
}

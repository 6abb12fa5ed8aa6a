package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"

	"github.com/barid-mqtt/barid/internal/auth/builtin"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/storage/badger"
)

// What a batch of a Loader has at most.
const (
	batchRows  = 500
	batchBytes = 256 << 10
)

// Loader writes what comes from another broker into a data directory, in batches. What it is given counts once Load has
// returned nil.
type Loader struct {
	ctx    context.Context
	engine *badger.Engine

	store struct {
		users *builtin.Users
		rules *builtin.RuleStore
		bans  *builtin.Bans
	}
	users []builtin.User
	rules []builtin.Rules
	bans  []builtin.Ban
	ops   []storage.Op // retained messages
	bytes int
}

// Load opens a data directory that no broker has open, makes one where there is none, and lets fill write into it. Users,
// rules, bans and retained messages take the place of those that are there for the same.
func Load(ctx context.Context, dir string, log *slog.Logger, fill func(*Loader) error) error {
	err := load(ctx, dir, log, fill)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if errors.Is(err, badger.ErrInUse) {
		err = ErrRunning
	}
	if err != nil {
		return fmt.Errorf("the data directory %s: %w", dir, err)
	}
	return nil
}

func load(ctx context.Context, dir string, log *slog.Logger, fill func(*Loader) error) (err error) {
	if err := checkOwner(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l := &Loader{ctx: ctx}
	if l.engine, err = badger.Open(badger.Options{Dir: dir, Logger: log}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.engine.Close()) }()
	if l.store.users, err = builtin.OpenUsers(ctx, l.engine); err != nil {
		return err
	}
	if l.store.rules, err = builtin.OpenRules(ctx, l.engine); err != nil {
		return err
	}
	if l.store.bans, err = builtin.OpenBans(ctx, l.engine); err != nil {
		return err
	}
	if err := fill(l); err != nil {
		return err
	}
	return errors.Join(l.flushUsers(), l.flushRules(), l.flushBans(), l.flushRetained())
}

// User writes a user.
func (l *Loader) User(u builtin.User) error {
	if l.users = append(l.users, u); len(l.users) < batchRows {
		return l.ctx.Err()
	}
	return l.flushUsers()
}

// Rules writes the rules of a subject.
func (l *Loader) Rules(r builtin.Rules) error {
	l.rules = append(l.rules, r)
	if l.bytes += len(r.Rules); len(l.rules) < batchRows && l.bytes < batchBytes {
		return l.ctx.Err()
	}
	return l.flushRules()
}

// Ban writes a ban.
func (l *Loader) Ban(b builtin.Ban) error {
	if l.bans = append(l.bans, b); len(l.bans) < batchRows {
		return l.ctx.Err()
	}
	return l.flushBans()
}

// Retained writes a retained message.
func (l *Loader) Retained(m *message.Message) error {
	op := state.PutRetained(m)
	l.ops = append(l.ops, op)
	if l.bytes += len(op.Value); len(l.ops) < batchRows && l.bytes < batchBytes {
		return l.ctx.Err()
	}
	return l.flushRetained()
}

func (l *Loader) flushUsers() error {
	defer func() { l.users = nil }()
	if len(l.users) == 0 {
		return nil
	}
	return l.store.users.Load(l.ctx, l.users)
}

func (l *Loader) flushRules() error {
	defer func() { l.rules, l.bytes = nil, 0 }()
	if len(l.rules) == 0 {
		return nil
	}
	return l.store.rules.Load(l.ctx, l.rules)
}

func (l *Loader) flushBans() error {
	defer func() { l.bans = nil }()
	if len(l.bans) == 0 {
		return nil
	}
	return l.store.bans.Load(l.ctx, l.bans)
}

// flushRetained commits retained messages, and waits for that.
func (l *Loader) flushRetained() error {
	ops := slices.Clone(l.ops) // the engine keeps them
	l.ops, l.bytes = l.ops[:0], 0
	if len(ops) == 0 {
		return nil
	}
	done := make(chan error, 1)
	err := l.engine.Submit(0, storage.Unit{Ops: ops}, func(_ message.Position, err error) { done <- err })
	if err != nil {
		return err
	}
	return <-done
}

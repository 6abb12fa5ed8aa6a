package admin

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/barid-mqtt/barid/internal/auth/builtin"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/state"
	"github.com/barid-mqtt/barid/internal/storage/badger"
)

const someHash = "$sha256$prefix$c2FsdA==$E2Ab2k6njlWge5iGbSvmvgdE44ZvE8AMgRyrYIoo8yI="

func TestLoadFillsADirectoryInBatches(t *testing.T) {
	dir, log := filepath.Join(t.TempDir(), "data"), slog.New(slog.DiscardHandler)
	const n = batchRows + 7
	fill := func(l *Loader) (err error) {
		for i := range n {
			name := fmt.Sprintf("n%04d", i)
			err = errors.Join(err, l.User(builtin.User{Name: name, Hash: someHash}),
				l.Rules(builtin.Rules{Subject: builtin.Subject{Kind: builtin.ForUser, Who: name}, Rules: []byte(`[{"permission":"allow","action":"all","topic":"#"}]`)}),
				l.Ban(builtin.Ban{As: builtin.BanClientID, Who: name}), l.Retained(&message.Message{Topic: name, Payload: make([]byte, 1000), Retain: true}))
		}
		return err
	}
	for range 2 { // the second time over what is there
		if err := Load(t.Context(), dir, log, fill); err != nil {
			t.Fatal(err)
		}
	}
	engine, err := badger.Open(badger.Options{Dir: dir, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := Load(t.Context(), dir, log, fill); !errors.Is(err, ErrRunning) {
		t.Errorf("into a directory that is open: %v", err)
	}
	defer func() { _ = engine.Close() }()
	users, err1 := builtin.OpenUsers(t.Context(), engine)
	rules, err2 := builtin.OpenRules(t.Context(), engine)
	bans, err3 := builtin.OpenBans(t.Context(), engine)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	_, u := users.List(builtin.UserQuery{})
	_, r := rules.List(builtin.RuleQuery{})
	_, b := bans.List(builtin.BanQuery{})
	kept := 0
	for _, err := range engine.Scan(t.Context(), state.Retained) {
		if err != nil {
			t.Fatal(err)
		}
		kept++
	}
	if u != n || r != n || b != n || kept != n {
		t.Errorf("%d users, %d rules, %d bans, %d retained messages of %d", u, r, b, kept, n)
	}
	if alice, ok := users.Find("n0003"); !ok || !alice.Hash.Matches([]byte("password")) {
		t.Error("a user is not as it was")
	}
}

func TestLoadKeepsNothingThatIsWrong(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for what, fill := range map[string]func(*Loader) error{
		"a hash":     func(l *Loader) error { return l.User(builtin.User{Name: "u", Hash: "x"}) },
		"a name":     func(l *Loader) error { return l.User(builtin.User{Name: "", Hash: someHash}) },
		"a rule":     func(l *Loader) error { return l.Rules(builtin.Rules{Subject: builtin.Subject{Kind: builtin.ForAll}}) },
		"a ban":      func(l *Loader) error { return l.Ban(builtin.Ban{As: "x", Who: "y"}) },
		"of its own": func(*Loader) error { return errors.New("no more") },
	} {
		if err := Load(t.Context(), filepath.Join(t.TempDir(), "data"), log, fill); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	patterns := func(l *Loader) (err error) {
		for i := range 1001 {
			err = errors.Join(err, l.Ban(builtin.Ban{As: builtin.BanClientIDPattern, Who: fmt.Sprint(i)}))
		}
		return err
	}
	if err := Load(t.Context(), filepath.Join(t.TempDir(), "data"), log, patterns); !errors.Is(err, builtin.ErrTooMany) {
		t.Errorf("1001 patterns: %v", err)
	}
}

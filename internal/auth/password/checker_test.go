package password

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/mqtt"
)

func request(user, password string) *auth.Request {
	return &auth.Request{ClientID: "c", Username: user, HasUsername: true, Password: []byte(password), HasPassword: true}
}

func fileWith(t *testing.T, text string) *FileSource {
	t.Helper()
	name := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := NewFile(name)
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestChecker(t *testing.T) {
	c := NewChecker(fileWith(t, "alice:"+alice+"\n"), fileWith(t, "alice:"+carol+"\ncarol:"+carol+"\n"))
	ctx := context.Background()
	for range 2 { // the second time from memory
		for _, x := range []struct {
			user, password string
			want           error
		}{
			{"alice", "secret", nil},
			{"alice", "pw3", mqtt.BadUserNameOrPassword}, // the first source that knows her decides
			{"alice", "", mqtt.BadUserNameOrPassword},
			{"carol", "pw3", nil},
			{"Carol", "pw3", auth.ErrPass},
			{"", "secret", auth.ErrPass},
		} {
			id, err := c.Authenticate(ctx, request(x.user, x.password))
			if !errors.Is(err, x.want) || err == nil && (id.Username != x.user || id.ClientID != "c") {
				t.Errorf("%s %s: %+v %v", x.user, x.password, id, err)
			}
		}
	}
	if _, err := c.Authenticate(ctx, &auth.Request{}); !errors.Is(err, auth.ErrPass) {
		t.Errorf("without a username: %v", err)
	}
	r := request("alice", "")
	r.HasPassword = false
	if _, err := c.Authenticate(ctx, r); !errors.Is(err, mqtt.BadUserNameOrPassword) {
		t.Errorf("without a password: %v", err)
	}
}

func TestUnknownUsersCostAHashOfTheSameKind(t *testing.T) {
	s := fileWith(t, "alice:"+alice+"\nbob:"+alice+"\ncarol:"+carol+"\n")
	c := NewChecker(s)
	if h := c.unknown(); h.kind != pbkdf2SHA512 || h.cost != 101 {
		t.Errorf("the decoy is %s", h)
	}
	if first := c.unknown(); first != c.unknown() {
		t.Error("the decoy changes without need")
	}
	if h := NewChecker().unknown(); h.kind != argon2id {
		t.Errorf("the decoy without any user is %s", h)
	}
}

func TestSuccessesAreRememberedForAWhileAndFailuresNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewChecker(fileWith(t, "alice:"+alice+"\n"))
		h, _ := c.find("alice")
		good, bad := c.recent.digest("alice", []byte("secret"), &h.Hash), c.recent.digest("alice", []byte("wrong"), &h.Hash)
		_, _ = c.Authenticate(t.Context(), request("alice", "secret"))
		_, _ = c.Authenticate(t.Context(), request("alice", "wrong"))
		if !c.recent.has(good) || c.recent.has(bad) {
			t.Errorf("good %v, bad %v", c.recent.has(good), c.recent.has(bad))
		}
		time.Sleep(recentFor) // virtual
		if c.recent.has(good) {
			t.Error("still remembered")
		}
	})
}

func TestDigestsDiffer(t *testing.T) {
	r := newRecent()
	a, _ := Parse(alice)
	b, _ := Parse(carol)
	seen := map[digest]string{}
	for _, user := range []string{"", "u", "us"} {
		for _, password := range []string{"", "s", "us", "p"} {
			for i, h := range []*Hash{&a, &b} {
				what := fmt.Sprintf("%q %q %d", user, password, i)
				d := r.digest(user, []byte(password), h)
				if other, ok := seen[d]; ok {
					t.Errorf("%s is taken for %s", what, other)
				}
				seen[d] = what
			}
		}
	}
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	r := newRecent()
	for i := range recentMost + 10 {
		r.add(digest{byte(i), byte(i >> 8), byte(i >> 16)})
	}
	if n := len(r.until); n > recentMost || n < recentMost/2 {
		t.Errorf("%d are remembered", n)
	}
}

// A flood of CONNECT packets waits for its turn, and beyond a number is told to come back.
func TestTheGateTurnsAwayWhoComesTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := auth.NewGate(1, 1)
		hold := make(chan struct{})
		results := make(chan error, 3)
		for range 2 {
			go func() { results <- g.Do(t.Context(), func() error { <-hold; return nil }) }()
		}
		synctest.Wait()
		if err := g.Do(t.Context(), func() error { return nil }); !errors.Is(err, mqtt.ServerBusy) {
			t.Errorf("the third got %v", err)
		}
		close(hold)
		for range 2 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if err := g.Do(t.Context(), func() error { return nil }); err != nil {
			t.Errorf("when it is free again: %v", err)
		}
	})
}

func TestABrokenFileChangesNothing(t *testing.T) {
	s := fileWith(t, "alice:"+alice+"\n")
	if err := os.WriteFile(s.name, []byte("carol:"+carol+"\nbroken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := s.Reload()
	var line *LineError
	if !errors.As(err, &line) || line.Line != 2 {
		t.Errorf("got %v", err)
	}
	if _, ok := s.Find("alice"); !ok || s.Len() != 1 {
		t.Error("the users changed")
	}
}

package scramauth

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/mqtt"
	"github.com/barid-mqtt/barid/pkg/scram"
)

func TestEditing(t *testing.T) {
	text := []byte("# users")
	var err error
	for _, step := range []struct{ user, password string }{{"a", "1"}, {"b", "2"}, {"a", "3"}} {
		if text, err = Set(text, step.user, step.password, scram.MinIterations); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(string(text), "\n"); n != 5 || !strings.HasPrefix(string(text), "# users\n") {
		t.Errorf("%d lines:\n%s", n, text)
	}
	file := filepath.Join(t.TempDir(), "scram")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	f := NewFile(file)
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	m := New(scram.SHA512, f, nil)
	if _, err := authenticate(t, m, &auth.Request{}, "a", "3"); err != nil {
		t.Errorf("the new password: %v", err)
	}
	if _, err := authenticate(t, m, &auth.Request{}, "a", "1"); !errors.Is(err, mqtt.NotAuthorized) {
		t.Errorf("the old password: %v", err)
	}
	if text, err = Remove(text, "a"); err != nil || strings.Contains(string(text), "a:") {
		t.Errorf("%v:\n%s", err, text)
	}
	if _, err = Remove(text, "a"); err == nil {
		t.Error("a user that is not there was removed")
	}
	for _, user := range []string{"", "a:b", "#a", "a\nb"} {
		if _, err := Set(nil, user, "x", 0); err == nil {
			t.Errorf("user %q was taken", user)
		}
	}
}

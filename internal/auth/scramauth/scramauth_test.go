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

// users writes a file with the password "secret" for each name.
func users(t testing.TB, names ...string) *File {
	t.Helper()
	var text strings.Builder
	text.WriteString("# made by a test\n\n")
	for _, name := range names {
		for _, h := range []scram.Hash{scram.SHA256, scram.SHA512} {
			c, err := scram.NewCredentials(h, "secret", scram.MinIterations)
			if err != nil {
				t.Fatal(err)
			}
			text.WriteString(name + ":" + c.String() + "\r\n")
		}
	}
	file := filepath.Join(t.TempDir(), "scram")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	f := NewFile(file)
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	return f
}

// authenticate runs a client against the method.
func authenticate(t *testing.T, m *Method, r *auth.Request, user, password string) (auth.Identity, error) {
	t.Helper()
	h, _ := scram.HashByName(m.Name())
	c, e := scram.NewClient(h, user, password), m.Start(r)
	var message []byte
	for {
		answer, _, err := c.Next(message)
		if err != nil {
			t.Fatal(err)
		}
		out, id, done, err := e.Next(t.Context(), answer)
		if err != nil {
			return id, err
		}
		if done {
			if _, proved, err := c.Next(out); !proved || err != nil {
				t.Errorf("the server does not prove itself: %v", err)
			}
			return id, nil
		}
		if id.Username != "" {
			t.Error("an identity before it is proved")
		}
		message = out
	}
}

func TestExchange(t *testing.T) {
	keys := users(t, "me", "you")
	for _, h := range []scram.Hash{scram.SHA256, scram.SHA512} {
		m := New(h, keys, []byte("s"))
		for _, tt := range []struct {
			username, user, password string
			want                     error
		}{
			{"", "me", "secret", nil}, {"me", "me", "secret", nil}, {"you", "me", "secret", mqtt.NotAuthorized},
			{"", "me", "Secret", mqtt.NotAuthorized}, {"", "nobody", "secret", mqtt.NotAuthorized},
		} {
			id, err := authenticate(t, m, &auth.Request{ClientID: "c", Username: tt.username}, tt.user, tt.password)
			if !errors.Is(err, tt.want) || tt.want == nil && (err != nil || id.Username != "me" || id.ClientID != "c") {
				t.Errorf("%+v: %+v, %v", tt, id, err)
			}
		}
		if _, _, _, err := m.Start(&auth.Request{}).Next(t.Context(), []byte("rubbish")); !errors.Is(err, mqtt.ProtocolError) {
			t.Errorf("rubbish: %v", err)
		}
	}
	// Whoever does not exist fails with the words of whoever does.
	m := New(scram.SHA256, keys, []byte("s"))
	_, wrong := authenticate(t, m, &auth.Request{}, "me", "x")
	_, nobody := authenticate(t, m, &auth.Request{}, "nobody", "x")
	if wrong.Error() != nobody.Error() {
		t.Errorf("%q and %q", wrong, nobody)
	}
}

func TestFile(t *testing.T) {
	f := users(t, "a", "b")
	if n := f.Iterations(scram.SHA512); n != scram.MinIterations {
		t.Errorf("%d iterations", n)
	}
	good, _ := f.Find("a", scram.SHA256)
	line := "a:" + good.String()
	for want, text := range map[string]string{
		":1: not user": "a\n", ":2: scram: not a mechanism": "#\nb:x\n", ":3: a has SCRAM-SHA-256 twice": line + "\n\n" + line, ":1: not user:": ":x",
		"a line is too long": strings.Repeat("x", 1<<20),
	} {
		if err := os.WriteFile(f.name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := f.Reload()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
		if err != nil && strings.Contains(err.Error(), "$") {
			t.Errorf("the error shows credentials: %v", err)
		}
	}
	if _, ok := f.Find("b", scram.SHA256); !ok {
		t.Error("a bad file took the users away")
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte("a:SCRAM-SHA-256$4096:AAAAAAAAAAA=$AAAA:AAAA\n# x\n"))
	f.Fuzz(func(t *testing.T, text []byte) { _, _ = parse(text) })
}

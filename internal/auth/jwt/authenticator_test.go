package jwt

import (
	"errors"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/mqtt"
)

// Who is let in by the leeway stays for it.
func TestATokenEndsWithItsLeeway(t *testing.T) {
	exp := time.Now().Add(-10 * time.Second).Truncate(time.Second)
	late := sign(t, "HS256", "", map[string]any{"exp": exp.Unix()})
	a := Authenticator{Verifier: newVerifier(t, Options{Secret: secret, Leeway: 2 * time.Minute})}
	id, err := a.Authenticate(t.Context(), &auth.Request{Password: []byte(late)})
	if err != nil || !id.ExpiresAt.Equal(exp.Add(2*time.Minute)) {
		t.Errorf("%v, until %v", err, id.ExpiresAt)
	}
}

func TestAuthenticator(t *testing.T) {
	exp := time.Now().Add(time.Hour).Truncate(time.Second)
	good := sign(t, "HS256", "", map[string]any{
		"exp": exp.Unix(), "name": "alice", "is_superuser": true, "acl": map[string]any{"pub": []string{"a"}},
	})
	bad := sign(t, "HS256", "", map[string]any{"acl": []any{map[string]any{"permission": "deny"}}})
	v := newVerifier(t, Options{Secret: secret})
	for _, tt := range []struct {
		name string
		a    Authenticator
		r    auth.Request
		user string
		want error
	}{
		{"password", Authenticator{}, auth.Request{Username: "u", Password: []byte(good)}, "u", nil},
		{"username", Authenticator{FromUsername: true}, auth.Request{Username: good}, "", nil}, // not the token: it is a secret
		{"claim", Authenticator{UsernameClaim: "name"}, auth.Request{Username: "u", Password: []byte(good)}, "alice", nil},
		{"claim that is not there", Authenticator{UsernameClaim: "nick"}, auth.Request{Password: []byte(good)}, "", mqtt.NotAuthorized},
		{"no token", Authenticator{}, auth.Request{Username: "u", Password: []byte("secret")}, "", auth.ErrPass},
		{"nothing", Authenticator{}, auth.Request{}, "", auth.ErrPass},
		{"not signed", Authenticator{}, auth.Request{Password: []byte(good + "A")}, "", mqtt.NotAuthorized},
		{"rules that nobody can read", Authenticator{}, auth.Request{Password: []byte(bad)}, "", mqtt.NotAuthorized},
	} {
		tt.a.Verifier, tt.r.ClientID = v, "c"
		id, err := tt.a.Authenticate(t.Context(), &tt.r)
		if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			continue
		}
		if tt.want != nil {
			continue
		}
		if id.Username != tt.user || id.ClientID != "c" || !id.Superuser || !id.ExpiresAt.Equal(exp) {
			t.Errorf("%s: %+v", tt.name, id)
		}
		if d := id.Rules.Check(&id, auth.Access{Action: auth.Publish, Topic: "b"}); d != auth.Deny {
			t.Errorf("%s: the token's rules say %s", tt.name, d)
		}
	}
}

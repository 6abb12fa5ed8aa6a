package api

import (
	"context"
	"net/http"
	"strings"
)

// Principal is who a request comes from.
type Principal struct {
	Name    string
	Role    Role
	Topics  *TopicRules // of a Client; nil: none
	Trusted bool        // it came by the socket in the data directory

	again func(context.Context) (Principal, error) // proves it again, later; nil: it needs none
}

// TopicRules are what an application may publish and consume: filters. In a filter %n is the application's name.
type TopicRules struct {
	Publish []string `json:"publish,omitempty"`
	Consume []string `json:"consume,omitempty"`
}

type principalKey struct{}

func withPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalOf returns who a request comes from; its Name is empty on an open route.
func PrincipalOf(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}

// unauthorized says as little as possible.
func unauthorized(code, message string) *Problem {
	return problem(http.StatusUnauthorized, code, "%s", message)
}

// identify finds out who sends a request: Basic with an API key and its secret, or Bearer with a token of login.
func (s *Server) identify(r *http.Request) (Principal, error) {
	header := r.Header.Get("Authorization")
	scheme, value, _ := strings.Cut(header, " ")
	proof := func(context.Context) (Principal, error) {
		return Principal{}, unauthorized("UNAUTHORIZED", "only Basic and Bearer are possible")
	}
	switch {
	case header == "":
		return Principal{}, unauthorized("UNAUTHORIZED", "this needs an API key (Basic) or a token (Bearer)")
	case strings.EqualFold(scheme, "Bearer"):
		proof = func(context.Context) (Principal, error) { return s.byToken(strings.TrimSpace(value)) }
	case strings.EqualFold(scheme, "Basic"):
		key, secret, ok := r.BasicAuth()
		proof = func(ctx context.Context) (Principal, error) { return s.byKey(ctx, key, secret, ok) }
	}
	p, err := proof(r.Context())
	p.again = proof
	return p, err
}

func (s *Server) byToken(token string) (Principal, error) {
	if p, ok := s.tokens.find(token); ok {
		return p, nil
	}
	return Principal{}, unauthorized("BAD_TOKEN", "the token is unknown or has run out")
}

func (s *Server) byKey(ctx context.Context, key, secret string, ok bool) (p Principal, err error) {
	if ok {
		if p, err = s.keys.check(ctx, key, secret); err != nil || p.Name != "" {
			return p, err
		}
	}
	return Principal{}, unauthorized("BAD_API_KEY_OR_SECRET", "the API key or its secret is wrong")
}

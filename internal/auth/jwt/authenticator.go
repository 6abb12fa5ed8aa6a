package jwt

import (
	"context"
	"errors"
	"fmt"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/auth/acljson"
	"github.com/barid-mqtt/barid/mqtt"
)

// Authenticator lets clients in that show a good token. Whoever shows none at all is passed on.
type Authenticator struct {
	Verifier      *Verifier
	FromUsername  bool   // the token is in the username; otherwise in the password
	UsernameClaim string // whose text is the username; "": as the client said it
}

var _ auth.Authenticator = (*Authenticator)(nil)

// Authenticate implements auth.Authenticator.
func (a *Authenticator) Authenticate(ctx context.Context, r *auth.Request) (auth.Identity, error) {
	token, username := string(r.Password), r.Username
	if a.FromUsername {
		token, username = r.Username, ""
	}
	claims, err := a.Verifier.Verify(ctx, token, r.ClientID, username)
	switch {
	case errors.Is(err, ErrNoToken):
		return auth.Identity{}, auth.ErrPass
	case err != nil:
		return auth.Identity{}, fmt.Errorf("%w: %w", mqtt.NotAuthorized, err)
	}
	id := auth.Identity{ClientID: r.ClientID, Username: username, Superuser: claims.True("is_superuser"), ExpiresAt: a.Verifier.Ends(claims)}
	if a.UsernameClaim != "" {
		if id.Username = claims.Text(a.UsernameClaim); id.Username == "" {
			return auth.Identity{}, fmt.Errorf("%w: the token has no text as its claim %s", mqtt.NotAuthorized, a.UsernameClaim)
		}
	}
	if id.Rules, err = acljson.Parse(claims.JSON("acl")); err != nil {
		return auth.Identity{}, fmt.Errorf("%w: claim acl: %w", mqtt.NotAuthorized, err)
	}
	return id, nil
}

package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Passwords hashes passwords, slowly, and bounds how many at a time.
type Passwords interface {
	Hash(ctx context.Context, password string) (string, error)
	// Matches takes as long for a hash that is empty as for any other.
	Matches(ctx context.Context, hash, password string) (bool, error)
}

const (
	minPassword = 8
	maxPassword = 1024
)

// users are the people who log in. The configuration's administrator is one of them, and is kept nowhere else.
type users struct {
	docs      Documents
	admin     Admin
	passwords Passwords
	now       func() time.Time
	revoke    func(name string) // ends their tokens
	mu        sync.Mutex        // held by whoever changes one, so that two do not make the same
}

type userDocument struct {
	Username    string `json:"username"`
	Hash        string `json:"hash"`
	Role        Role   `json:"role"`
	Description string `json:"description"`
}

type userView struct {
	Username    string `json:"username"`
	Role        Role   `json:"role"`
	Description string `json:"description"`
	Backend     string `json:"backend"` // config or local
}

type userInput struct {
	Username    string  `json:"username"`
	Password    *string `json:"password"`
	Role        Role    `json:"role"`
	Description *string `json:"description"`
}

// Routes implements Resource.
func (u *users) Routes() []Route {
	const path = Base + "/users"
	return []Route{
		{Method: "GET", Path: path, Access: Manage, Handler: u.list},
		{Method: "POST", Path: path, Access: Manage, MaxBodyBytes: 16 << 10, Handler: u.create},
		{Method: "PUT", Path: path + "/{username}", Access: Manage, MaxBodyBytes: 16 << 10, Handler: u.update},
		{Method: "DELETE", Path: path + "/{username}", Access: Manage, Handler: u.remove},
		{Method: "POST", Path: path + "/{username}/change_pwd", Access: Anyone, MaxBodyBytes: 16 << 10, Handler: u.changePassword},
	}
}

// check reports who a username and a password belong to. It takes as long for a stranger as for a user.
func (u *users) check(ctx context.Context, username, password string) (p Principal, ok bool, err error) {
	if len(password) > maxPassword {
		return p, false, nil
	}
	if u.admin.Username != "" && u.admin.Password != "" && username == u.admin.Username {
		want, got := sha256.Sum256([]byte(u.admin.Password)), sha256.Sum256([]byte(password))
		return Principal{Name: username, Role: Administrator}, subtle.ConstantTimeCompare(want[:], got[:]) == 1, nil
	}
	var d userDocument
	if err := load(ctx, u.docs, userKind, username, &d); err != nil && !errors.Is(err, ErrNoDocument) {
		return p, false, err
	}
	ok, err = u.passwords.Matches(ctx, d.Hash, password)
	return Principal{Name: username, Role: d.Role}, ok && d.Hash != "" && err == nil, err
}

func (u *users) list(w http.ResponseWriter, r *http.Request) error {
	all, err := loadAll[userDocument](r.Context(), u.docs, userKind)
	if err != nil {
		return err
	}
	views := []userView{}
	if u.admin.Username != "" {
		views = append(views, userView{u.admin.Username, Administrator, "of the configuration", "config"})
	}
	for _, d := range all {
		views = append(views, d.view())
	}
	WriteJSON(w, http.StatusOK, views)
	return nil
}

func (d *userDocument) view() userView {
	return userView{d.Username, d.Role, d.Description, "local"}
}

func (u *users) find(r *http.Request) (d userDocument, err error) {
	name := r.PathValue("username")
	if name == u.admin.Username {
		return d, Conflict("CONFIGURED", "%q is the configuration's: change api.admin there", name)
	}
	if err = load(r.Context(), u.docs, userKind, name, &d); errors.Is(err, ErrNoDocument) {
		err = NotFound("USER_NOT_FOUND", "there is no user %q", name)
	}
	return d, err
}

func (u *users) create(w http.ResponseWriter, r *http.Request) error {
	in := userInput{Role: Viewer}
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	if err := checkName("username", in.Username); err != nil {
		return err
	}
	if in.Password == nil {
		return BadRequest("password: is missing")
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	_, err := u.docs.Get(r.Context(), userKind, in.Username)
	if err == nil || in.Username == u.admin.Username {
		return Conflict("ALREADY_EXISTS", "there is a user %q already", in.Username)
	}
	if !errors.Is(err, ErrNoDocument) {
		return err
	}
	d := userDocument{Username: in.Username}
	return u.store(w, r, &d, &in)
}

func (u *users) update(w http.ResponseWriter, r *http.Request) error {
	in := userInput{Username: r.PathValue("username")}
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	d, err := u.find(r)
	if err != nil {
		return err
	}
	if in.Role == "" {
		in.Role = d.Role
	}
	if in.Username != d.Username {
		return BadRequest("username: a user cannot be renamed")
	}
	return u.store(w, r, &d, &in)
}

// store checks the input, applies it and answers.
func (u *users) store(w http.ResponseWriter, r *http.Request, d *userDocument, in *userInput) error {
	if in.Role == Client || !slices.Contains(Roles, in.Role) {
		return BadRequest("role: %q is none of administrator, viewer, publisher", in.Role)
	}
	d.Role = in.Role
	if in.Description != nil {
		d.Description = *in.Description
	}
	if in.Password != nil {
		if err := u.setPassword(r.Context(), d, "password", *in.Password); err != nil {
			return err
		}
	}
	if err := save(r.Context(), u.docs, userKind, d.Username, d); err != nil {
		return err
	}
	u.revoke(d.Username)
	WriteJSON(w, http.StatusOK, d.view())
	return nil
}

func (u *users) setPassword(ctx context.Context, d *userDocument, field, password string) (err error) {
	if len(password) < minPassword || len(password) > maxPassword {
		return BadRequest("%s: must have %d to %d bytes", field, minPassword, maxPassword)
	}
	d.Hash, err = u.passwords.Hash(ctx, password)
	return err
}

func (u *users) remove(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("username")
	if name == u.admin.Username {
		return Conflict("CONFIGURED", "%q is the configuration's: change api.admin there", name)
	}
	if name == PrincipalOf(r.Context()).Name {
		return BadRequest("nobody can remove themselves")
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.docs.Delete(r.Context(), userKind, name); err != nil {
		return err
	}
	u.revoke(name)
	NoContent(w)
	return nil
}

func (u *users) changePassword(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Old string `json:"old_pwd"`
		New string `json:"new_pwd"`
	}
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	who := PrincipalOf(r.Context())
	if who.Name != r.PathValue("username") && who.Role != Administrator {
		return Forbidden("only administrators change the passwords of others")
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	d, err := u.find(r)
	if err != nil {
		return err
	}
	if _, ok, err := u.check(r.Context(), d.Username, in.Old); err != nil {
		return err
	} else if !ok {
		return BadRequest("old_pwd: is wrong")
	}
	if err := u.setPassword(r.Context(), &d, "new_pwd", in.New); err != nil {
		return err
	}
	if err := save(r.Context(), u.docs, userKind, d.Username, &d); err != nil {
		return err
	}
	u.revoke(d.Username)
	NoContent(w)
	return nil
}

// cutBearer returns the token of a request.
func cutBearer(r *http.Request) (scheme, value string, ok bool) {
	scheme, value, ok = strings.Cut(r.Header.Get("Authorization"), " ")
	return scheme, strings.TrimSpace(value), ok && strings.EqualFold(scheme, "Bearer")
}

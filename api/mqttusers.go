package api

import (
	"net/http"
	"sync"

	"github.com/barid-mqtt/barid/internal/auth/builtin"
)

// mqttUsers is the broker's own store of users, by EMQX's path.
type mqttUsers struct {
	access AccessControl
	mu     sync.Mutex // held by whoever changes one: hashing is slow, and takes memory
}

type mqttUserView struct {
	ID        string   `json:"user_id"`
	Superuser bool     `json:"is_superuser"`
	Roles     []string `json:"roles"`
}

type mqttUserInput struct {
	ID        string    `json:"user_id"`
	Password  *string   `json:"password"`
	Superuser *bool     `json:"is_superuser"`
	Roles     *[]string `json:"roles"`
}

// maxMQTTPassword is how long a password of MQTT may be.
const maxMQTTPassword = 65535

// Routes implements Resource.
func (u *mqttUsers) Routes() []Route {
	const path = Base + "/authentication/password_based:built_in_database/users"
	return []Route{
		{Method: "GET", Path: path, Access: Look, Handler: u.list},
		{Method: "POST", Path: path, Access: Manage, MaxBodyBytes: 256 << 10, Handler: u.create},
		{Method: "GET", Path: path + "/{user_id}", Access: Look, Handler: u.get},
		{Method: "PUT", Path: path + "/{user_id}", Access: Manage, MaxBodyBytes: 256 << 10, Handler: u.update},
		{Method: "DELETE", Path: path + "/{user_id}", Access: Manage, Handler: u.remove},
	}
}

func viewMQTTUser(u *builtin.User) mqttUserView {
	v := mqttUserView{u.Name, u.Superuser, u.Roles}
	if v.Roles == nil {
		v.Roles = []string{}
	}
	return v
}

func (u *mqttUsers) list(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	page := q.Page()
	query := builtin.UserQuery{Like: q.String("like_user_id"), Superuser: q.Bool("is_superuser"), Role: q.String("role")}
	if err := q.Done(); err != nil {
		return err
	}
	query.Page = builtin.Page{Page: page.Number, Limit: page.Limit}
	found, total := u.access.Users().List(query)
	views := make([]mqttUserView, len(found))
	for i := range found {
		views[i] = viewMQTTUser(&found[i])
	}
	WriteJSON(w, http.StatusOK, List[mqttUserView]{Data: views, Meta: page.meta(total)})
	return nil
}

func (u *mqttUsers) answer(w http.ResponseWriter, status int, id string) error {
	user, ok := u.access.Users().Get(id)
	if !ok {
		return NotFound("NOT_FOUND", "there is no user %q", id)
	}
	WriteJSON(w, status, viewMQTTUser(&user))
	return nil
}

func (u *mqttUsers) get(w http.ResponseWriter, r *http.Request) error {
	return u.answer(w, http.StatusOK, r.PathValue("user_id"))
}

func (u *mqttUsers) create(w http.ResponseWriter, r *http.Request) error {
	var in mqttUserInput
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	if in.ID == "" {
		return BadRequest("user_id: is missing")
	}
	if in.Password == nil {
		return BadRequest("password: is missing")
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, known := u.access.Users().Get(in.ID); known {
		return Conflict("ALREADY_EXISTS", "there is a user %q already", in.ID)
	}
	return u.set(w, r, http.StatusCreated, &in)
}

func (u *mqttUsers) update(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("user_id")
	in := mqttUserInput{ID: id}
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	if in.ID != id {
		return BadRequest("user_id: a user cannot be renamed")
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, known := u.access.Users().Get(id); !known {
		return NotFound("NOT_FOUND", "there is no user %q", id)
	}
	return u.set(w, r, http.StatusOK, &in)
}

// set checks the input, keeps it and answers. The caller holds u.mu.
func (u *mqttUsers) set(w http.ResponseWriter, r *http.Request, status int, in *mqttUserInput) error {
	change := builtin.UserChange{Superuser: in.Superuser, Roles: in.Roles}
	if in.Password != nil {
		if n := len(*in.Password); n == 0 || n > maxMQTTPassword {
			return BadRequest("password: must have 1 to %d bytes", maxMQTTPassword)
		}
		change.Password = []byte(*in.Password)
	}
	field := "user_id"
	if in.Roles != nil {
		field = "user_id or roles"
	}
	if err := u.access.Users().Set(r.Context(), in.ID, change); err != nil {
		return refused(field, err)
	}
	return u.answer(w, status, in.ID)
}

func (u *mqttUsers) remove(w http.ResponseWriter, r *http.Request) error {
	if err := refused("user_id", u.access.Users().Delete(r.Context(), r.PathValue("user_id"))); err != nil {
		return err
	}
	NoContent(w)
	return nil
}

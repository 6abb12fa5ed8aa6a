package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/barid-mqtt/barid/mqtt"
)

// keyKind and userKind are the documents' kinds.
const (
	keyKind  = "api_key"
	userKind = "api_user"
)

const maxNameBytes = 256

// keys are the API keys. A secret is 160 random bits, so its hash needs no salt and no slowness.
type keys struct {
	docs Documents
	now  func() time.Time
	mu   sync.Mutex // held by whoever changes one, so that two do not make the same
}

type keyDocument struct {
	Name      string      `json:"name"`
	Key       string      `json:"api_key"`
	Hash      string      `json:"secret_hash"`
	Enable    bool        `json:"enable"`
	ExpiredAt *time.Time  `json:"expired_at,omitempty"`
	CreatedAt time.Time   `json:"created_at"`
	Desc      string      `json:"desc"`
	Role      Role        `json:"role"`
	Topics    *TopicRules `json:"topics,omitempty"`
}

// keyView is a key as the API shows it. The secret is there once, in the answer to its making.
type keyView struct {
	Name      string      `json:"name"`
	Key       string      `json:"api_key"`
	Secret    string      `json:"api_secret,omitempty"`
	Enable    bool        `json:"enable"`
	Expired   bool        `json:"expired"`
	ExpiredAt any         `json:"expired_at"` // a time or "infinity"
	CreatedAt time.Time   `json:"created_at"`
	Desc      string      `json:"desc"`
	Role      Role        `json:"role"`
	Topics    *TopicRules `json:"topics,omitempty"`
}

type keyInput struct {
	Name      string          `json:"name"`
	Enable    *bool           `json:"enable"`
	ExpiredAt json.RawMessage `json:"expired_at"`
	Desc      *string         `json:"desc"`
	Role      Role            `json:"role"`
	Topics    *TopicRules     `json:"topics"`
}

// Routes implements Resource.
func (k *keys) Routes() []Route {
	const path = Base + "/api_key"
	return []Route{
		{Method: "GET", Path: path, Access: Manage, Handler: k.list},
		{Method: "POST", Path: path, Access: Manage, Handler: k.create},
		{Method: "GET", Path: path + "/{name}", Access: Manage, Handler: k.get},
		{Method: "PUT", Path: path + "/{name}", Access: Manage, Handler: k.update},
		{Method: "DELETE", Path: path + "/{name}", Access: Manage, Handler: k.remove},
	}
}

// check returns whose key it is; the zero Principal: nobody's.
func (k *keys) check(ctx context.Context, key, secret string) (Principal, error) {
	name, _, ok := strings.Cut(key, ".")
	if !ok {
		return Principal{}, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(name)
	if err != nil {
		return Principal{}, nil
	}
	var d keyDocument
	if err := load(ctx, k.docs, keyKind, string(raw), &d); errors.Is(err, ErrNoDocument) {
		return Principal{}, nil
	} else if err != nil {
		return Principal{}, err
	}
	same := subtle.ConstantTimeCompare([]byte(d.Key), []byte(key)) & subtle.ConstantTimeCompare([]byte(d.Hash), []byte(hashSecret(secret)))
	if same != 1 || !d.Enable || d.expired(k.now()) {
		return Principal{}, nil
	}
	return Principal{Name: d.Name, Role: d.Role, Topics: d.Topics}, nil
}

// mayStillConsume asks the rules that an application has now.
func (k *keys) mayStillConsume(ctx context.Context, name string, filters []string) error {
	var d keyDocument
	if err := load(ctx, k.docs, keyKind, name, &d); err != nil {
		return err
	}
	if d.Role != Client || !d.Enable || d.expired(k.now()) {
		return Forbidden("the API key %q is not what it was", name)
	}
	who := Principal{Name: d.Name, Role: d.Role, Topics: d.Topics}
	return who.mayConsume("filters", filters)
}

func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return base64.RawStdEncoding.EncodeToString(sum[:])
}

func (d *keyDocument) expired(now time.Time) bool {
	return d.ExpiredAt != nil && now.After(*d.ExpiredAt)
}

func (d *keyDocument) view(now time.Time) keyView {
	v := keyView{Name: d.Name, Key: d.Key, Enable: d.Enable, Expired: d.expired(now), ExpiredAt: "infinity",
		CreatedAt: d.CreatedAt, Desc: d.Desc, Role: d.Role, Topics: d.Topics}
	if d.ExpiredAt != nil {
		v.ExpiredAt = *d.ExpiredAt
	}
	return v
}

func (k *keys) list(w http.ResponseWriter, r *http.Request) error {
	all, err := loadAll[keyDocument](r.Context(), k.docs, keyKind)
	if err != nil {
		return err
	}
	views := make([]keyView, len(all))
	for i := range all {
		views[i] = all[i].view(k.now())
	}
	WriteJSON(w, http.StatusOK, views)
	return nil
}

func (k *keys) find(r *http.Request) (d keyDocument, err error) {
	name := r.PathValue("name")
	if err = load(r.Context(), k.docs, keyKind, name, &d); errors.Is(err, ErrNoDocument) {
		err = NotFound("NOT_FOUND", "there is no API key %q", name)
	}
	return d, err
}

func (k *keys) get(w http.ResponseWriter, r *http.Request) error {
	d, err := k.find(r)
	if err == nil {
		WriteJSON(w, http.StatusOK, d.view(k.now()))
	}
	return err
}

func (k *keys) create(w http.ResponseWriter, r *http.Request) error {
	in := keyInput{Role: Administrator}
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	if err := checkName("name", in.Name); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, err := k.docs.Get(r.Context(), keyKind, in.Name); !errors.Is(err, ErrNoDocument) {
		if err != nil {
			return err
		}
		return Conflict("ALREADY_EXISTS", "there is an API key %q already", in.Name)
	}
	secret := rand.Text() + rand.Text()[:6]
	d := keyDocument{
		Name: in.Name, Key: base64.RawURLEncoding.EncodeToString([]byte(in.Name)) + "." + rand.Text()[:12],
		Hash: hashSecret(secret), Enable: true, CreatedAt: k.now().UTC().Truncate(time.Second),
	}
	if err := d.apply(&in); err != nil {
		return err
	}
	if err := save(r.Context(), k.docs, keyKind, d.Name, &d); err != nil {
		return err
	}
	v := d.view(k.now())
	v.Secret = secret
	WriteJSON(w, http.StatusOK, v)
	return nil
}

func (k *keys) update(w http.ResponseWriter, r *http.Request) error {
	in := keyInput{Name: r.PathValue("name")}
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	d, err := k.find(r)
	if err != nil {
		return err
	}
	if in.Role == "" {
		in.Role = d.Role
	}
	if in.Name != d.Name {
		return BadRequest("name: a key cannot be renamed")
	}
	if err := d.apply(&in); err != nil {
		return err
	}
	if err := save(r.Context(), k.docs, keyKind, d.Name, &d); err != nil {
		return err
	}
	WriteJSON(w, http.StatusOK, d.view(k.now()))
	return nil
}

// apply checks what may be changed, and takes it over.
func (d *keyDocument) apply(in *keyInput) error {
	if !slices.Contains(Roles, in.Role) {
		return BadRequest("role: %q is none of administrator, viewer, publisher, client", in.Role)
	}
	if in.Topics != nil {
		if in.Role != Client {
			return BadRequest("topics: only the role client has topic rules")
		}
		if err := in.Topics.check(); err != nil {
			return err
		}
		d.Topics = in.Topics
	}
	if in.Role != Client {
		d.Topics = nil
	}
	d.Role = in.Role
	if in.Enable != nil {
		d.Enable = *in.Enable
	}
	if in.Desc != nil {
		d.Desc = *in.Desc
	}
	return d.applyExpiry(in.ExpiredAt)
}

// applyExpiry takes over when the key ends, if that is said: a time, or infinity or null for never.
func (d *keyDocument) applyExpiry(raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	t, err := readMoment("expired_at", raw)
	if err != nil {
		return err
	}
	if d.ExpiredAt = nil; !t.IsZero() {
		d.ExpiredAt = &t
	}
	return nil
}

func (t *TopicRules) check() error {
	for field, filters := range map[string][]string{"topics.publish": t.Publish, "topics.consume": t.Consume} {
		for i, f := range filters {
			if _, err := mqtt.ParseTopicFilter(f); err != nil {
				return BadRequest("%s[%d]: %q is no topic filter", field, i, f)
			}
		}
	}
	return nil
}

func (k *keys) remove(w http.ResponseWriter, r *http.Request) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.docs.Delete(r.Context(), keyKind, r.PathValue("name")); err != nil {
		return err
	}
	NoContent(w)
	return nil
}

// checkName reports what is wrong with the name of something that is kept.
func checkName(field, name string) error {
	if name == "" {
		return BadRequest("%s: is missing", field)
	}
	if len(name) > maxNameBytes || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
		return BadRequest("%s: must have at most %d bytes, and no control characters", field, maxNameBytes)
	}
	return nil
}

package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/barid-mqtt/barid/internal/auth/builtin"
)

// AccessControl is what the broker keeps of clients' users and rules, and of bans.
type AccessControl interface {
	Users() *builtin.Users
	Rules() *builtin.RuleStore
	Bans() *builtin.Bans
	// Ban keeps clients out, and ends the connections of those who are in.
	Ban(ctx context.Context, ban builtin.Ban) (builtin.Ban, error)
}

// maxChanges is how many things one request may change.
const maxChanges = 10_000

// refused translates an error of the broker's store. field is what was wrong with the input, if something was.
func refused(field string, err error) error {
	switch {
	case errors.Is(err, builtin.ErrInvalid):
		return BadRequest("%s: %s", field, strings.TrimPrefix(err.Error(), builtin.ErrInvalid.Error()+": "))
	case errors.Is(err, builtin.ErrTooMany):
		return Conflict("QUOTA_EXCEEDED", "%v", err)
	case errors.Is(err, builtin.ErrNotFound): // somebody else was faster, or it never was
		return nil
	}
	return err
}

// banKinds are what bans go by.
var banKinds = []string{string(builtin.BanClientID), string(builtin.BanUsername), string(builtin.BanAddress),
	string(builtin.BanClientIDPattern), string(builtin.BanUsernamePattern), string(builtin.BanNetwork)}

// bans is /banned.
type bans struct {
	access AccessControl
	now    func() time.Time
	mu     sync.Mutex // held by whoever adds one, so that two do not add the same
}

type banView struct {
	As     builtin.BanBy `json:"as"`
	Who    string        `json:"who"`
	By     string        `json:"by"`
	Reason string        `json:"reason"`
	At     string        `json:"at"`
	Until  string        `json:"until"` // a time, or infinity
}

type banInput struct {
	As     string          `json:"as"`
	Who    string          `json:"who"`
	By     *string         `json:"by"`
	Reason string          `json:"reason"`
	At     json.RawMessage `json:"at"`
	Until  json.RawMessage `json:"until"`
}

// Routes implements Resource.
func (b *bans) Routes() []Route {
	const path = Base + "/banned"
	return []Route{
		{Method: "GET", Path: path, Access: Look, Handler: b.list},
		{Method: "POST", Path: path, Access: Manage, MaxBodyBytes: 128 << 10, Handler: b.create},
		{Method: "DELETE", Path: path, Access: Manage, Handler: b.clear},
		{Method: "DELETE", Path: path + "/{as}/{who...}", Access: Manage, Handler: b.remove},
	}
}

func viewBan(b *builtin.Ban) banView {
	v := banView{b.As, b.Who, b.By, b.Reason, b.At.UTC().Format(time.RFC3339), "infinity"}
	if !b.Until.IsZero() {
		v.Until = b.Until.UTC().Format(time.RFC3339)
	}
	return v
}

func (b *bans) list(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	page := q.Page()
	query := builtin.BanQuery{As: builtin.BanBy(q.OneOf("as", banKinds...)), Match: banFilter(q)}
	if err := q.Done(); err != nil {
		return err
	}
	query.Page = builtin.Page{Page: page.Number, Limit: page.Limit}
	found, total := b.access.Bans().List(query)
	views := make([]banView, len(found))
	for i := range found {
		views[i] = viewBan(&found[i])
	}
	WriteJSON(w, http.StatusOK, List[banView]{Data: views, Meta: page.meta(total)})
	return nil
}

// banFilter reads EMQX's filters. What is like a client id is one, or a pattern of one.
func banFilter(q *Query) func(*builtin.Ban) bool {
	type filter struct {
		value string
		part  bool
		kinds []builtin.BanBy
	}
	filters := []filter{
		{q.String("clientid"), false, []builtin.BanBy{builtin.BanClientID}},
		{q.String("username"), false, []builtin.BanBy{builtin.BanUsername}},
		{oneAddress(q.String("peerhost")), false, []builtin.BanBy{builtin.BanAddress}},
		{q.String("like_clientid"), true, []builtin.BanBy{builtin.BanClientID, builtin.BanClientIDPattern}},
		{q.String("like_username"), true, []builtin.BanBy{builtin.BanUsername, builtin.BanUsernamePattern}},
		{q.String("like_peerhost"), true, []builtin.BanBy{builtin.BanAddress}},
		{q.String("like_peerhost_net"), true, []builtin.BanBy{builtin.BanNetwork}},
	}
	return func(b *builtin.Ban) bool {
		for _, f := range filters {
			if f.value == "" {
				continue
			}
			ofKind := false
			for _, k := range f.kinds {
				ofKind = ofKind || k == b.As
			}
			if !ofKind || !f.part && b.Who != f.value || f.part && !strings.Contains(b.Who, f.value) {
				return false
			}
		}
		return true
	}
}

// oneAddress brings an address into the form in which bans have it, as far as it is one.
func oneAddress(text string) string {
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Unmap().WithZone("").String()
	}
	return text
}

func (b *bans) create(w http.ResponseWriter, r *http.Request) error {
	var in banInput
	if err := ReadJSON(r, &in); err != nil {
		return err
	}
	ban, err := in.ban(r.Context(), b.now())
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if old, ok := b.access.Bans().Get(ban.As, ban.Who); ok {
		if old.Reason != ban.Reason || !old.Until.Equal(ban.Until) { // or else the same again
			return problem(http.StatusBadRequest, "ALREADY_EXISTS", "who: %s %q is banned already, until %s: delete that ban first", ban.As, old.Who, viewBan(&old).Until)
		}
		WriteJSON(w, http.StatusOK, viewBan(&old))
		return nil
	}
	if ban, err = b.access.Ban(r.Context(), ban); err != nil {
		return refused("who", err)
	}
	WriteJSON(w, http.StatusOK, viewBan(&ban))
	return nil
}

// ban checks the input.
func (in *banInput) ban(ctx context.Context, now time.Time) (ban builtin.Ban, err error) {
	if err := oneOf("as", in.As, banKinds...); err != nil {
		return ban, err
	}
	if in.Who == "" {
		return ban, BadRequest("who: is missing")
	}
	ban = builtin.Ban{As: builtin.BanBy(in.As), Who: in.Who, By: PrincipalOf(ctx).Name, Reason: in.Reason, At: now.UTC().Truncate(time.Second)}
	if in.By != nil {
		ban.By = *in.By
	}
	if err := errors.Join(checkText("by", ban.By), checkText("reason", ban.Reason)); err != nil {
		return ban, err
	}
	at, err := readMoment("at", in.At)
	if err != nil {
		return ban, err
	}
	if !at.IsZero() {
		ban.At = at
	}
	ban.Until, err = readMoment("until", in.Until)
	if err == nil && !ban.Until.IsZero() && !ban.Until.After(now) {
		err = BadRequest("until: is over already")
	}
	return ban, err
}

func (b *bans) remove(w http.ResponseWriter, r *http.Request) error {
	as, who := r.PathValue("as"), r.PathValue("who")
	if err := oneOf("as", as, banKinds...); err != nil {
		return err
	}
	if err := refused("who", b.access.Bans().Delete(r.Context(), builtin.BanBy(as), who)); err != nil {
		return err
	}
	NoContent(w)
	return nil
}

// clear ends all bans.
func (b *bans) clear(w http.ResponseWriter, r *http.Request) error {
	for {
		some, _ := b.access.Bans().List(builtin.BanQuery{Page: builtin.Page{Page: 1, Limit: 1000}})
		for i := range some {
			if err := refused("who", b.access.Bans().Delete(r.Context(), some[i].As, some[i].Who)); err != nil {
				return err
			}
		}
		if len(some) == 0 {
			NoContent(w)
			return nil
		}
	}
}

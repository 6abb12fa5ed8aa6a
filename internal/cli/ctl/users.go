package ctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

const usersPath = "/authentication/password_based:built_in_database/users"

var userColumns = []column{{title: "USER", field: "user_id"}, {title: "SUPERUSER", field: "is_superuser"}, {title: "ROLES", field: "roles"}}

var userOptions = []option{
	{name: "superuser", usage: "everything is allowed to it", kind: yes, param: "is_superuser"},
	{name: "role", usage: "a role that rules are for (`NAME`); may be repeated", kind: list, param: "roles"},
}

var userCommands = []command{
	{words: "users list", short: "the users of MQTT clients that the broker keeps (in effect with auth.built_in.users)", method: "GET", path: usersPath,
		columns: userColumns, options: with(
			option{name: "like", usage: "whose name holds `PART`", param: "like_user_id"},
			option{name: "role", usage: "who have this role (`NAME`)", param: "role"},
			option{name: "superuser", usage: "only superusers", kind: yes, param: "is_superuser"})},
	{words: "users add", short: "add a user; the password comes from a prompt or standard input", operands: []string{"NAME"}, options: userOptions,
		columns: userColumns, run: userAdd},
	{words: "users change", short: "change what is given of a user", operands: []string{"NAME"}, method: "PUT", path: usersPath + "/{NAME}",
		options: userOptions, columns: userColumns},
	{words: "users passwd", short: "change a user's password, which comes from a prompt or standard input", operands: []string{"NAME"}, columns: userColumns,
		run: userPassword},
	{words: "users delete", short: "remove a user; clients that are connected stay so", operands: []string{"NAME"}, method: "DELETE",
		path: usersPath + "/{NAME}", done: "{NAME} is no user"},
}

func userAdd(s *session, c *call) error {
	body := c.fields()
	body["user_id"] = c.operand("NAME")
	return s.used(s.withPassword(c, http.MethodPost, usersPath, body))
}

func userPassword(s *session, c *call) error {
	return s.used(s.withPassword(c, http.MethodPut, usersPath+"/"+pathEscape(c.operand("NAME")), map[string]any{}))
}

// used warns after a change of users, where it went well and nobody asks about them.
func (s *session) used(err error) error {
	if err == nil {
		s.warnUnused("/authentication", "password_based:built_in_database", "users", "auth.built_in.users")
	}
	return err
}

// withPassword sends a body with a password that is asked for.
func (s *session) withPassword(c *call, method, path string, body map[string]any) error {
	password, err := s.env.Password(clean(c.operand("NAME")))
	if err != nil {
		return err
	}
	if password == "" {
		return errors.New("the password is empty")
	}
	body["password"] = password
	data, err := s.call(method, path, nil, body)
	if err != nil {
		return err
	}
	return s.show(c, data)
}

// warnUnused says that what was kept is not in effect, where the configuration does not use it.
func (s *session) warnUnused(path, name, what, key string) {
	data, err := s.call(http.MethodGet, path, nil, nil)
	if err != nil {
		return // it was only for a hint
	}
	var list []map[string]any
	if json.Unmarshal(data, &list) != nil {
		var v struct{ Sources []map[string]any }
		_ = json.Unmarshal(data, &v) // likewise
		list = v.Sources
	}
	for _, one := range list {
		if (one["id"] == name || one["type"] == name) && one["enable"] == false {
			fmt.Fprintf(s.env.Stderr, "note: these %s are not in effect: set %s: true\n", what, key)
		}
	}
}

package ctl

import "net/http"

var peopleColumns = []column{{title: "NAME", field: "username"}, {title: "ROLE", field: "role"}, {title: "KEPT IN", field: "backend"}, {title: "DESCRIPTION", field: "description"}}

var peopleOptions = []option{
	{name: "role", usage: "`ROLE`: administrator, viewer or publisher (viewer by default)", param: "role"},
	{name: "desc", usage: "who it is (`TEXT`)", param: "description"},
}

var peopleCommands = []command{
	{words: "people list", short: "who may log in to the dashboard and the API, with a password", method: "GET", path: "/users", columns: peopleColumns},
	{words: "people add", short: "let somebody log in; the password comes from a prompt or standard input", operands: []string{"NAME"}, options: peopleOptions,
		columns: peopleColumns, run: personAdd},
	{words: "people change", short: "change what is given of somebody, and end their logins", operands: []string{"NAME"}, method: "PUT", path: "/users/{NAME}",
		options: peopleOptions, columns: peopleColumns},
	{words: "people passwd", short: "change somebody's password, and end their logins; it comes from a prompt or standard input", operands: []string{"NAME"},
		columns: peopleColumns, run: personPassword},
	{words: "people delete", short: "let somebody log in no more, and end their logins", operands: []string{"NAME"}, method: "DELETE", path: "/users/{NAME}",
		done: "{NAME} cannot log in"},
}

func personAdd(s *session, c *call) error {
	body := c.fields()
	body["username"] = c.operand("NAME")
	return s.withPassword(c, http.MethodPost, "/users", body)
}

func personPassword(s *session, c *call) error {
	return s.withPassword(c, http.MethodPut, "/users/"+pathEscape(c.operand("NAME")), map[string]any{})
}

package ctl

import (
	"net/http"
	"time"
)

var banColumns = []column{
	{title: "AS", field: "as"}, {title: "WHO", field: "who"}, {title: "BY", field: "by"}, {title: "AT", field: "at"},
	{title: "UNTIL", field: "until"}, {title: "REASON", field: "reason"},
}

var banCommands = []command{
	{words: "bans", short: "the bans in force", method: "GET", path: "/banned", columns: banColumns, options: with(
		option{name: "as", usage: "of this kind (`KIND`)", param: "as"},
		option{name: "like-clientid", usage: "about client ids that hold `PART`", param: "like_clientid"},
		option{name: "like-username", usage: "about usernames that hold `PART`", param: "like_username"})},
	{words: "ban", short: "keep clients out by AS: clientid, username, peerhost, clientid_re, username_re or peerhost_net; who is in is disconnected",
		operands: []string{"AS", "WHO"}, options: []option{
			{name: "reason", usage: "why, for people (`TEXT`)", param: "reason"},
			{name: "for", usage: "how long, as 90m or 24h (`TIME`); for good by default"},
			{name: "until", usage: "until when, as 2030-01-31T12:00:00Z (`TIME`)", param: "until"},
		}, columns: banColumns, run: ban},
	{words: "unban", short: "end a ban", operands: []string{"AS", "WHO"}, method: "DELETE", path: "/banned/{AS}/{WHO}", done: "{WHO} is not banned"},
}

func ban(s *session, c *call) error {
	body := c.fields()
	body["as"], body["who"] = c.operand("AS"), c.operand("WHO")
	if c.has("for") {
		d, err := time.ParseDuration(c.text("for"))
		if err != nil || d < time.Second || c.has("until") {
			return &usageError{"--for takes a time such as 90m or 24h, and goes without --until"}
		}
		body["until"] = time.Now().Add(d).Unix()
	}
	data, err := s.call(http.MethodPost, "/banned", nil, body)
	if err != nil {
		return err
	}
	return s.show(c, data)
}

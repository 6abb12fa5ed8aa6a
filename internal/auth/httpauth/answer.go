package httpauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// result is what a server says.
type result string

const (
	allow  result = "allow"
	deny   result = "deny"
	ignore result = "ignore"
)

// answer is a server's answer.
type answer struct {
	result    result
	superuser bool
	expiresAt time.Time
	acl       []byte // JSON; nil: none
}

// parseAnswer reads a body of the given media type: JSON, or a form.
func parseAnswer(kind string, text []byte) (answer, error) {
	if kind == "application/x-www-form-urlencoded" {
		return parseForm(text)
	}
	if kind != "" && kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return answer{}, fmt.Errorf("the answer is of type %q; it must be application/json", kind)
	}
	var body struct {
		Result    result          `json:"result"`
		Superuser bool            `json:"is_superuser"`
		ExpireAt  *json.Number    `json:"expire_at"`
		ACL       json.RawMessage `json:"acl"`
	}
	if err := json.Unmarshal(text, &body); err != nil {
		return answer{}, errors.New("the answer is not the JSON that is expected")
	}
	a := answer{result: body.Result, superuser: body.Superuser, acl: body.ACL}
	if body.ExpireAt != nil {
		seconds, err := body.ExpireAt.Int64()
		if err != nil {
			return answer{}, errors.New("expire_at in the answer is not a time in whole seconds")
		}
		a.expiresAt = time.Unix(seconds, 0)
	}
	return a, a.result.check()
}

func parseForm(text []byte) (answer, error) {
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return answer{}, errors.New("the answer is not a form")
	}
	a := answer{result: result(form.Get("result")), superuser: form.Get("is_superuser") == "true"}
	return a, a.result.check()
}

func (r result) check() error {
	switch r {
	case allow, deny, ignore:
		return nil
	}
	return errors.New("the answer's result is not allow, deny or ignore")
}

package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

// Settings are the broker's configuration.
type Settings interface {
	// List returns all keys.
	List() []Setting
	// Change sets keys, until the restart or for good, all or none, and returns those whose values are others now. A value
	// is as the environment would say it; nil takes back what was changed. An error says which key is wrong, and how.
	Change(values map[string]*string, persist bool) (changed []string, err error)
}

// Setting is one key of the configuration.
type Setting struct {
	Key        string `json:"key"`
	Value      any    `json:"value"` // secrets are masked
	Default    any    `json:"default"`
	Source     string `json:"source"` // default, FILE:LINE, the environment variable, --set KEY, or live
	Changeable bool   `json:"changeable"`
}

// settingsResource is the configuration as it is, and as it is to be.
type settingsResource struct{ settings Settings }

// Routes implements Resource.
func (s settingsResource) Routes() []Route {
	if s.settings == nil {
		return nil
	}
	return []Route{
		{Method: "GET", Path: Base + "/config", Access: Manage, Handler: s.list},
		{Method: "PUT", Path: Base + "/config", Access: Manage, MaxBodyBytes: 64 << 10, Handler: s.change},
	}
}

func (s settingsResource) list(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	prefix := q.String("prefix")
	if err := q.Done(); err != nil {
		return err
	}
	all := []Setting{}
	for _, one := range s.settings.List() {
		if strings.HasPrefix(one.Key, prefix) {
			all = append(all, one)
		}
	}
	WriteJSON(w, http.StatusOK, map[string]any{"data": all})
	return nil
}

func (s settingsResource) change(w http.ResponseWriter, r *http.Request) error {
	q := NewQuery(r)
	persist := q.Bool("persist")
	if err := q.Done(); err != nil {
		return err
	}
	values, err := readSettings(r)
	if err != nil {
		return err
	}
	changed, err := s.settings.Change(values, persist != nil && *persist)
	if err != nil {
		return BadRequest("%s", err.Error())
	}
	if changed == nil {
		changed = []string{}
	}
	WriteJSON(w, http.StatusOK, map[string]any{"changed": changed})
	return nil
}

// readSettings reads an object of keys and values that stand for one each.
func readSettings(r *http.Request) (map[string]*string, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, err
		}
		return nil, BadRequest("the body ended early")
	}
	var in map[string]any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&in); err != nil {
		return nil, badJSON(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, BadRequest("the body has something after the JSON value")
	}
	if len(in) == 0 {
		return nil, BadRequest("the body names no key; give an object, for example {\"limits.max_connections\": 1000}")
	}
	values := make(map[string]*string, len(in))
	for key, v := range in {
		text := ""
		switch v := v.(type) {
		case nil:
			values[key] = nil
			continue
		case string:
			text = v
		case json.Number:
			text = v.String()
		case bool:
			if text = "false"; v {
				text = "true"
			}
		default:
			return nil, BadRequest("%s: a string, a number, true, false or null goes there", key)
		}
		values[key] = &text
	}
	return values, nil
}

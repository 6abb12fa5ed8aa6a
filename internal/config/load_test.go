package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func writeFile(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "barid.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestLaterSourcesWin(t *testing.T) {
	file := writeFile(t, "mqtt: {max_qos: 0, receive_maximum: 7, max_topic_levels: 9}\n")
	c, _, err := Load(Sources{
		File:    file,
		Environ: []string{"BARID_MQTT__MAX_QOS=1", "BARID_MQTT__RECEIVE_MAXIMUM=8", "PATH=/bin"},
		Sets:    []string{"mqtt.max_qos=2", "mqtt.max_qos=0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := [3]int{c.MQTT.MaxQoS, c.MQTT.ReceiveMaximum, c.MQTT.MaxTopicLevels}; got != [3]int{0, 8, 9} {
		t.Errorf("--set, environment, file: got %v, want [0 8 9]", got)
	}
	if c.Session != Default().Session {
		t.Error("a section that no source names has changed")
	}
}

func TestListenersOfAFileReplaceTheDefaults(t *testing.T) {
	file := writeFile(t, "listeners:\n  ws: {bind: 127.0.0.1:9001}\n")
	c, _, err := Load(Sources{
		File:    file,
		Environ: []string{"BARID_LISTENERS__TCP__BIND=127.0.0.1:2883"},
		Sets:    []string{"listeners.ws.path=/ws", "listeners.office-lan.type=tcp", "listeners.office-lan.bind=127.0.0.1:3883"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Listener{
		"ws":         {Type: WS, Bind: "127.0.0.1:9001", Path: "/ws"},
		"tcp":        {Type: TCP, Bind: "127.0.0.1:2883"},
		"office-lan": {Type: TCP, Bind: "127.0.0.1:3883"},
	}
	if !reflect.DeepEqual(c.Listeners, want) {
		t.Errorf("got %+v, want %+v", c.Listeners, want)
	}
}

func TestOverridesOfListeners(t *testing.T) {
	hyphen := "listeners: {office-lan: {type: tcp, bind: 127.0.0.1:1}}\n"
	for _, tt := range []struct {
		name, file string
		environ    []string
		sets       []string
		want       map[string]Listener
	}{
		{"a default is changed", "", []string{"BARID_LISTENERS__TCP__BIND=127.0.0.1:2883"}, []string{"listeners.ws="},
			map[string]Listener{"tcp": {Type: TCP, Bind: "127.0.0.1:2883"}}},
		{"an underscore means a hyphen", hyphen, []string{"BARID_LISTENERS__OFFICE_LAN__BIND=127.0.0.1:2"}, nil,
			map[string]Listener{"office-lan": {Type: TCP, Bind: "127.0.0.1:2"}}},
		{"an empty section keeps the defaults", "listeners:\nmqtt:\n", nil, nil, Default().Listeners},
	} {
		s := Sources{Environ: tt.environ, Sets: tt.sets}
		if tt.file != "" {
			s.File = writeFile(t, tt.file)
		}
		c, _, err := Load(s)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if !reflect.DeepEqual(c.Listeners, tt.want) {
			t.Errorf("%s: got %+v, want %+v", tt.name, c.Listeners, tt.want)
		}
	}
}

func TestListsAreSeparatedByCommas(t *testing.T) {
	c, _, err := Load(Sources{Environ: []string{"BARID_STREAMS__S__FILTERS=a/#, b,,c"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Streams["s"].Filters, []string{"a/#", "b", "c"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOptionalBoolean(t *testing.T) {
	for text, want := range map[string]string{"": "<nil>", "true": "true", "false": "false"} {
		c, _, err := Load(Sources{Environ: []string{"BARID_AUTH__ALLOW_ANONYMOUS=" + text}})
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		got := "<nil>"
		if p := c.Auth.AllowAnonymous; p != nil {
			got = map[bool]string{true: "true", false: "false"}[*p]
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestUnknownVariablesWarnAndThoseOfKubernetesDoNot(t *testing.T) {
	environ := []string{
		"BARID_PORT=tcp://10.0.0.1:1883", "BARID_SERVICE_HOST=10.0.0.1", "BARID_SERVICE_PORT=1883", "BARID_SERVICE_PORT_MQTT=1883",
		"BARID_PORT_1883_TCP=tcp://10.0.0.1:1883", "BARID_PORT_1883_TCP_PROTO=tcp", "BARID_PORT_1883_TCP_PORT=1883",
		"BARID_PORT_1883_TCP_ADDR=10.0.0.1", "BARID_HEADLESS_SERVICE_HOST=None", "BARID_HEADLESS_PORT=tcp://10.0.0.1:1883",
		"BARIDX=1", "HOME=/",
	}
	if _, warnings, err := Load(Sources{Environ: environ}); err != nil || len(warnings) > 0 {
		t.Errorf("service variables: warnings %v, error %v", warnings, err)
	}
	for env, want := range map[string]string{
		"BARID_DATADIR=/x":         "BARID_DATADIR: no key has this name; did you mean data_dir?",
		"BARID_MQTT__MAX_QOSS=1":   "BARID_MQTT__MAX_QOSS: no key has this name; did you mean mqtt.max_qos?",
		"BARID_MAX_PACKET_BYTE5=1": "BARID_MAX_PACKET_BYTE5: no key has this name; known here: node, data_dir",
		"BARID_NODE__NAME__X=1":    "BARID_NODE__NAME__X: no key has this name; node.name has no keys below it",
		"BARID_=1":                 "BARID_: no key has this name",
	} {
		_, warnings, err := Load(Sources{Environ: []string{env}})
		if err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0].String(), want) {
			t.Errorf("%s: got %v, error %v, want the warning %s", env, warnings, err, want)
		}
	}
}

func TestSecretFromFile(t *testing.T) {
	secret := writeFile(t, "s3cret \n")
	c, _, err := Load(Sources{Environ: []string{"BARID_API__ADMIN__PASSWORD_FILE=" + secret}})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.API.Admin.Password; got != "s3cret " {
		t.Errorf("got %q, want the file without its line end", got)
	}
	_, _, err = Load(Sources{Sets: []string{"api.admin.password_file=" + secret, "api.admin.password=x"}})
	if err == nil || !strings.Contains(err.Error(), "--set api.admin.password: is set, and so is") {
		t.Errorf("both: got %v", err)
	}
	if err != nil && strings.Contains(err.Error(), "password=x") {
		t.Error("the message holds the secret")
	}
	if _, _, err = Load(Sources{Sets: []string{"api.admin.password_file=/does/not/exist"}}); err == nil {
		t.Error("a file that is not there: no error")
	}
}

func TestMissingFile(t *testing.T) {
	if _, _, err := Load(Sources{File: filepath.Join(t.TempDir(), "none.yaml")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}

func TestProblemsAreReportedTogether(t *testing.T) {
	file := writeFile(t, "durability: fast\nmqtt:\n  max_qos: 3\n")
	_, _, err := Load(Sources{File: file, Sets: []string{"node=x"}})
	var one *Error
	if !errors.As(err, &one) || one.File != file || one.Line != 1 || one.Key != "durability" {
		t.Errorf("the first problem: got %+v", one)
	}
	want := file + `:1: durability: "fast" is not one of fsync, os, memory
` + file + `:3: mqtt.max_qos: "3" is not a whole number from 0 to 2
--set node: is a section; set one of its keys`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

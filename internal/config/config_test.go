package config

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

const shipped = "../../config.yaml"

func TestLoadOfNothingIsDefault(t *testing.T) {
	got, warnings, err := Load(Sources{})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("Load: %v, warnings %v", err, warnings)
	}
	if !reflect.DeepEqual(got, Default()) {
		t.Errorf("Load of nothing: got %+v, want the defaults", got)
	}
}

// The shipped file is documentation that must not lie.
func TestShippedFileIsDefault(t *testing.T) {
	got, warnings, err := Load(Sources{File: shipped})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("Load: %v, warnings %v", err, warnings)
	}
	if !reflect.DeepEqual(got, Default()) {
		t.Errorf("the shipped file says\n%+v\nand the defaults are\n%+v", got, Default())
	}
}

func TestShippedFileNamesEveryKey(t *testing.T) {
	text, err := os.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range Keys() {
		name := k.Path[strings.LastIndexByte(k.Path, '.')+1:]
		if !regexp.MustCompile(`(^|[\s{,#])` + name + `:`).Match(text) {
			t.Errorf("the file does not mention %s", k.Path)
		}
	}
}

// What Keys says of a default must be allowed by what it says of limits.
func TestKeysAreCompleteAndTheirDefaultsAllowed(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Keys() {
		if k.Doc == "" {
			t.Errorf("%s has no doc", k.Path)
		}
		if seen[k.Path] {
			t.Errorf("%s is there twice", k.Path)
		}
		seen[k.Path] = true
		if strings.Contains(k.Path, "<name>") || k.Default == "" {
			continue
		}
		if _, _, err := Load(Sources{Sets: []string{k.Path + "=" + k.Default}}); err != nil {
			t.Errorf("its own default is refused: %v", err)
		}
	}
	for _, path := range []string{"durability", "listeners.<name>.bind", "api.admin.password", "streams.<name>.filters", "mqtt.max_qos"} {
		if !seen[path] {
			t.Errorf("Keys does not list %s", path)
		}
	}
}

func TestEffectiveFileLoadsToTheSame(t *testing.T) {
	yes := true
	want := Default()
	want.Listeners["office-lan"] = Listener{Type: TCP, Bind: "0.0.0.0:2883", AllowAnonymous: &yes, MountPoint: "office/"}
	want.MQTT.MaxQoS = 1
	want.Streams["s"] = Stream{Filters: []string{"a/#", "b"}}
	text, err := want.YAML()
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := Load(Sources{File: writeFile(t, string(text))})
	if err != nil {
		t.Fatalf("Load: %v\n%s", err, text)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestSecretsAreMaskedAndTheOriginalKept(t *testing.T) {
	c := Default()
	c.API.Admin.Password = "hunter2"
	text, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "hunter2") || !strings.Contains(string(text), masked) {
		t.Errorf("the password is not masked:\n%s", text)
	}
	if c.API.Admin.Password != "hunter2" {
		t.Error("masking changed the configuration itself")
	}
}

// Whatever is marked as a secret is masked, and can be had from a file.
func TestEverySecretIsMaskedAndHasAFile(t *testing.T) {
	paths := map[string]bool{}
	for _, k := range Keys() {
		paths[k.Path] = true
	}
	count := 0
	for _, k := range Keys() {
		if !k.Secret {
			if name := k.Path[strings.LastIndexByte(k.Path, '.')+1:]; name == "password" || name == "secret" || name == "token" || name == "headers" {
				t.Errorf("%s is not marked as a secret", k.Path)
			}
			continue
		}
		count++
		if !paths[k.Path+"_file"] {
			t.Errorf("%s cannot be had from a file", k.Path)
		}
		const value = "X-Secret: hunter2 of more than thirty-two bytes"
		c, _, err := Load(Sources{Sets: []string{k.Path + "=" + value}})
		if err != nil {
			t.Fatal(err)
		}
		file := writeFile(t, value+"\n")
		fromFile, _, err := Load(Sources{Sets: []string{k.Path + "_file=" + file}})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []*Config{c, fromFile} {
			text, err := c.YAML()
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "hunter2") || !strings.Contains(string(text), masked) {
				t.Errorf("%s is shown:\n%s", k.Path, text)
			}
			if again, err := yaml.Marshal(c); err != nil || !strings.Contains(string(again), "hunter2") {
				t.Errorf("%s: masking changed the configuration itself, or it was never there", k.Path)
			}
		}
		// Neither does an error show it, here that of two values.
		_, _, err = Load(Sources{Sets: []string{k.Path + "=" + value, k.Path + "_file=" + file}})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s twice: %v", k.Path, err)
		}
	}
	if count < 4 {
		t.Errorf("%d secrets: some lost their mark", count)
	}
}

func TestAnonymousAllowed(t *testing.T) {
	yes, no := true, false
	local, lan := Listener{Type: TCP, Bind: "127.0.0.1:1"}, Listener{Type: TCP, Bind: "0.0.0.0:1"}
	with := func(ln Listener, allow *bool) Listener { ln.AllowAnonymous = allow; return ln }
	for _, tt := range []struct {
		name string
		auth *bool
		ln   Listener
		want bool
	}{
		{"loopback by default", nil, local, true},
		{"localhost by default", nil, Listener{Type: WS, Bind: "localhost:1"}, true},
		{"IPv6 loopback by default", nil, Listener{Type: TCP, Bind: "[::1]:1"}, true},
		{"unix by default", nil, Listener{Type: Unix, Bind: "/run/barid"}, true},
		{"network by default", nil, lan, false},
		{"every address by default", nil, Listener{Type: TCP, Bind: ":1"}, false},
		{"a name that is not localhost", nil, Listener{Type: TCP, Bind: "localhost.example.org:1"}, false},
		{"network with client certificates", nil, Listener{Type: TLS, Bind: "0.0.0.0:1", RequireClientCert: true}, true},
		{"auth allows", &yes, lan, true},
		{"auth forbids", &no, local, false},
		{"the listener wins, allowing", &no, with(lan, &yes), true},
		{"the listener wins, forbidding", &yes, with(local, &no), false},
	} {
		c := Default()
		c.Auth.AllowAnonymous = tt.auth
		if got := c.AnonymousAllowed(tt.ln); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestPacketLimit(t *testing.T) {
	c := Default()
	if got := c.PacketLimit(Listener{}); got != c.MQTT.MaxPacketBytes {
		t.Errorf("without its own limit: got %d, want %d", got, c.MQTT.MaxPacketBytes)
	}
	if got := c.PacketLimit(Listener{MaxPacketBytes: 100}); got != 100 {
		t.Errorf("with its own limit: got %d, want 100", got)
	}
}

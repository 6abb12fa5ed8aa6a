//go:build e2e

package e2e

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The clients of other languages run a script each, which prints "ok <rule>" for each rule that held, and fails at the
// first that does not.

func TestMQTTjs(t *testing.T) {
	modules := filepath.Join(cacheDir(t), "node_modules")
	if _, err := os.Stat(filepath.Join(modules, "mqtt")); err != nil {
		t.Fatal("MQTT.js is not installed; run: bash scripts/e2e/install.sh")
	}
	for _, listener := range []string{"tcp", "tls", "ws", "wss"} {
		for _, version := range []string{"4", "5"} {
			t.Run(listener+"/"+version, func(t *testing.T) {
				cmd := exec.Command(installed(t, "node"), "client.cjs", localURL(listener), version, newTopic(t), trust.ca)
				cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
				script(t, cmd)
			})
		}
	}
}

func TestPythonPaho(t *testing.T) {
	python := pythonWithPaho(t)
	for _, listener := range []string{"tcp", "tls", "ws", "wss"} {
		for _, version := range []string{"3", "4", "5"} {
			t.Run(listener+"/"+version, func(t *testing.T) {
				script(t, exec.Command(python, "client.py", localURL(listener), version, newTopic(t), trust.ca))
			})
		}
	}
}

// script runs a script, which must end well and have checked something.
func script(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	p, err := startProcess(cmd)
	check(t, "starting the script", err)
	err = p.wait(3 * patience)
	if err != nil || strings.Count(p.output(), "ok ") < 5 {
		t.Errorf("the script ended with %v and printed:\n%s", err, p.output())
	}
}

// localURL returns a listener's URL with the name that its certificate has.
func localURL(listener string) string {
	u := *shared.urls[listener]
	if listener == "tls" || listener == "wss" {
		u.Host = "localhost:" + u.Port()
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// cacheDir is where install.sh puts what the system's packages do not have.
func cacheDir(t *testing.T) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	check(t, "finding the cache directory", err)
	return filepath.Join(dir, "barid-e2e")
}

// pythonWithPaho finds a Python that has paho: the system's may not be the first in PATH.
func pythonWithPaho(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import paho.mqtt.client").Run() == nil {
			return python
		}
	}
	t.Fatal("Python's paho is not installed; run: bash scripts/e2e/install.sh")
	return ""
}

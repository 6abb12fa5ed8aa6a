package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/barid-mqtt/barid"

// policy says what each package may import besides the standard library. Left: packages of this module, . for its root,
// and * for one level of names. Right: packages of this module, then after + modules of others. A package may import
// only packages in lines above its own, so the lines are the layers of the program, lowest first.
const policy = `
# Public, and free of the broker's words.
mqtt                         <
pkg/memnet                   <
pkg/proxyproto               <
pkg/ratelimit                <
pkg/filewatch                <
pkg/scram                    <
pkg/timerwheel               <
pkg/unpolled                 <
pkg/websocket                < pkg/ratelimit
pkg/vfs                      <
pkg/wal                      < pkg/vfs

# Pure: no I/O, no clock, no goroutine.
internal/message             < mqtt
internal/index               <
internal/share               <
internal/summary             < mqtt
internal/session             < mqtt internal/message
internal/retain              < internal/message + github.com/tidwall/btree

# What the broker tells the time by, and what is wrong with it.
internal/clock               <
internal/alarm               <

# State.
internal/metrics             < mqtt internal/message
internal/tracing             < mqtt internal/message + go.opentelemetry.io/otel
internal/sys                 < internal/metrics
internal/emqx                < mqtt internal/message internal/metrics
internal/monitor             <
internal/host                <
internal/storage             < internal/message internal/summary
internal/state               < mqtt internal/message internal/session internal/storage
internal/storage/memory      < mqtt internal/message internal/storage internal/summary + github.com/tidwall/btree
internal/storage/badger      < internal/message internal/storage internal/summary pkg/vfs pkg/wal + github.com/dgraph-io/badger github.com/tidwall/btree
internal/auth                < mqtt
internal/auth/aclfile        < internal/auth
internal/auth/clientcert     < mqtt internal/auth
internal/auth/password       < mqtt internal/auth + golang.org/x/crypto
internal/auth/acljson        < mqtt internal/auth
internal/auth/builtin        < internal/message internal/state internal/storage internal/auth internal/auth/acljson internal/auth/password
internal/admin               < internal/message internal/state internal/storage internal/storage/badger internal/auth/builtin pkg/vfs
internal/auth/httpauth       < mqtt internal/auth internal/auth/acljson
internal/auth/jwt            < mqtt internal/auth internal/auth/acljson + github.com/golang-jwt/jwt
internal/auth/scramauth      < mqtt pkg/scram internal/auth

# Sockets.
internal/devcerts            <
internal/listener            < pkg/proxyproto pkg/ratelimit pkg/unpolled pkg/websocket
internal/trace               < mqtt internal/message
internal/conn                < mqtt internal/message internal/metrics internal/session internal/trace

# How the program logs.
internal/logs                <

# What broken and evil clients do, for the tests of the broker and of the program.
internal/hostile             < mqtt pkg/websocket

# The broker. Nothing below it reads the configuration.
internal/router              < mqtt internal/message internal/metrics internal/index internal/session internal/retain internal/storage internal/summary internal/trace internal/conn
internal/stream              < mqtt internal/message internal/metrics internal/session internal/state internal/storage internal/summary internal/trace internal/conn internal/router
internal/config              < mqtt + gopkg.in/yaml.v3
internal/settings            < internal/config
internal/broker              < mqtt pkg/filewatch pkg/ratelimit pkg/scram pkg/timerwheel internal/* internal/auth/* internal/storage/memory internal/storage/badger
internal/prom                < mqtt internal/message internal/metrics internal/emqx internal/host internal/broker + github.com/prometheus/client_golang
api/dashboard                <
api/apidoc                   < + gopkg.in/yaml.v3
api                          < mqtt api/apidoc api/dashboard internal/message internal/storage internal/auth internal/auth/builtin internal/trace internal/stream internal/broker internal/metrics internal/emqx internal/monitor internal/host internal/alarm + gopkg.in/yaml.v3
internal/migrate/erl         <
internal/migrate/hocon       <
internal/migrate/exporttest  <
internal/migrate             < mqtt internal/message internal/auth/builtin internal/auth/password internal/migrate/erl internal/migrate/hocon + gopkg.in/yaml.v3
internal/cli/ctl             <
internal/cli                 < mqtt api internal/cli/ctl internal/metrics internal/prom pkg/scram pkg/filewatch internal/migrate internal/admin internal/auth/password internal/auth/scramauth internal/config internal/devcerts internal/logs internal/settings internal/broker + github.com/eclipse/paho.golang github.com/gorilla/websocket golang.org/x/term
.                            < internal/cli

# The load generator, a program of its own that shares the public packages with the broker and nothing else.
load_test/internal/hist      <
load_test/internal/check     <
load_test/internal/proc      <
load_test/internal/wire      < mqtt
load_test/internal/fakebroker < mqtt
load_test/internal/relay     < mqtt
load_test/internal/loop      < mqtt pkg/websocket
load_test/internal/client    < mqtt load_test/internal/hist load_test/internal/check load_test/internal/wire load_test/internal/loop
load_test/internal/scenario  < mqtt load_test/internal/*
load_test/internal/peers     < load_test/internal/proc
load_test/internal/report    < load_test/internal/scenario
load_test/internal/command   < mqtt load_test/internal/*
load_test                    < load_test/internal/command

# An example for those who write clients.
docs/clients/go              < + github.com/eclipse/paho.golang

# Tests and what only they use. Any test may use the modules in testModules.
internal/storage/storagetest < mqtt internal/summary internal/message internal/storage + go.uber.org/goleak
internal/conformance         <
scripts/e2e                  < pkg/scram mqtt internal/migrate/exporttest
scripts/crash                < mqtt
scripts/soak                 < + github.com/eclipse/paho.golang
scripts/deploy               < + gopkg.in/yaml.v3
scripts/hostile              < mqtt internal/hostile
`

// testModules are the third-party modules that any test may use, over what its package may.
var testModules = []string{
	"go.uber.org/goleak", "pgregory.net/rapid", "github.com/gorilla/websocket",
	"github.com/eclipse/paho.golang", "github.com/golang-jwt/jwt", "github.com/eclipse/paho.mqtt.golang",
	"go.opentelemetry.io/proto/otlp", "google.golang.org/protobuf",
}

func TestImportsFollowThePolicy(t *testing.T) {
	rules := parsePolicy(t)
	used := map[string]bool{}
	for _, p := range listPackages(t) {
		name := relative(p.ImportPath)
		rule := slices.IndexFunc(rules, func(r rule) bool { return r.name == name })
		if rule < 0 {
			t.Errorf("%s has no line in the policy: add one, and think about its layer", name)
			continue
		}
		used[name] = true
		for _, imported := range p.Imports {
			if !rules[rule].allows(imported) {
				t.Errorf("%s imports %s, which its line in the policy does not have", name, imported)
			}
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			if thirdParty(imported) && !rules[rule].allows(imported) && !within(imported, testModules) {
				t.Errorf("a test of %s imports %s, which is not in testModules", name, imported)
			}
		}
	}
	for _, r := range rules {
		if !used[r.name] {
			t.Errorf("the policy has a line for %s, which is not there", r.name)
		}
	}
}

// A policy that any import could satisfy would be worth nothing.
func TestPolicyIsOrdered(t *testing.T) {
	rules := parsePolicy(t)
	for i, r := range rules {
		for _, allowed := range r.own {
			if strings.Contains(allowed, "*") {
				continue
			}
			if at := slices.IndexFunc(rules, func(r rule) bool { return r.name == allowed }); at < 0 || at >= i {
				t.Errorf("%s may import %s, which has no line above it", r.name, allowed)
			}
		}
	}
}

// rule is one line of the policy.
type rule struct {
	name   string
	own    []string // packages of this module, as patterns of path.Match
	others []string // modules
}

func parsePolicy(t *testing.T) []rule {
	t.Helper()
	var rules []rule
	for line := range strings.Lines(policy) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		name, may, ok := strings.Cut(line, "<")
		if !ok {
			t.Fatalf("policy: no < in %q", line)
		}
		own, others, _ := strings.Cut(may, "+")
		rules = append(rules, rule{strings.TrimSpace(name), strings.Fields(own), strings.Fields(others)})
	}
	return rules
}

func (r rule) allows(imported string) bool {
	switch {
	case ours(imported):
		return slices.ContainsFunc(r.own, func(pattern string) bool {
			ok, err := path.Match(pattern, relative(imported))
			return ok && err == nil
		})
	case thirdParty(imported):
		return within(imported, r.others)
	}
	return true
}

// within reports whether a package lies in one of the modules.
func within(imported string, modules []string) bool {
	return slices.ContainsFunc(modules, func(m string) bool { return imported == m || strings.HasPrefix(imported, m+"/") })
}

func ours(imported string) bool { return within(imported, []string{module}) }

// thirdParty reports whether a package is of neither this module nor the standard library, whose paths have no dot in
// their first part.
func thirdParty(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return strings.Contains(first, ".") && !ours(imported)
}

func relative(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	// Without the profile, which would list each package as built for the program.
	cmd := exec.Command("go", "list", "-e", "-pgo=off", "-tags=e2e", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		packages = append(packages, p)
	}
}

package migrate

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/barid-mqtt/barid/internal/auth/password"
)

// authenticator takes one of those that EMQX asks, in their order.
func (m *emqx) authenticator(g *group) (Verdict, string) {
	v := g.values
	what := strings.TrimSuffix(v["mechanism"]+" with "+v["backend"], " with ")
	if v["enable"] == "false" {
		return NotNeeded, what + " is off"
	}
	switch {
	case v["mechanism"] == "jwt":
		return m.jwt(g)
	case v["mechanism"] == "scram" && v["backend"] == "built_in_database":
		m.scram.algorithm = cmp.Or(v["algorithm"], "sha256")
		m.scram.iterations, _ = strconv.Atoi(cmp.Or(v["iteration_count"], "4096"))
		return Taken, "auth.scram_file, if it has users"
	case v["mechanism"] == "password_based" && v["backend"] == "built_in_database":
		return m.passwords(v)
	case v["mechanism"] == "password_based" && v["backend"] == "http":
		return m.http(g, "auth.http", "http")
	}
	return Unsupported, what + ": Barid asks an HTTP server (auth.http), files, its own users and tokens"
}

// passwords takes the built-in database.
func (m *emqx) passwords(v map[string]string) (Verdict, string) {
	const algorithm = "password_hash_algorithm."
	h := hashing{known: true, name: cmp.Or(v[algorithm+"name"], "sha256"), byClientID: v["user_id_type"] == "clientid"}
	h.macFun = cmp.Or(v[algorithm+"mac_fun"], "sha256")
	h.iterations, _ = strconv.Atoi(v[algorithm+"iterations"])
	var err error
	if h.salt, err = password.ParseSaltPosition(cmp.Or(v[algorithm+"salt_position"], "prefix")); err != nil {
		return Unsupported, err.Error()
	}
	m.hashing = h
	m.order = append(m.order, "passwords")
	if h.byClientID {
		return Unsupported, "its users are client ids; those of auth.built_in are usernames"
	}
	return Taken, "auth.built_in.users; passwords are hashed by " + h.name
}

// jwt takes tokens.
func (m *emqx) jwt(g *group) (Verdict, string) {
	v := g.values
	switch {
	case v["use_jwks"] == "true" && v["endpoint"] != "":
		set(m.result.Config, "auth.jwt.jwks_url", v["endpoint"])
	case v["public_key"] != "":
		name, ok := m.pem("jwt-public-key.pem", v["public_key"])
		if !ok {
			return Unsupported, "the file " + v["public_key"] + " is not in the export"
		}
		set(m.result.Config, "auth.jwt.public_key_file", name)
	default:
		secret := []byte(v["secret"])
		if v["secret_base64_encoded"] == "true" {
			var err error
			if secret, err = base64.StdEncoding.DecodeString(v["secret"]); err != nil {
				return Unsupported, "its secret is not base64"
			}
		}
		if len(secret) < 32 || strings.ContainsAny(string(secret), "\r\n") {
			return Unsupported, "a secret has at least 32 bytes here (auth.jwt.secret): anybody could find a shorter one"
		}
		m.result.Files["jwt-secret"] = secret
		set(m.result.Config, "auth.jwt.secret_file", filepath.Join(m.dir, "jwt-secret"))
	}
	if v["from"] == "username" {
		set(m.result.Config, "auth.jwt.from", "username")
	}
	var claims []string
	for _, key := range g.keys {
		if name, ok := strings.CutPrefix(key, "verify_claims."); ok && v[key] != "{}" && v[key] != "[]" {
			claims = append(claims, name+"="+v[key])
		}
	}
	if len(claims) > 0 {
		set(m.result.Config, "auth.jwt.claims", claims)
	}
	m.order = append(m.order, "jwt")
	return Taken, "auth.jwt"
}

// http takes a server that is asked who may connect, or what a client may do.
func (m *emqx) http(g *group, path, order string) (Verdict, string) {
	v := g.values
	if v["url"] == "" || strings.Contains(v["url"], "${") {
		return Unsupported, "its URL has placeholders, or there is none"
	}
	set(m.result.Config, path+".url", v["url"])
	set(m.result.Config, path+".method", cmp.Or(v["method"], "post"))
	for _, part := range []struct{ prefix, path, between string }{{"headers.", ".headers", ": "}, {"body.", ".body", "="}} {
		var list []string
		for _, key := range g.keys {
			name, ok := strings.CutPrefix(key, part.prefix)
			if !ok || part.path == ".headers" && slices.Contains([]string{"content-type", "accept", "cache-control", "connection", "keep-alive"}, strings.ToLower(name)) {
				continue
			}
			list = append(list, name+part.between+v[key])
		}
		if len(list) > 0 {
			set(m.result.Config, path+part.path, list)
		}
	}
	if strings.Contains(v["headers.content-type"], "form") {
		set(m.result.Config, path+".form", true)
	}
	if order != "" {
		m.order = append(m.order, order)
	}
	return Taken, path
}

// source takes one of the places where rules are; n is its place in their order.
func (m *emqx) source(g *group, n int) (Verdict, string) {
	v := g.values
	if v["enable"] == "false" {
		return NotNeeded, "it is off"
	}
	switch v["type"] {
	case "built_in_database":
		m.builtIn = n
		return Taken, "auth.built_in.rules"
	case "file":
		m.file = n
		if m.fileKnown = isDefaultACL(v["rules"]); m.fileKnown {
			return Changed, "its rules became rules for all"
		}
		return Unsupported, "rules in Erlang's terms: give them to clients, users or all (barid ctl rules), or write an ACL file"
	case "http":
		return m.http(g, "auth.http_acl", "")
	case "client_info":
		return Taken, "the rules of a client's token are asked first"
	}
	return Unsupported, fmt.Sprintf("%s: Barid asks an HTTP server (auth.http_acl), a file and its own rules", v["type"])
}

// isDefaultACL reports whether the rules of a file are those that come with EMQX 5.
func isDefaultACL(text string) bool {
	var rules strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "%%")
		rules.WriteString(strings.Join(strings.Fields(line), ""))
	}
	s := strings.NewReplacer(`{username,{re,"^dashboard$"}}`, `{user,"dashboard"}`, `,{eq,"+/#"}`, "").Replace(rules.String())
	return s == `{allow,{user,"dashboard"},subscribe,["$SYS/#"]}.{allow,{ipaddr,"127.0.0.1"},all,["$SYS/#","#"]}.{deny,all,subscribe,["$SYS/#",{eq,"#"}]}.{allow,all}.`
}

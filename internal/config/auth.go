package config

import "slices"

// DenyAction is what happens to a PUBLISH of MQTT 3.x that is not allowed: its PUBACK has no code that says so.
type DenyAction string

// The answers to a PUBLISH that is not allowed.
const (
	DenyAckAndDrop DenyAction = "ack_and_drop"
	DenyDisconnect DenyAction = "disconnect"
)

// Auth says who may do what. Each way to authenticate that has its own section is asked when its section says so.
type Auth struct {
	AllowAnonymous *bool      `yaml:"allow_anonymous" doc:"let clients in without credentials; empty: only if nothing here says who may connect, and on loopback and unix listeners"`
	Order          []string   `yaml:"order" doc:"in which order authenticators are asked; empty: certificates, jwt, passwords, http"`
	PasswordFile   string     `yaml:"password_file" doc:"users and password hashes, in Mosquitto's format"`
	ACLFile        string     `yaml:"acl_file" doc:"which user may publish and subscribe where, in Mosquitto's format"`
	BuiltIn        BuiltIn    `yaml:"built_in"`
	JWT            JWT        `yaml:"jwt"`
	SCRAMFile      string     `yaml:"scram_file" doc:"users' keys for enhanced authentication by SCRAM-SHA-256 and SCRAM-SHA-512"`
	HTTP           HTTP       `yaml:"http"`
	HTTPACL        HTTP       `yaml:"http_acl"`
	HTTPACLCache   int        `yaml:"http_acl_cache_seconds" min:"1" max:"86400" doc:"how long an answer of http_acl holds"`
	HTTPACLEntries int        `yaml:"http_acl_cache_entries" min:"1" max:"100000000" doc:"how many answers of http_acl are remembered"`
	Flapping       Flapping   `yaml:"flapping"`
	NoMatch        NoMatch    `yaml:"no_match" enum:"deny,allow" doc:"what no rule says anything about, once there is a source of rules"`
	DenyAction     DenyAction `yaml:"deny_action" live:"true" enum:"ack_and_drop,disconnect" doc:"MQTT 3.x: a PUBLISH that is not allowed is acknowledged and dropped, or ends the connection"`
}

// BuiltIn are users and rules that the broker keeps itself.
type BuiltIn struct {
	Users bool `yaml:"users" doc:"let the users in that the broker keeps"`
	Rules bool `yaml:"rules" doc:"go by the rules that the broker keeps"`
}

// Flapping bans clients that connect again and again.
type Flapping struct {
	MaxConnects   int `yaml:"max_connects" live:"true" max:"1000000" doc:"connections of one client id in a window, past which it is banned; 0: no limit"`
	WindowSeconds int `yaml:"window_seconds" live:"true" min:"1" max:"86400" doc:"length of the window"`
	BanSeconds    int `yaml:"ban_seconds" live:"true" min:"1" max:"31536000" doc:"how long it is banned"`
}

// NoMatch is what happens to what no rule says anything about.
type NoMatch string

// The answers where no rule matches.
const (
	NoMatchDeny  NoMatch = "deny"
	NoMatchAllow NoMatch = "allow"
)

// Names of authenticators, for auth.order.
const (
	AuthCertificates = "certificates"
	AuthJWT          = "jwt"
	AuthPasswords    = "passwords" // the password file, then the users that the broker keeps
	AuthHTTP         = "http"
)

// authenticators are all of them in the order in which they are asked if nothing else is said.
var authenticators = []string{AuthCertificates, AuthJWT, AuthPasswords, AuthHTTP}

// Authenticators returns the names of the authenticators that are configured, in the order in which they are asked.
func (a *Auth) Authenticators() []string {
	var names []string
	for _, name := range authenticators {
		if a.configured(name) {
			names = append(names, name)
		}
	}
	if len(a.Order) > 0 {
		slices.SortStableFunc(names, func(x, y string) int { return slices.Index(a.Order, x) - slices.Index(a.Order, y) })
	}
	return names
}

func (a *Auth) configured(name string) bool {
	switch name {
	case AuthPasswords:
		return a.PasswordFile != "" || a.BuiltIn.Users
	case AuthJWT:
		return a.JWT.Configured()
	case AuthHTTP:
		return a.HTTP.URL != ""
	}
	return false
}

// checkAuth applies the rules between the keys of auth.
func (l *loader) checkAuth() {
	a := &l.cfg.Auth
	l.checkNet()
	for i, name := range a.Order {
		switch {
		case !slices.Contains(authenticators, name):
			l.failKey("auth.order", "%q is not one of certificates, jwt, passwords, http", name)
		case slices.Contains(a.Order[:i], name):
			l.failKey("auth.order", "%s is there twice", name)
		}
	}
	for _, name := range a.Authenticators() {
		if len(a.Order) > 0 && !slices.Contains(a.Order, name) {
			l.failKey("auth.order", "%s is configured and not in the list", name)
		}
	}
}

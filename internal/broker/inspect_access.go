package broker

import "github.com/barid-mqtt/barid/internal/config"

// AuthenticatorInfo is one thing that decides who may connect, in EMQX's words.
type AuthenticatorInfo struct {
	Mechanism, Backend string
	Enabled            bool
}

// RuleSourceInfo is one thing that decides what clients may do.
type RuleSourceInfo struct {
	Type    string
	Enabled bool
}

// Authenticators lists what is configured, in the order in which it is asked. The broker's own store is among them also
// where it is not in effect, since it can be filled.
func (b *Broker) Authenticators() []AuthenticatorInfo {
	cfg, infos := &b.cfg.Auth, []AuthenticatorInfo{}
	known := false
	for _, ln := range b.cfg.Listeners {
		if ln.CertUsername != config.CertNone { // of a listener, and so not named there
			infos = append(infos, AuthenticatorInfo{"certificate", "listener", true})
			break
		}
	}
	for _, name := range cfg.Authenticators() {
		switch name {
		case config.AuthJWT:
			infos = append(infos, AuthenticatorInfo{"jwt", "jwt", true})
		case config.AuthPasswords:
			if cfg.PasswordFile != "" {
				infos = append(infos, AuthenticatorInfo{"password_based", "file", true})
			}
			infos, known = append(infos, AuthenticatorInfo{"password_based", "built_in_database", cfg.BuiltIn.Users}), true
		case config.AuthHTTP:
			infos = append(infos, AuthenticatorInfo{"password_based", "http", true})
		}
	}
	if cfg.SCRAMFile != "" {
		infos = append(infos, AuthenticatorInfo{"scram", "file", true})
	}
	if !known {
		infos = append(infos, AuthenticatorInfo{"password_based", "built_in_database", false})
	}
	return infos
}

// RuleSources lists likewise what decides what clients may do.
func (b *Broker) RuleSources() []RuleSourceInfo {
	cfg := &b.cfg.Auth
	infos := []RuleSourceInfo{{"built_in_database", cfg.BuiltIn.Rules}}
	if cfg.ACLFile != "" {
		infos = append(infos, RuleSourceInfo{"file", true})
	}
	if cfg.HTTPACL.URL != "" {
		infos = append(infos, RuleSourceInfo{"http", true})
	}
	return infos
}

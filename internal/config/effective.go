package config

import (
	"fmt"
	"net"
	"net/netip"
	"reflect"

	"gopkg.in/yaml.v3"
)

// Local reports whether only this machine reaches the listener.
func (ln Listener) Local() bool {
	if ln.Type == Unix {
		return true
	}
	host, _, err := net.SplitHostPort(ln.Bind)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// AnonymousAllowed reports whether clients of a listener may connect without credentials: the listener's own value wins
// over that of auth. Without either it is so where nothing else says who may connect, and only this machine connects or
// clients have proved a certificate.
func (c *Config) AnonymousAllowed(ln Listener) bool {
	switch {
	case ln.AllowAnonymous != nil:
		return *ln.AllowAnonymous
	case c.Auth.AllowAnonymous != nil:
		return *c.Auth.AllowAnonymous
	}
	return !c.Auth.decided() && ln.CertUsername == CertNone && (ln.Local() || ln.RequireClientCert)
}

// PacketLimit returns the largest packet that a listener takes, in bytes.
func (c *Config) PacketLimit(ln Listener) int64 {
	if ln.MaxPacketBytes > 0 {
		return ln.MaxPacketBytes
	}
	return c.MQTT.MaxPacketBytes
}

const masked = "********"

// YAML returns the configuration as a file would say it, with secrets masked.
func (c *Config) YAML() ([]byte, error) {
	safe := *c
	maskSecrets(reflect.ValueOf(&safe).Elem())
	text, err := yaml.Marshal(&safe)
	if err != nil {
		return nil, fmt.Errorf("encoding the configuration: %w", err)
	}
	return text, nil
}

// maskSecrets works on a copy; secrets lie in structs, never behind a map or pointer that the copy would share.
func maskSecrets(section reflect.Value) {
	for _, f := range fieldsOf(section.Type()) {
		v := section.Field(f.index)
		switch {
		case v.Kind() == reflect.Struct:
			maskSecrets(v)
		case f.secret && v.Kind() == reflect.Slice:
			list := make([]string, v.Len()) // not in place: the original has the same elements
			for i := range list {
				list[i] = masked
			}
			v.Set(reflect.ValueOf(list))
		case f.secret && v.String() != "":
			v.SetString(masked)
		}
	}
}

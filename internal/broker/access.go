package broker

import (
	"errors"
	"fmt"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/auth/aclfile"
	"github.com/barid-mqtt/barid/internal/auth/password"
	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/pkg/filewatch"
)

// access is who may connect and what clients may do, as configured.
type access struct {
	steps   []auth.Step    // authenticators, in the order in which they are asked; none: only what listeners allow
	reloads []func() error // read again what may change while the broker runs
	closes  []func() error
	watcher *filewatch.Watcher // of files; nil: none is watched
	once    bool               // files are read now and not watched
}

// watchEvery is how often files are looked at. A change is in effect two or three looks later.
const watchEvery = time.Second

// opener makes one source of answers, and registers with access what it needs at a reload and at the end.
type opener[T any] struct {
	name string
	open func(*access) (T, error)
}

// openAccess makes the authenticators and authorisers that the configuration asks for, unless an Option has set others.
func (b *Broker) openAccess() error {
	if err := b.openStore(); err != nil {
		return err
	}
	return b.openSources()
}

// openSources makes them, over the broker's own store. It returns all that is wrong, joined.
func (b *Broker) openSources() error {
	cfg := &b.cfg.Auth
	var errs []error
	authenticators := []opener[auth.Authenticator]{
		{config.AuthJWT, b.openJWT}, {config.AuthPasswords, b.openPasswords}, {config.AuthHTTP, b.openHTTP},
	}
	for _, name := range cfg.Authenticators() {
		for _, o := range authenticators {
			if o.name != name {
				continue
			}
			a, err := o.open(&b.access)
			if err != nil {
				errs = append(errs, wrapEach("auth: "+name, err))
				continue
			}
			b.access.steps = append(b.access.steps, auth.Step{Name: name, Authenticator: a})
		}
	}
	if err := b.openSCRAM(&b.access); err != nil {
		errs = append(errs, wrapEach("auth: scram_file", err))
	}
	authorizers := []struct { // in the order in which they are asked
		opener[auth.Authorizer]
		set bool
	}{
		{opener[auth.Authorizer]{"built_in.rules", func(*access) (auth.Authorizer, error) { return b.store.rules, nil }}, cfg.BuiltIn.Rules},
		{opener[auth.Authorizer]{"acl_file", b.openACLFile}, cfg.ACLFile != ""},
		{opener[auth.Authorizer]{"http_acl", b.openHTTPACL}, cfg.HTTPACL.URL != ""},
	}
	var sources []auth.Authorizer
	for _, o := range authorizers {
		if !o.set {
			continue
		}
		a, err := o.open(&b.access)
		if err != nil {
			errs = append(errs, wrapEach("auth: "+o.name, err))
			continue
		}
		sources = append(sources, a)
	}
	if b.permissions == nil {
		b.permissions = auth.NewPermissions(sources, cfg.NoMatch == config.NoMatchAllow)
	}
	return errors.Join(errs...)
}

// wrapEach says of each of the errors that err joins where it is from: a file may have many lines that are wrong.
func wrapEach(where string, err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return fmt.Errorf("%s: %w", where, err)
	}
	var errs []error
	for _, one := range joined.Unwrap() {
		errs = append(errs, fmt.Errorf("%s: %w", where, one))
	}
	return errors.Join(errs...)
}

func (b *Broker) openPasswords(a *access) (auth.Authenticator, error) {
	var sources []password.Source
	if name := b.cfg.Auth.PasswordFile; name != "" {
		f := password.NewFile(name)
		if err := b.watchFile(a, "password_file", name, f.Reload); err != nil {
			return nil, err
		}
		sources = append(sources, f)
	}
	if b.cfg.Auth.BuiltIn.Users {
		sources = append(sources, b.store.users)
	}
	return password.NewChecker(sources...), nil
}

func (b *Broker) openACLFile(a *access) (auth.Authorizer, error) {
	s := aclfile.New(b.cfg.Auth.ACLFile)
	return s, b.watchFile(a, "acl_file", b.cfg.Auth.ACLFile, s.Reload)
}

// watchFile reads a file, and again whenever it changes and at a reload. A file that cannot be read any more changes
// nothing but raises an alarm, until one is there that can.
func (b *Broker) watchFile(a *access, key, name string, read func() error) error {
	again := func() error {
		err := read()
		b.alarms.Set(key+"_unusable", err != nil,
			fmt.Sprintf("auth.%s: what was read before stays in effect until this is mended: %v", key, err),
			map[string]any{"file": name})
		return err
	}
	a.reloads = append(a.reloads, again)
	a.watch(name, func() { // before it is read: no change is missed in between
		if err := again(); err == nil {
			b.logs.auth.Info("file changed and was read again", "key", "auth."+key, "file", name)
		}
	})
	return read()
}

// watch has changed called when a file has changed.
func (a *access) watch(name string, changed func()) {
	if a.once {
		return
	}
	if a.watcher == nil {
		a.watcher = filewatch.New(watchEvery)
		a.closes = append(a.closes, func() error {
			a.watcher.Stop()
			return nil
		})
	}
	a.watcher.Add(name, changed)
}

// authenticatorOf decides who may connect at a listener.
func (b *Broker) authenticatorOf(ln config.Listener) auth.Authenticator {
	anonymous := b.cfg.AnonymousAllowed(ln)
	steps := certificateStep(ln, b.cfg.Auth.Order, b.access.steps)
	switch {
	case b.authenticator != nil:
		return b.authenticator
	case len(steps) > 0 || anonymous && b.cfg.Auth.SCRAMFile != "": // a name that can be proved is not to be had without
		return &auth.Chain{Steps: steps, Anonymous: anonymous}
	case anonymous:
		return auth.Anonymous{}
	}
	return auth.Nobody{}
}

// reload reads again what may change. What cannot be read stays as it was.
func (a *access) reload() error {
	var errs []error
	for _, fn := range a.reloads {
		errs = append(errs, fn())
	}
	return errors.Join(errs...)
}

func (a *access) close() error {
	var errs []error
	for _, fn := range a.closes {
		errs = append(errs, fn())
	}
	return errors.Join(errs...)
}

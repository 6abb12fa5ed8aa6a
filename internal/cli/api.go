package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/term"

	"github.com/barid-mqtt/barid/api"
	"github.com/barid-mqtt/barid/internal/auth/password"
	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/logs"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/prom"
	"github.com/barid-mqtt/barid/internal/settings"
)

// adminPasswordFile is where a password that was made up is kept, in the data directory.
const adminPasswordFile = "admin-password"

// httpAPI is the HTTP API of a broker, and what the banner says of it.
type httpAPI struct {
	server      *api.Server
	certificate *apiCertificate // nil: no TLS
	url         string
	note        string // of the password, if there is something to say
	metricsURL  string // at a port of their own
}

// newAPI makes the API of a broker that is not started, without opening it: that comes last.
func newAPI(e *env, set *settings.Settings, b *broker.Broker, log *slog.Logger) (*httpAPI, error) {
	cfg := set.Config()
	a := &httpAPI{}
	admin := api.Admin{Username: cfg.API.Admin.Username, Password: cfg.API.Admin.Password}
	if cfg.API.Bind != "" && admin.Password == "" {
		var err error
		if admin.Password, a.note, err = adminPassword(e, cfg); err != nil {
			return nil, err
		}
	}
	node := cfg.Node.Name
	if node == "" {
		node, _ = os.Hostname()
	}
	host, _, _ := net.SplitHostPort(cfg.API.Bind)
	var err error
	if a.certificate, err = apiTLS(cfg); err != nil {
		return nil, err
	}
	shown := prom.Handler(prom.Options{Broker: b, Version: Version(), Log: log, Requests: func() []*metrics.Requests { return a.server.Requests() }})
	a.server, err = api.New(api.Options{
		TLS: a.certificate.config(), Room: b.HasDescriptorFor, Crowded: b.CountCrowdedAPI,
		Log: log.With(logs.Component, "api"), Settings: apiSettings{set}, Broker: b, Documents: b.Documents(), Passwords: hasher{}, Admin: admin,
		Origins: cfg.API.CORSOrigins, Hosts: cfg.API.Hosts, LoopbackOnly: isLoopback(host),
		Version: Version(), Node: node, Ready: b.Ready, MQTT: b.WebSocket(),
		Metrics: shown, OpenMetrics: cfg.Metrics.AllowAnonymous, PushAllow: cfg.Consumers.PushAllow,
	})
	if err != nil {
		return nil, err
	}
	b.HandleLocal(a.server.Trusted())
	if c := a.certificate; c != nil {
		b.WatchAPICertificate(c.cert, c.ends)
		c.watch(log, b.APITLSFiles)
	}
	a.server.StartPushing()
	return a, nil
}

// open begins to serve.
func (a *httpAPI) open(cfg *config.Config) error {
	if cfg.API.Bind != "" {
		ln, err := net.Listen("tcp", cfg.API.Bind)
		if err != nil {
			return fmt.Errorf("api.bind: %w (another address, or \"\" for none, goes there)", err)
		}
		a.url = httpURL(cfg, ln)
		a.server.Serve(ln)
	}
	if bind := cfg.Metrics.Bind; bind != "" && bind != cfg.API.Bind {
		ln, err := net.Listen("tcp", bind)
		if err != nil {
			return fmt.Errorf("metrics.bind: %w (another address, or \"\" for only the API's, goes there)", err)
		}
		a.metricsURL = httpURL(cfg, ln) + "/metrics"
		a.server.ServeMetrics(ln)
	}
	return nil
}

func httpURL(cfg *config.Config, ln net.Listener) string {
	if cfg.API.CertFile != "" {
		return "https://" + ln.Addr().String()
	}
	return "http://" + ln.Addr().String()
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// adminPassword reads the password that an earlier start made, or makes one. It is printed to a terminal only, since
// other output ends up in logs.
func adminPassword(e *env, cfg *config.Config) (secret, note string, err error) {
	terminal := false
	if f, ok := e.stdout.(*os.File); ok {
		terminal = term.IsTerminal(int(f.Fd()))
	}
	secret = rand.Text()
	if cfg.Durability == config.DurabilityMemory { // there is no directory to keep it in
		if terminal {
			return secret, "password for this run: " + secret, nil
		}
		return secret, "nobody can log in: set api.admin.password", nil
	}
	path := filepath.Join(cfg.DataDir, adminPasswordFile)
	text, err := os.ReadFile(path)
	switch {
	case err == nil && strings.TrimSpace(string(text)) != "":
		return strings.TrimSpace(string(text)), "password in " + path, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", "", fmt.Errorf("reading the administrator's password: %w", err)
	}
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		return "", "", fmt.Errorf("keeping the administrator's password: %w", err)
	}
	if terminal {
		return secret, fmt.Sprintf("password %s (also in %s)", secret, path), nil
	}
	return secret, "password in " + path, nil
}

// hashing bounds how many passwords of people are hashed at a time: guessing leaves most of the machine to the broker.
var hashing = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/4))

// hasher hashes the passwords of the API's users.
type hasher struct{}

func (hasher) Hash(ctx context.Context, text string) (hash string, err error) {
	err = hashSlowly(ctx, func() { hash = password.New([]byte(text)).String() })
	return hash, err
}

// strangers have a hash too, so that the time says nothing.
var strangers = password.New([]byte(rand.Text()))

func (hasher) Matches(ctx context.Context, hash, text string) (same bool, err error) {
	known := strangers
	if hash != "" {
		if known, err = password.Parse(hash); err != nil {
			return false, err
		}
	}
	err = hashSlowly(ctx, func() { same = known.Matches([]byte(text)) && hash != "" })
	return same, err
}

func hashSlowly(ctx context.Context, fn func()) error {
	select {
	case hashing <- struct{}{}:
		defer func() { <-hashing }()
		fn()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// served is a broker and its API, which ends first.
type served struct {
	*broker.Broker
	api      *httpAPI
	settings *settings.Settings
	log      *slog.Logger
}

// Reload reads the configuration and the files that it names again.
func (s served) Reload() error {
	changed, restart, err := s.settings.Reload()
	if len(changed) > 0 {
		s.log.Info("configuration changed", "keys", strings.Join(changed, " "))
	}
	if len(restart) > 0 {
		s.log.Warn("what changed in these keys takes a restart", "keys", strings.Join(restart, " "))
	}
	return errors.Join(err, s.Broker.Reload(), s.api.certificate.reload())
}

// Stop ends both. Requests that are under way have until a part of the time is over.
func (s served) Stop(ctx context.Context) error {
	apiCtx, cancel := context.WithTimeout(ctx, stopTimeout/3)
	defer cancel()
	s.api.certificate.stop()
	return errors.Join(s.api.server.Close(apiCtx), s.Broker.Stop(ctx))
}

// apiSettings are the settings in the API's terms.
type apiSettings struct{ *settings.Settings }

// List implements api.Settings.
func (s apiSettings) List() (all []api.Setting) {
	for _, one := range s.Settings.List() {
		all = append(all, api.Setting(one))
	}
	return all
}

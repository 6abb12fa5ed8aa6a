package conformance

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/auth"
	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/storage"
	"github.com/barid-mqtt/barid/internal/storage/memory"
	"github.com/barid-mqtt/barid/mqtt"
	"github.com/barid-mqtt/barid/pkg/memnet"
)

// inProcess is the broker of one scenario.
type inProcess struct {
	t       *testing.T
	cfg     *config.Config
	options []broker.Option
	b       *broker.Broker
}

// startBroker makes a broker with a scenario's settings.
func startBroker(t *testing.T, s Scenario, version string) *inProcess {
	sets := []string{"durability=memory", "data_dir=" + t.TempDir()}
	for _, setting := range s.Settings {
		sets = append(sets, replaceVariable(setting, "v", version))
	}
	cfg, _, err := config.Load(config.Sources{Sets: sets})
	if err != nil {
		t.Fatal(err)
	}
	p := &inProcess{t: t, cfg: cfg, options: []broker.Option{broker.WithMethod(toy{}), broker.WithVersion("0")}}
	if s.Users != nil {
		p.options = append(p.options, broker.WithAuthenticator(users(s.Users)))
	}
	if s.Denied != nil {
		p.options = append(p.options, broker.WithAuthorizer(denials(s.Denied)))
	}
	if slices.ContainsFunc(s.Steps, func(s Step) bool { return s.Verb == Restart }) {
		engine := memory.New(memory.Options{})
		t.Cleanup(func() { _ = engine.Close() })
		p.options = append(p.options, broker.WithEngine(lasting{engine}))
	}
	p.start()
	return p
}

func (p *inProcess) start() {
	b, err := broker.New(p.cfg, slog.New(slog.DiscardHandler), p.options...)
	if err != nil {
		p.t.Fatal(err)
	}
	p.b = b
}

// lasting is an engine that outlives the broker which closes it, as a data directory does.
type lasting struct{ storage.Engine }

// Close does nothing.
func (lasting) Close() error { return nil }

// Restart implements server.
func (p *inProcess) Restart() {
	p.Stop()
	p.start()
}

// Connect implements server.
func (p *inProcess) Connect() net.Conn {
	client, server := memnet.PipeWith(memnet.Options{ResetOnUnread: true})
	if err := p.b.Serve(server, "tcp"); err != nil {
		p.t.Fatal(err)
	}
	return client
}

// Stop implements server.
func (p *inProcess) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := p.b.Stop(ctx); err != nil {
		p.t.Error(err)
	}
	synctest.Wait()
}

// users are the names and passwords of those who may connect.
type users map[string]string

// Authenticate implements auth.Authenticator.
func (u users) Authenticate(_ context.Context, r *auth.Request) (auth.Identity, error) {
	switch password, known := u[r.Username]; {
	case !r.HasUsername:
		return auth.Identity{}, mqtt.NotAuthorized
	case !known || string(r.Password) != password:
		return auth.Identity{}, mqtt.BadUserNameOrPassword
	}
	return auth.Identity{ClientID: r.ClientID, Username: r.Username}, nil
}

// denials allow everything but what they list. A filter is a prefix and "#".
type denials []Denial

// Check implements auth.Authorizer.
func (d denials) Check(_ *auth.Identity, a auth.Access) auth.Decision {
	action := map[auth.Action]string{auth.Publish: "publish", auth.Subscribe: "subscribe"}[a.Action]
	for _, denied := range d {
		if denied.Action == action && strings.HasPrefix(a.Topic, strings.TrimSuffix(denied.Filter, "#")) {
			return auth.Deny
		}
	}
	return auth.Allow
}

// Ask implements auth.Authorizer.
func (denials) Ask(context.Context, *auth.Identity, auth.Access) {}

// toy is a method of enhanced authentication: "hello" is answered with "who?", and "me" is the right answer to that.
type toy struct{}

// Name implements auth.Method.
func (toy) Name() string { return "TOY" }

// Start implements auth.Method.
func (toy) Start(r *auth.Request) auth.Exchange {
	return toyExchange{auth.Identity{ClientID: r.ClientID, Username: r.Username}}
}

type toyExchange struct{ id auth.Identity }

// Next implements auth.Exchange.
func (e toyExchange) Next(_ context.Context, data []byte) (out []byte, id auth.Identity, done bool, err error) {
	switch string(data) {
	case "hello":
		return []byte("who?"), id, false, nil
	case "me":
		return nil, e.id, true, nil
	}
	return nil, id, false, mqtt.NotAuthorized
}

package cli

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/config"
)

// printBanner says what has started, and how to open it to the network if only this machine can connect.
func printBanner(w io.Writer, cfg *config.Config, open []broker.ListenerInfo, a *httpAPI, args []string) {
	fmt.Fprintf(w, "Barid %s\n", Version())
	for _, ln := range open {
		fmt.Fprintf(w, "  %-11s %s\n", ln.Name, urlOf(ln, cfg.Listeners[ln.Name].Path))
	}
	if a.url != "" {
		fmt.Fprintf(w, "  %-11s %s", "API", a.url)
		if a.note != "" {
			fmt.Fprintf(w, "  (user %s, %s)", cfg.API.Admin.Username, a.note)
		}
		fmt.Fprintln(w)
	}
	if a.metricsURL != "" {
		fmt.Fprintf(w, "  %-11s %s\n", "metrics", a.metricsURL)
	}
	if cfg.Durability != config.DurabilityMemory {
		fmt.Fprintf(w, "  %-11s %s\n", "data", cfg.DataDir)
	}
	fmt.Fprintf(w, "  %-11s %s: %s\n", "durability", cfg.Durability, promises[cfg.Durability])
	if set := openingSet(cfg, open); set != "" {
		fmt.Fprintf(w, "Only this machine can connect. To let everyone on the network in:\n  %s\n", openingCommand(args, set))
	}
}

// promises say in a few words what each durability keeps.
var promises = map[config.Durability]string{
	config.DurabilityFsync:  "what is acknowledged is on disk",
	config.DurabilityOS:     "what is acknowledged survives kill -9, not a power cut",
	config.DurabilityMemory: "nothing survives a restart",
}

// urlOf returns the URL that clients connect to.
func urlOf(ln broker.ListenerInfo, path string) string {
	switch config.ListenerType(ln.Type) {
	case config.TLS:
		return "mqtts://" + ln.Addr
	case config.WS, config.WSS:
		return ln.Type + "://" + ln.Addr + strings.TrimPrefix(path, config.AnyPath)
	case config.Unix:
		return "unix://" + ln.Addr
	}
	return "mqtt://" + ln.Addr
}

// openingSet returns the --set arguments that open the broker to the network, or nothing if it is open already.
func openingSet(cfg *config.Config, open []broker.ListenerInfo) string {
	set := ""
	for _, ln := range open {
		own := cfg.Listeners[ln.Name]
		if !own.Local() {
			return ""
		}
		if _, port, err := net.SplitHostPort(ln.Addr); err == nil && set == "" && own.Type == config.TCP {
			set = fmt.Sprintf("--set listeners.%s.bind=0.0.0.0:%s --set auth.allow_anonymous=true", ln.Name, port)
		}
	}
	return set
}

// openingCommand is the command that started this broker, with more arguments.
func openingCommand(args []string, more string) string {
	words := []string{programName()}
	for _, arg := range args {
		arg = withoutSecret(arg)
		if strings.ContainsAny(arg, " \t\n\"'\\$`*?&|;<>()#~") || arg == "" {
			arg = strconv.Quote(arg)
		}
		words = append(words, arg)
	}
	return strings.Join(append(words, more), " ")
}

// withoutSecret returns an argument of --set with its value hidden, if it is a secret's.
func withoutSecret(arg string) string {
	set := strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-")
	key, _, ok := strings.Cut(strings.TrimPrefix(set, "set="), "=")
	if !ok || !config.IsSecret(key) {
		return arg
	}
	before, _, _ := strings.Cut(arg, key+"=")
	return before + key + "=********"
}

// programName is how the user called this program. What `go run` builds lies in a directory that goes with it.
func programName() string {
	if exe, err := os.Executable(); err == nil && strings.Contains(exe, "go-build") {
		return "go run ."
	}
	return "barid"
}

package peers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Barid builds the broker from the source in root, into dir.
func Barid(ctx context.Context, root, dir string) (*Peer, error) {
	program := filepath.Join(dir, "barid")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, ".")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building Barid: %w\n%s", err, out)
	}
	version := strings.TrimPrefix(firstLine(ctx, program, "version"), "barid ")
	if commit := firstLine(ctx, "git", "-C", root, "describe", "--always", "--dirty"); commit != "" {
		version += " (" + commit + ")"
	}
	cert, key, err := certificate(dir)
	if err != nil {
		return nil, err
	}
	return &Peer{Name: "barid", Version: version, Lacks: canAll, prepare: func(dir string, need Need) ([]string, map[string]string, error) {
		addrs, err := freeAddrs("mqtt", "mqtts", "ws")
		if err != nil {
			return nil, nil, err
		}
		command := []string{program, "serve"}
		for _, set := range []string{
			"data_dir=" + filepath.Join(dir, "data"),
			"durability=" + need.durability(),
			"listeners.tcp.bind=" + addrs["mqtt"],
			"listeners.ws.bind=" + addrs["ws"],
			"listeners.tls.type=tls", "listeners.tls.bind=" + addrs["mqtts"],
			"listeners.tls.cert_file=" + cert, "listeners.tls.key_file=" + key,
			"api.bind=",
			"logging.level=warn",
		} {
			command = append(command, "--set", set)
		}
		return command, addrs, nil
	}}, nil
}

func canAll(string, Need) string { return "" }

func (n Need) durability() string {
	if n.Durability == "" {
		return "memory"
	}
	return n.Durability
}

// Mosquitto finds Mosquitto; nil if it is not installed. It keeps what it keeps in memory: with persistence it writes
// its state every half hour, which no run lives to see.
func Mosquitto(ctx context.Context, certDir string) (*Peer, error) {
	program := find("mosquitto", "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto")
	if program == "" {
		return nil, nil
	}
	cert, key, err := certificate(certDir)
	if err != nil {
		return nil, err
	}
	version := strings.TrimPrefix(firstLine(ctx, program, "-h"), "mosquitto version ")
	return &Peer{Name: "mosquitto", Version: version, Lacks: canAll, prepare: func(dir string, _ Need) ([]string, map[string]string, error) {
		addrs, err := freeAddrs("mqtt", "mqtts", "ws")
		if err != nil {
			return nil, nil, err
		}
		file := filepath.Join(dir, "mosquitto.conf")
		text := fmt.Sprintf(`per_listener_settings false
allow_anonymous true
max_inflight_messages 1024
max_queued_messages 0
persistence false
log_type error
user root
listener %d 127.0.0.1
listener %d 127.0.0.1
certfile %s
keyfile %s
listener %d 127.0.0.1
protocol websockets
`, portOf(addrs["mqtt"]), portOf(addrs["mqtts"]), cert, key, portOf(addrs["ws"]))
		return []string{program, "-c", file}, addrs, os.WriteFile(file, []byte(text), 0o600)
	}}, nil
}

// NATS finds nats-server; nil if it is not installed.
func NATS(ctx context.Context) *Peer {
	program := find("nats-server", filepath.Join(CacheDir(), "nats-server"))
	if program == "" {
		return nil
	}
	version := strings.TrimPrefix(firstLine(ctx, program, "--version"), "nats-server: ")
	lacks := func(transport string, _ Need) string {
		if transport == "mqtts" {
			return "TLS listener in this comparison"
		}
		return ""
	}
	return &Peer{Name: "nats", Version: version, Lacks: lacks, prepare: func(dir string, need Need) ([]string, map[string]string, error) {
		addrs, err := freeAddrs("mqtt", "ws", "nats")
		if err != nil {
			return nil, nil, err
		}
		file := filepath.Join(dir, "nats.conf")
		sync := ""
		if need.Durability == "fsync" {
			sync = ", sync_interval: always"
		}
		text := fmt.Sprintf(`server_name: load
host: 127.0.0.1
port: %d
jetstream: {store_dir: %q%s}
mqtt: {host: 127.0.0.1, port: %d, max_ack_pending: 1024}
websocket: {host: 127.0.0.1, port: %d, no_tls: true}
max_pending: 1GB
`, portOf(addrs["nats"]), filepath.Join(dir, "store"), sync, portOf(addrs["mqtt"]), portOf(addrs["ws"]))
		delete(addrs, "nats")
		return []string{program, "-c", file}, addrs, os.WriteFile(file, []byte(text), 0o600)
	}}
}

// CacheDir is where InstallNATS puts programs.
func CacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "barid-load-test", "bin")
}

// InstallNATS installs nats-server into CacheDir, if it is not there.
func InstallNATS(ctx context.Context) error {
	if find("nats-server", filepath.Join(CacheDir(), "nats-server")) != "" {
		return nil
	}
	install := exec.CommandContext(ctx, "go", "install", "github.com/nats-io/nats-server/v2@latest")
	install.Env = append(os.Environ(), "GOBIN="+CacheDir(), "GOFLAGS=")
	install.Dir = os.TempDir() // outside of this module, which must not come to depend on it
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("installing nats-server: %w\n%s", err, out)
	}
	return nil
}

// find returns the first program that is there: by name in the search path, or by path.
func find(name string, paths ...string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// firstLine returns what a program prints first; "" if it prints nothing. Some exit with an error when asked for help.
func firstLine(ctx context.Context, program string, args ...string) string {
	out, _ := exec.CommandContext(ctx, program, args...).Output()
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

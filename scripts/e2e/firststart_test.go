//go:build e2e

package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nobody is a user who owns nothing.
const nobody = 65534

// What goes wrong at a first start is said in one line at the end, which names what it is about and what to do.
func TestStartSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	written := func(name, text string) string {
		check(t, "writing", os.WriteFile(in(name), []byte(text), 0o600))
		return in(name)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, "listening", err)
	defer l.Close()
	taken := l.Addr().String()
	own := []string{"--set", "listeners.tcp.bind=127.0.0.1:0", "--set", "listeners.ws=", "--set", "api.bind=127.0.0.1:0", "--set", "data_dir=" + in("data")}
	with := func(more ...string) []string {
		args := append([]string(nil), own...)
		for _, m := range more {
			args = append(args, "--set", m)
		}
		return args
	}
	check(t, "making a directory", os.Mkdir(in("private"), 0o700))
	check(t, "opening the program to others", os.Chmod(filepath.Dir(program), 0o755))
	certs := in("certs")
	run(t, "barid", "certs", certs)

	for _, tt := range []struct {
		name   string
		args   []string
		want   []string
		nobody bool // who starts it is no owner of anything
	}{
		{"the port is taken", with("listeners.tcp.bind=" + taken), []string{"listener tcp", taken, "address already in use", "listeners.tcp.bind"}, false},
		{"the API's port is taken", with("api.bind=" + taken), []string{"api.bind", taken, "address already in use"}, false},
		{"a port below 1024", with("listeners.tcp.bind=127.0.0.1:81", "durability=memory", "api.bind="), []string{"listener tcp", "permission denied", "CAP_NET_BIND_SERVICE"}, true},
		{"a data directory in use", with("data_dir=" + shared.dataDir), []string{"data_dir", shared.dataDir, "another process"}, false},
		{"a data directory that may not be made", with("data_dir=" + in("private") + "/data"), []string{"data_dir", in("private"), "permission denied"}, true},
		{"a data directory of somebody else", with("data_dir=" + in("private")), []string{"data_dir", in("private"), "permission denied", "owner"}, true},
		{"a data directory that is a file", with("data_dir=" + written("file", "")), []string{"data_dir", in("file"), "not a directory"}, false},
		{"no YAML", []string{"--config", written("a.yaml", "mqtt:\n  max_qos: {1\n")}, []string{in("a.yaml") + ":", "not YAML"}, false},
		{"an unknown key", []string{"--config", written("b.yaml", "mqtt:\n  max_qoss: 1\n")}, []string{in("b.yaml") + ":2: mqtt.max_qoss: unknown key", "did you mean mqtt.max_qos"}, false},
		{"a wrong value", []string{"--config", written("c.yaml", "mqtt:\n  max_qos: 7\n")}, []string{in("c.yaml") + `:2: mqtt.max_qos: "7" is not a whole number from 0 to 2`}, false},
		{"no configuration", []string{"--config", in("none.yaml")}, []string{in("none.yaml"), "no such file"}, false},
		{"no certificate", with("listeners.tls.bind=127.0.0.1:0", "listeners.tls.cert_file="+in("none.crt"), "listeners.tls.key_file="+in("none.key")), []string{"listener tls", "cert_file", in("none.crt"), "no such file"}, false},
		{"another certificate's key", with("listeners.tls.bind=127.0.0.1:0", "listeners.tls.cert_file="+certs+"/server.crt", "listeners.tls.key_file="+certs+"/ca.key"), []string{"listener tls", "cert_file", "server.crt", "private key"}, false},
		{"no users", with("auth.password_file=" + in("none")), []string{"passwords", in("none"), "no such file"}, false},
		{"users that are none", with("auth.password_file=" + written("users", "alice\n")), []string{in("users") + ":1:", "no : between"}, false},
		{"open to the network", with("listeners.tcp.bind=0.0.0.0:0"), []string{"0.0.0.0:0", "allow_anonymous: true"}, false},
		{"an address without a port", with("listeners.tcp.bind=1883"), []string{"listeners.tcp.bind", "host:port"}, false},
		{"an unknown flag", []string{"--cofnig", "x"}, []string{"-cofnig", "barid help serve"}, false},
		{"an unknown command", []string{"srve"}, []string{"srve"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.nobody && os.Geteuid() != 0 {
				tt.nobody = false // this user has no privilege either
			}
			cmd := exec.Command(program, tt.args...)
			if tt.nobody {
				for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
					check(t, "opening a directory to others", os.Chmod(d, 0o755))
				}
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			}
			p, err := startProcess(cmd)
			check(t, "starting", err)
			defer func() { p.cmd.Process.Kill(); <-p.done }()
			if err := p.wait(patience); err == nil {
				t.Error("it ended well")
			}
			out := strings.TrimSpace(p.output())
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("it does not say %q:\n%s", want, out)
				}
			}
			if strings.Contains(out, "goroutine ") {
				t.Errorf("it panics:\n%s", out)
			}
		})
	}
}

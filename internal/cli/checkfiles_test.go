package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// check-config reads the files that the configuration names, and says of each wrong line what a start says.
func TestCheckConfigReadsTheFilesThatAStartReads(t *testing.T) {
	dir := t.TempDir()
	certs := filepath.Join(dir, "certs")
	if status, _, stderr := barid(t, "", "certs", certs); status != 0 {
		t.Fatal(stderr)
	}
	tls := func(more ...string) []string {
		return append([]string{"listeners.tls.bind=127.0.0.1:0", "listeners.tls.cert_file=" + certs + "/server.crt",
			"listeners.tls.key_file=" + certs + "/server.key", "listeners.tls.client_ca_file=" + certs + "/ca.crt"}, more...)
	}
	for _, tt := range []struct {
		name, text string   // of a file
		sets       []string // FILE stands for its name
		want       []string // lines; FILE likewise
	}{
		{"passwords", "# users\nalice\nbob:plain\n", []string{"auth.password_file=FILE"}, []string{
			"auth: passwords: FILE:2: no : between user and hash", "auth: passwords: FILE:3: "}},
		{"rules", "topic read a\n\ntopics a\nuser\n", []string{"auth.acl_file=FILE", "auth.allow_anonymous=true"}, []string{
			`auth: acl_file: FILE:3: "topics" is not one of topic, user, pattern`, "auth: acl_file: FILE:4: user without a name"}},
		{"SCRAM keys", "\nalice:SCRAM-SHA-256$x\n", []string{"auth.scram_file=FILE"}, []string{"auth: scram_file: FILE:2: "}},
		{"a key set", "{\"keys\":[\n  {\"kty\":1}\n]}\n", []string{"auth.jwt.jwks_file=FILE"}, []string{"auth: jwt: FILE:2: "}},
		{"public keys", "no PEM", []string{"auth.jwt.public_key_file=FILE"}, []string{"auth: jwt: FILE: "}},
		{"a certificate", "no PEM", tls("listeners.tls.cert_file=FILE"), []string{"listener tls: loading cert_file FILE "}},
		{"authorities", "no PEM", tls("listeners.tls.client_ca_file=FILE"), []string{"listener tls: loading client_ca_file: FILE "}},
		{"a revocation list", "no PEM", tls("listeners.tls.crl_file=FILE"), []string{"listener tls: loading crl_file FILE: "}},
		{"the API's certificate", "no PEM", []string{"api.cert_file=FILE", "api.key_file=FILE"}, []string{"api.cert_file: "}},
		{"a server's authorities", "no PEM", []string{"auth.http.url=https://localhost/", "auth.http.ca_file=FILE"}, []string{"auth: http: FILE holds no certificate in PEM"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{"--set", "data_dir=" + filepath.Join(t.TempDir(), "data"), "--set", "api.bind=127.0.0.1:0"}
			for _, set := range append([]string{"listeners.tcp.bind=127.0.0.1:0", "listeners.ws="}, tt.sets...) {
				args = append(args, "--set", strings.ReplaceAll(set, "FILE", file))
			}
			status, stdout, stderr := barid(t, "", append([]string{"check-config"}, args...)...)
			if status != 1 || stdout != "" {
				t.Errorf("status %d, printed %q", status, stdout)
			}
			_, _, start := barid(t, "", append([]string{"serve"}, args...)...)
			for _, want := range tt.want {
				want = strings.ReplaceAll(want, "FILE", file)
				if !strings.Contains(stderr, want) {
					t.Errorf("it says %q, without %q", stderr, want)
				}
				if !strings.Contains(start, want) {
					t.Errorf("a start says %q, without %q", start, want)
				}
			}
			if strings.Count(stderr, "\n") != len(tt.want) {
				t.Errorf("it says %q", stderr)
			}
		})
	}
}

// A configuration with good files of every kind is good, though no server that it names is there.
func TestCheckConfigAsksNobody(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, args := range [][]string{{"certs", in("certs")}, {"passwd", "-b", in("users"), "alice", "secret"}} {
		if status, _, stderr := barid(t, "", args...); status != 0 {
			t.Fatal(stderr)
		}
	}
	if err := os.WriteFile(in("acl"), []byte("user alice\ntopic a/#\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var args []string
	for _, set := range []string{
		"auth.password_file=" + in("users"), "auth.acl_file=" + in("acl"), "auth.jwt.jwks_url=http://127.0.0.1:1/keys",
		"auth.http.url=http://127.0.0.1:1/", "auth.http_acl.url=http://127.0.0.1:1/", "auth.built_in.users=true", "auth.built_in.rules=true",
		"listeners.tls.bind=127.0.0.1:0", "listeners.tls.cert_file=" + in("certs/server.crt"), "listeners.tls.key_file=" + in("certs/server.key"),
	} {
		args = append(args, "--set", set)
	}
	status, stdout, stderr := barid(t, "", append([]string{"check-config"}, args...)...)
	if status != 0 || stderr != "" || !strings.Contains(stdout, "acl_file: ") {
		t.Errorf("status %d, printed %q and %q", status, stdout, stderr)
	}
}

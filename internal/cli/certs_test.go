package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/internal/config"
)

// What certs prints can be put into a configuration as it is.
func TestCertsPrintsAConfigurationThatWorks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "with space")
	status, out, stderr := barid(t, "", "certs", dir, "--host", "broker.example,10.0.0.1", "--client", "sensor")
	if status != 0 || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	for _, want := range []string{"broker.example, 10.0.0.1", "mosquitto_pub ", "/sensor.crt"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	_, text, _ := strings.Cut(out, "In config.yaml:\n")
	text, _, _ = strings.Cut(text, "\n\n")
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := config.Load(config.Sources{File: file})
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if ln := cfg.Listeners["tls"]; ln.CertFile != filepath.Join(dir, "server.crt") || !ln.RequireClientCert {
		t.Errorf("%+v", ln)
	}
	if status, _, stderr := barid(t, "", "certs", dir, "--client", "sensor"); status != 1 || !strings.Contains(stderr, "is there already") {
		t.Errorf("a second time: status %d: %s", status, stderr)
	}
}

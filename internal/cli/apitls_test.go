package cli

import (
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/devcerts"
)

// shownSerial is the number of the certificate that a new connection is shown.
func shownSerial(t *testing.T, c *tls.Config) string {
	t.Helper()
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	done := make(chan error, 1)
	go func() { done <- tls.Server(there, c).Handshake() }()
	client := tls.Client(here, &tls.Config{InsecureSkipVerify: true})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return client.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// copyFiles puts the files of a set where the API looks for its own.
func copyFiles(t *testing.T, from *devcerts.Set, cfg *config.Config) {
	t.Helper()
	for source, to := range map[string]string{from.ServerCert: cfg.API.CertFile, from.ServerKey: cfg.API.KeyFile} {
		text, err := os.ReadFile(source)
		if err == nil {
			err = os.WriteFile(to, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The certificate of the API is replaced while it runs, and files that cannot be used change nothing.
func TestTheCertificateOfTheAPIIsReplacedWhileItRuns(t *testing.T) {
	dir := t.TempDir()
	sets := make([]*devcerts.Set, 2)
	for i := range sets {
		var err error
		if sets[i], err = devcerts.Make(filepath.Join(dir, string(rune('a'+i))), "c", []string{"localhost"}); err != nil {
			t.Fatal(err)
		}
	}
	cfg := config.Default()
	cfg.API.CertFile, cfg.API.KeyFile = filepath.Join(dir, "api.crt"), filepath.Join(dir, "api.key")
	copyFiles(t, sets[0], cfg)
	synctest.Test(t, func(t *testing.T) {
		c, err := apiTLS(cfg)
		if err != nil {
			t.Fatal(err)
		}
		heard := make(chan error, 10) // both files may be seen to change
		c.watch(slog.New(slog.DiscardHandler), func(err error) { heard <- err })
		defer c.stop()
		wait := func() (last error) {
			t.Helper()
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if len(heard) == 0 {
				t.Fatal("the change was not seen")
			}
			for len(heard) > 0 {
				last = <-heard
			}
			return last
		}
		first, ends := shownSerial(t, c.config()), c.ends()
		copyFiles(t, sets[1], cfg)
		if err := wait(); err != nil {
			t.Errorf("another certificate: %v", err)
		}
		second := shownSerial(t, c.config())
		if second == first || c.ends().Before(ends) {
			t.Errorf("it still shows %s, which ends at %v", second, c.ends())
		}
		if err := os.WriteFile(cfg.API.CertFile, []byte("no certificate"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := wait(); err == nil {
			t.Error("a file that cannot be used is no error")
		}
		if still := shownSerial(t, c.config()); still != second {
			t.Errorf("then it shows %s, not %s", still, second)
		}
		copyFiles(t, sets[0], cfg)
		if err := wait(); err != nil || shownSerial(t, c.config()) != first {
			t.Errorf("mended: %v", err)
		}
	})
}

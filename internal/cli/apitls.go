package cli

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/pkg/filewatch"
)

// apiCertificate is what the API shows. It is read again when its files change and at a reload; open connections go on.
type apiCertificate struct {
	cert, key string
	current   atomic.Pointer[tls.Certificate]
	watcher   *filewatch.Watcher // nil: not watched
}

// apiTLS is nil where the API is without TLS.
func apiTLS(cfg *config.Config) (*apiCertificate, error) {
	if cfg.API.CertFile == "" {
		return nil, nil
	}
	c := &apiCertificate{cert: cfg.API.CertFile, key: cfg.API.KeyFile}
	return c, c.reload()
}

// ends returns when the certificate that is shown ends.
func (c *apiCertificate) ends() time.Time { return c.current.Load().Leaf.NotAfter }

// reload reads the files. What cannot be used changes nothing.
func (c *apiCertificate) reload() error {
	if c == nil {
		return nil
	}
	cert, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("api.cert_file: %w", err)
	}
	c.current.Store(&cert)
	return nil
}

// watch reads the files again when they change, until stop. read hears what came of it; nil: they are in effect.
func (c *apiCertificate) watch(log *slog.Logger, read func(error)) {
	if c == nil {
		return
	}
	c.watcher = filewatch.New(time.Second)
	changed := func() {
		err := c.reload()
		read(err)
		if err != nil {
			log.Error("the API's certificate was not read again; what was read before stays in effect", "error", err)
			return
		}
		log.Info("the API's certificate was read again", "file", c.cert)
	}
	c.watcher.Add(c.cert, changed)
	c.watcher.Add(c.key, changed)
}

func (c *apiCertificate) stop() {
	if c != nil && c.watcher != nil {
		c.watcher.Stop()
	}
}

// config is nil without TLS.
func (c *apiCertificate) config() *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}

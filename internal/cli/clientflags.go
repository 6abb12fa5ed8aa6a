package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
)

// clientOptions are the flags that pub and sub share. Their letters are those of mosquitto_pub and mosquitto_sub.
type clientOptions struct {
	host, rawURL, unixPath string
	port                   int
	clientID               string
	username, password     string
	protocol               string
	qos                    int
	keepAlive              int
	keepSession            bool
	expirySeconds          int64 // -1: not said
	debug                  bool
	caFile                 string
	certFile, keyFile      string
	insecure               bool
	willTopic, willPayload string
	willQoS                int
	willRetain             bool
	server                 *url.URL // made of the above by complete
	tls                    *tls.Config
}

func (o *clientOptions) flags(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.StringVar(&o.host, "h", "localhost", "`HOST` to connect to")
	fs.IntVar(&o.port, "p", 0, "`PORT` to connect to (default 1883, with TLS 8883)")
	fs.StringVar(&o.rawURL, "L", "", "`URL` to connect to instead: mqtt://, mqtts://, ws:// or wss://[user:password@]host[:port][/path]; the path of mqtt and mqtts is a topic")
	fs.StringVar(&o.unixPath, "unix", "", "`PATH` of a unix socket to connect to instead")
	fs.StringVar(&o.clientID, "i", "", "client `ID` (default: the broker chooses)")
	fs.StringVar(&o.username, "u", "", "user `NAME`")
	fs.StringVar(&o.password, "P", "", "`PASSWORD`")
	fs.StringVar(&o.protocol, "V", "mqttv5", "protocol `VERSION`; only 5 is spoken")
	fs.IntVar(&o.qos, "q", 0, "`QOS`: 0, 1 or 2")
	fs.IntVar(&o.keepAlive, "k", 60, "keep alive in `SECONDS`")
	fs.BoolVar(&o.keepSession, "c", false, "keep the session when the connection ends; needs -i")
	fs.Int64Var(&o.expirySeconds, "x", -1, "`SECONDS` until the session expires (default 0, with -c never)")
	fs.BoolVar(&o.debug, "d", false, "say on standard error what happens")
	fs.StringVar(&o.caFile, "cafile", "", "use TLS and trust the certificates in `FILE`")
	fs.StringVar(&o.certFile, "cert", "", "own certificate, `FILE`; needs --key")
	fs.StringVar(&o.keyFile, "key", "", "key of the own certificate, `FILE`")
	fs.BoolVar(&o.insecure, "insecure", false, "do not check the name in the broker's certificate")
	fs.StringVar(&o.willTopic, "will-topic", "", "`TOPIC` of the will")
	fs.StringVar(&o.willPayload, "will-payload", "", "`TEXT` of the will")
	fs.IntVar(&o.willQoS, "will-qos", 0, "`QOS` of the will")
	fs.BoolVar(&o.willRetain, "will-retain", false, "retain the will")
	return fs
}

// complete checks the flags against each other and works out where to connect. The topic is that of the URL, if any.
func (o *clientOptions) complete() (topic string, err error) {
	switch {
	case o.qos < 0 || o.qos > 2 || o.willQoS < 0 || o.willQoS > 2:
		return "", errors.New("a QoS is 0, 1 or 2")
	case o.protocol != "mqttv5" && o.protocol != "5":
		return "", fmt.Errorf("-V %s: only mqttv5 is spoken", o.protocol)
	case o.keepAlive < 0 || o.keepAlive > 65535:
		return "", errors.New("-k is from 0 to 65535")
	case o.expirySeconds < -1 || o.expirySeconds > 0xFFFF_FFFF:
		return "", errors.New("-x is from 0 to 4294967295")
	case o.keepSession && o.clientID == "":
		return "", errors.New("-c needs a client id: -i")
	case (o.certFile == "") != (o.keyFile == ""):
		return "", errors.New("--cert and --key belong together")
	case o.willTopic == "" && (o.willPayload != "" || o.willQoS != 0 || o.willRetain):
		return "", errors.New("a will needs --will-topic")
	}
	if o.expirySeconds < 0 {
		o.expirySeconds = 0
		if o.keepSession {
			o.expirySeconds = 0xFFFF_FFFF // never
		}
	}
	if topic, err = o.address(); err != nil {
		return "", err
	}
	return topic, o.loadTLS()
}

// address sets server.
func (o *clientOptions) address() (topic string, err error) {
	switch {
	case o.unixPath != "":
		o.server = &url.URL{Scheme: "unix", Path: o.unixPath}
	case o.rawURL != "":
		return o.parseURL()
	default:
		o.server = &url.URL{Scheme: "mqtt", Host: o.host}
		if o.caFile != "" || o.certFile != "" || o.insecure {
			o.server.Scheme = "mqtts"
		}
		if err := o.setPort(o.port); err != nil {
			return "", err
		}
	}
	return "", nil
}

var defaultPorts = map[string]int{"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}

func (o *clientOptions) parseURL() (topic string, err error) {
	u, err := url.Parse(o.rawURL)
	if err != nil {
		return "", fmt.Errorf("-L: %w", errors.Unwrap(err))
	}
	if _, ok := defaultPorts[u.Scheme]; !ok || u.Hostname() == "" {
		return "", fmt.Errorf("-L %s: give mqtt://, mqtts://, ws:// or wss:// and a host", o.rawURL)
	}
	if u.User != nil {
		o.username = u.User.Username()
		if password, ok := u.User.Password(); ok {
			o.password = password
		}
		u.User = nil // not to be shown in messages
	}
	o.host, o.server = u.Hostname(), u
	if u.Scheme == "mqtt" || u.Scheme == "mqtts" {
		if len(u.Path) > 1 {
			topic = u.Path[1:]
		}
		u.Path, u.RawPath = "", ""
	} else if u.Path == "" {
		u.Path = "/mqtt"
	}
	if u.Port() != "" {
		return topic, nil
	}
	return topic, o.setPort(o.port)
}

func (o *clientOptions) setPort(port int) error {
	if port == 0 {
		port = defaultPorts[o.server.Scheme]
	}
	if port < 1 || port > 65535 {
		return errors.New("-p is from 1 to 65535")
	}
	o.server.Host = net.JoinHostPort(o.host, strconv.Itoa(port))
	return nil
}

// loadTLS reads the files that TLS needs.
func (o *clientOptions) loadTLS() error {
	if o.server.Scheme != "mqtts" && o.server.Scheme != "wss" {
		return nil
	}
	o.tls = &tls.Config{ServerName: o.server.Hostname()}
	if o.caFile != "" {
		text, err := os.ReadFile(o.caFile)
		if err != nil {
			return fmt.Errorf("--cafile: %w", err)
		}
		o.tls.RootCAs = x509.NewCertPool()
		if !o.tls.RootCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("--cafile %s: no PEM certificate in it", o.caFile)
		}
	}
	if o.certFile != "" {
		cert, err := tls.LoadX509KeyPair(o.certFile, o.keyFile)
		if err != nil {
			return fmt.Errorf("--cert and --key: %w", err)
		}
		o.tls.Certificates = []tls.Certificate{cert}
	}
	if o.insecure {
		o.skipNameCheck()
	}
	return nil
}

// skipNameCheck accepts a certificate for any name, but still only one that a trusted authority signed.
func (o *clientOptions) skipNameCheck() {
	roots := o.tls.RootCAs
	o.tls.InsecureSkipVerify = true // replaced by the check below
	o.tls.VerifyConnection = func(state tls.ConnectionState) error {
		chain := x509.NewCertPool()
		for _, cert := range state.PeerCertificates[1:] {
			chain.AddCert(cert)
		}
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: chain})
		return err
	}
}

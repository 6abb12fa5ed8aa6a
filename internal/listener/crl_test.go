package listener

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"
)

// revoke writes crl.pem with the certificates' serial numbers.
func (a *authority) revoke(name string, certs ...tls.Certificate) []byte {
	a.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: long, NextUpdate: long.AddDate(100, 0, 0)}
	for _, c := range certs {
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			a.t.Fatal(err)
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: leaf.SerialNumber, RevocationTime: long})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name, "X509 CRL", der)
	return der
}

// mutual is a listener that wants certificates, with the authority's list.
func (a *authority) mutual() Options {
	o := a.options(TypeTLS)
	o.ClientCAFile, o.RequireClientCert, o.CRLFile = a.path("ca.pem"), true, a.path("crl.pem")
	return o
}

// connects reports whether a client gets through its handshake. resumed is whether it resumed a session.
func connects(t *testing.T, l *Listener, got <-chan *Accepted, problems <-chan Problem, config *tls.Config) (ok, resumed bool) {
	t.Helper()
	c := tls.Client(dial(t, l), config)
	defer c.Close()
	c.Handshake()
	select {
	case a := <-got:
		a.Write([]byte("x"))
		c.Read(make([]byte, 1)) // session tickets come before
		a.Close()
		return true, c.ConnectionState().DidResume
	case <-problems:
		return false, false
	}
}

func TestRevokedCertificatesAreRefused(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		ca := newAuthority(t)
		good, bad := ca.issue("good", "good"), ca.issue("bad", "bad")
		ca.revoke("crl.pem", bad)
		problems := make(chan Problem, 4)
		o := ca.mutual()
		o.OnProblem = func(p Problem) { problems <- p }
		l, got := start(t, o)
		client := func(cert tls.Certificate) *tls.Config {
			c := ca.client(cert)
			c.MaxVersion, c.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
			return c
		}
		goodClient := client(good)
		if ok, _ := connects(t, l, got, problems, goodClient); !ok {
			t.Error("a good certificate is refused")
		}
		if ok, resumed := connects(t, l, got, problems, goodClient); !ok || !resumed {
			t.Errorf("the session is not resumed: %v, %v", ok, resumed)
		}
		if ok, _ := connects(t, l, got, problems, client(bad)); ok {
			t.Error("a revoked certificate is taken")
		}

		// Revoked later, also the session that could be resumed is not.
		ca.revoke("crl.pem", bad, good)
		if err := l.Reload(); err != nil {
			t.Fatal(err)
		}
		if ok, _ := connects(t, l, got, problems, goodClient); ok {
			t.Error("a certificate that was revoked is taken on with its session")
		}
		if n := l.RevocationsExpire(); !n.Equal(long.AddDate(100, 0, 0)) {
			t.Errorf("the list is to be replaced by %v", n)
		}
	}
}

// A list that is not good is refused at the start, and at Reload leaves the old one in force.
func TestBadRevocationLists(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	o := ca.mutual()
	ca.revoke("crl.pem")
	l, _ := start(t, o)
	for name, text := range map[string][]byte{
		"signed by no authority":   pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: stranger.revoke("other.pem")}),
		"holds no X509 CRL":        []byte("-----BEGIN nothing"),
		"not a revocation list":    []byte("rubbish"),
		"only X509 CRL":            pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}),
		"not a revocation list: x": pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte{1, 2, 3}}),
	} {
		if err := os.WriteFile(o.CRLFile, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := l.Reload(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %q, got %v", name, err)
		}
	}
	if l.RevocationsExpire().IsZero() {
		t.Error("the old list is gone")
	}
	if err := os.WriteFile(o.CRLFile, ca.revoke("der.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Reload(); err != nil {
		t.Errorf("a list in DER: %v", err)
	}
	o.ClientCAFile, o.RequireClientCert = "", false
	if _, err := Listen(o); err == nil || !strings.Contains(err.Error(), "crl_file needs") {
		t.Errorf("without client_ca_file: %v", err)
	}
}

func TestClientsGetTheCertificateOfTheNameTheyAskFor(t *testing.T) {
	ca := newAuthority(t)
	o := ca.options(TypeTLS)
	a, b := ca.issueFor("a", "a.example"), ca.issueFor("b", "*.b.example")
	o.MoreCerts = []CertFiles{a, b}
	l, _ := start(t, o)
	for name, want := range map[string]string{"localhost": "server", "a.example": "a", "x.b.example": "b", "b.example": "server", "": "server"} {
		config := ca.client()
		config.ServerName, config.InsecureSkipVerify = name, true
		c := tls.Client(dial(t, l), config)
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		if got := c.ConnectionState().PeerCertificates[0].Subject.CommonName; got != want {
			t.Errorf("%q gets the certificate of %q, want %q", name, got, want)
		}
		c.Close()
	}
	certs := l.Certificates()
	if len(certs) != 3 || certs[1].File != a.Cert || certs[2].Names[0] != "*.b.example" || certs[0].NotAfter.IsZero() {
		t.Errorf("certificates %+v", certs)
	}
	if files := o.Files(); len(files) != 6 {
		t.Errorf("files %v", files)
	}
}

func TestMinimumVersion(t *testing.T) {
	ca := newAuthority(t)
	o := ca.options(TypeTLS)
	var err error
	if o.MinVersion, err = TLSVersion("1.3"); err != nil {
		t.Fatal(err)
	}
	l, _ := start(t, o)
	config := ca.client()
	config.MaxVersion = tls.VersionTLS12
	if err := tls.Client(dial(t, l), config).Handshake(); err == nil {
		t.Error("TLS 1.2 is taken where 1.3 is the least")
	}
	if _, err := TLSVersion("1.1"); err == nil {
		t.Error("TLS 1.1 is a choice")
	}
}

// A renewed certificate is for the connections to come: those that are open notice nothing.
func TestReloadDropsNobody(t *testing.T) {
	ca := newAuthority(t)
	l, got := start(t, ca.options(TypeTLS))
	c := tls.Client(dial(t, l), ca.client())
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	a := <-got
	ca.issue("server", "renewed")
	if err := l.Reload(); err != nil {
		t.Fatal(err)
	}
	exchange(t, c, a)
}

func FuzzCRL(f *testing.F) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign, SubjectKeyId: []byte{1},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		f.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	ca := []*x509.Certificate{cert}
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), NextUpdate: long}, cert, key)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := parseCRL(list, ca); err != nil {
		f.Fatal(err)
	}
	clear(list[len(list)-40:]) // of the signature, which the fuzzer does not find
	f.Add(list)
	f.Add([]byte("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if r, err := parseCRL(text, ca); err == nil {
			t.Fatalf("%d lists that nobody signed", len(r.lists))
		}
	})
}

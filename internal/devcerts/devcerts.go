// Package devcerts makes certificates for development: an authority, a server and clients, in files that work with every
// MQTT client. Whoever has ca.key can pass for any of them, so it is no substitute for a real authority.
package devcerts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// How long certificates are good for. The server's is as long as the strictest clients take.
const (
	authorityYears = 10
	leafDays       = 825
	skew           = time.Hour // for clocks that are behind
)

// Set are the files of a directory.
type Set struct {
	CACert, CAKey         string
	ServerCert, ServerKey string
	ClientCert, ClientKey string
	Hosts                 []string // that the server's certificate is for; none: it was there before
}

// Make makes what is missing in dir, which it creates if need be: an authority, the certificate of a server for hosts
// (names and addresses), and that of a client. It overwrites nothing: a client of that name must not be there.
func Make(dir, client string, hosts []string) (*Set, error) {
	if strings.ContainsAny(client, `/\`) || client == "" || client == "ca" || client == "server" || client[0] == '.' {
		return nil, fmt.Errorf("%q cannot be the name of a client's files", client)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	s := &Set{
		CACert: in("ca.crt"), CAKey: in("ca.key"), ServerCert: in("server.crt"), ServerKey: in("server.key"),
		ClientCert: in(client + ".crt"), ClientKey: in(client + ".key"),
	}
	for _, file := range []string{s.ClientCert, s.ClientKey} {
		if exists(file) {
			return nil, fmt.Errorf("%s is there already, and nothing is overwritten: remove it, or choose another name or directory", file)
		}
	}
	ca, err := s.authority()
	if err != nil {
		return nil, err
	}
	if !exists(s.ServerCert) && !exists(s.ServerKey) {
		if s.Hosts, err = ca.server(s.ServerCert, s.ServerKey, hosts); err != nil {
			return nil, err
		}
	}
	return s, ca.client(s.ClientCert, s.ClientKey, client)
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  any
}

// authority makes the directory's authority, or loads it.
func (s *Set) authority() (*authority, error) {
	if exists(s.CACert) || exists(s.CAKey) {
		pair, err := tls.LoadX509KeyPair(s.CACert, s.CAKey)
		if err != nil {
			return nil, fmt.Errorf("using the authority that is there (%s with %s): %w", s.CACert, s.CAKey, err)
		}
		if !pair.Leaf.IsCA {
			return nil, fmt.Errorf("%s is no authority's certificate", s.CACert)
		}
		return &authority{pair.Leaf, pair.PrivateKey}, nil
	}
	template := newTemplate("Barid development authority", time.Now().AddDate(authorityYears, 0, 0))
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	ca := &authority{template, key}
	if err := ca.issue(s.CACert, s.CAKey, template, key); err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(s.CACert, s.CAKey)
	if err != nil {
		return nil, err
	}
	ca.cert = pair.Leaf
	return ca, nil
}

func newTemplate(name string, until time.Time) *x509.Certificate {
	number, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)) // never fails, see crypto/rand
	return &x509.Certificate{
		SerialNumber: number, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-skew), NotAfter: until,
	}
}

// server issues a certificate for hosts, and for this machine under the names that it always has.
func (ca *authority) server(cert, key string, hosts []string) ([]string, error) {
	all := []string{"localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil && goodHost(name) {
		all = append(all, name)
	}
	template := newTemplate("Barid development server", time.Now().AddDate(0, 0, leafDays))
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	var unique []string
	seen := map[string]bool{}
	for _, host := range append(all, hosts...) {
		if seen[host] {
			continue
		}
		seen[host] = true
		unique = append(unique, host)
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if goodHost(host) {
			template.DNSNames = append(template.DNSNames, host)
		} else {
			return nil, fmt.Errorf("%q is neither a host's name nor an address", host)
		}
	}
	return unique, ca.leaf(cert, key, template)
}

// goodHost reports whether a name may stand in a certificate, as a DNS name or a wildcard of one.
func goodHost(name string) bool {
	name = strings.TrimPrefix(name, "*.")
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			return false
		}
	}
	return true
}

// client issues a certificate whose common name is the client's.
func (ca *authority) client(cert, key, name string) error {
	template := newTemplate(name, time.Now().AddDate(0, 0, leafDays))
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return ca.leaf(cert, key, template)
}

func (ca *authority) leaf(cert, key string, template *x509.Certificate) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	return ca.issue(cert, key, template, private)
}

// issue signs a certificate and writes it and its key: the key first, since a certificate without one is of no use.
func (ca *authority) issue(certFile, keyFile string, template *x509.Certificate, key *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return fmt.Errorf("signing a certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding a key: %w", err)
	}
	if err := write(keyFile, "PRIVATE KEY", private, 0o600); err != nil {
		return err
	}
	return write(certFile, "CERTIFICATE", der, 0o644)
}

// write makes a file that is not there yet.
func write(name, kind string, der []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	err = pem.Encode(f, &pem.Block{Type: kind, Bytes: der})
	return errors.Join(err, f.Close())
}

package listener

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxCRLBytes bounds a file of revocation lists: about a million certificates.
const maxCRLBytes = 64 << 20

// errRevoked is what a client with a revoked certificate fails with.
var errRevoked = errors.New("the client's certificate is revoked")

// serial is a certificate by who issued it and its number there.
type serial struct{ issuer, number string }

// revocations are the certificates that authorities took back.
type revocations struct {
	lists   []*x509.RevocationList
	revoked map[serial]struct{}
}

// loadCRL reads the revocation lists of a file.
func loadCRL(file string, authorities []*x509.Certificate) (*revocations, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(f, maxCRLBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxCRLBytes {
		return nil, fmt.Errorf("more than %d bytes", maxCRLBytes)
	}
	return parseCRL(text, authorities)
}

// parseCRL reads lists in PEM, or one in DER. Each must be signed by one of the authorities. A list whose time has
// passed still counts: what it revokes stays revoked.
func parseCRL(text []byte, authorities []*x509.Certificate) (*revocations, error) {
	r := &revocations{revoked: map[serial]struct{}{}}
	if !bytes.Contains(text, []byte("-----BEGIN ")) {
		return r, r.add(text, authorities)
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "X509 CRL" {
			return nil, fmt.Errorf("it holds a %s; only X509 CRL belongs there", block.Type)
		}
		if err := r.add(block.Bytes, authorities); err != nil {
			return nil, err
		}
	}
	if len(r.lists) == 0 {
		return nil, errors.New("it holds no X509 CRL")
	}
	return r, nil
}

func (r *revocations) add(der []byte, authorities []*x509.Certificate) error {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return fmt.Errorf("not a revocation list: %w", err)
	}
	if err := signedByOne(list, authorities); err != nil {
		return err
	}
	for i := range list.RevokedCertificateEntries {
		e := &list.RevokedCertificateEntries[i]
		if e.ReasonCode == removeFromCRL {
			continue
		}
		r.revoked[serial{string(list.RawIssuer), string(e.SerialNumber.Bytes())}] = struct{}{}
	}
	r.lists = append(r.lists, list)
	return nil
}

// removeFromCRL is the reason code of an entry that takes a revocation back.
const removeFromCRL = 8

func signedByOne(list *x509.RevocationList, authorities []*x509.Certificate) error {
	err := errors.New("it is not in there")
	for _, ca := range authorities {
		if !bytes.Equal(ca.RawSubject, list.RawIssuer) {
			continue
		}
		if err = list.CheckSignatureFrom(ca); err == nil {
			return nil
		}
	}
	return fmt.Errorf("the list of %s is signed by no authority of client_ca_file: %w", list.Issuer, err)
}

// verify refuses a client none of whose chains is free of revoked certificates.
func (r *revocations) verify(state tls.ConnectionState) error {
	if len(state.VerifiedChains) == 0 {
		return nil // no certificate; whether that is good is not for this to say
	}
	for _, chain := range state.VerifiedChains {
		if !r.anyOf(chain) {
			return nil
		}
	}
	return errRevoked
}

func (r *revocations) anyOf(chain []*x509.Certificate) bool {
	for _, cert := range chain {
		if _, ok := r.revoked[serial{string(cert.RawIssuer), string(cert.SerialNumber.Bytes())}]; ok {
			return true
		}
	}
	return false
}

package scram

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The example of RFC 7677, section 3.
const (
	rfcFirst       = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
	rfcServerNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	rfcServerFirst = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	rfcFinal       = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	rfcServerFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
)

func rfcCredentials(t testing.TB) Credentials {
	t.Helper()
	salt, _ := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	salted, err := stretch(SHA256, "pencil", salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	return Credentials{SHA256, 4096, salt, SHA256.sum(SHA256.mac(salted, "Client Key")), SHA256.mac(salted, "Server Key")}
}

func only(user string, c Credentials) Lookup {
	return func(name string) (Credentials, bool) {
		if name == user {
			return c, true
		}
		return Credentials{}, false
	}
}

func TestServerFollowsTheExampleOfRFC7677(t *testing.T) {
	s := NewServer(SHA256, only("user", rfcCredentials(t)), Decoy{})
	first, err := s.firstWith(rfcFirst, rfcServerNonce)
	if err != nil || string(first) != rfcServerFirst {
		t.Fatalf("first: %q, %v", first, err)
	}
	final, err := s.final(rfcFinal)
	if err != nil || string(final) != rfcServerFinal {
		t.Fatalf("final: %q, %v", final, err)
	}
}

func TestClientFollowsTheExampleOfRFC7677(t *testing.T) {
	c := NewClient(SHA256, "user", "pencil")
	c.nonce = "rOprNGfwEbeRWgbNEkqO"
	if m, _, err := c.Next(nil); err != nil || string(m) != rfcFirst {
		t.Fatalf("first: %q, %v", m, err)
	}
	if m, _, err := c.Next([]byte(rfcServerFirst)); err != nil || string(m) != rfcFinal {
		t.Fatalf("final: %q, %v", m, err)
	}
	if _, done, err := c.Next([]byte(rfcServerFinal)); err != nil || !done {
		t.Fatalf("end: %v, %v", done, err)
	}
}

// converse runs a conversation to its end.
func converse(c *Client, s *Server) (serverErr, clientErr error) {
	var message []byte
	for {
		answer, clientDone, err := c.Next(message)
		if err != nil || clientDone {
			return nil, err
		}
		if message, _, err = s.Next(answer); err != nil {
			return err, nil
		}
	}
}

func TestWhoKnowsThePasswordGetsIn(t *testing.T) {
	for _, h := range []Hash{SHA256, SHA512} {
		t.Run(h.Name(), func(t *testing.T) {
			c, err := NewCredentials(h, "pässwörd, with=signs", MinIterations)
			if err != nil {
				t.Fatal(err)
			}
			for _, tt := range []struct {
				user, password string
				want           error
			}{
				{"a=b,c", "pässwörd, with=signs", nil},
				{"a=b,c", "pässwörd, with=sign", ErrProof},
				{"a=b,c", "", ErrProof},
				{"a=b", "pässwörd, with=signs", ErrProof},
			} {
				s := NewServer(h, only("a=b,c", c), Decoy{Secret: []byte("s"), Iterations: MinIterations})
				serverErr, clientErr := converse(NewClient(h, tt.user, tt.password), s)
				if !errors.Is(serverErr, tt.want) || tt.want == nil && serverErr != nil || clientErr != nil {
					t.Errorf("%q with %q: server %v, client %v", tt.user, tt.password, serverErr, clientErr)
				}
				if s.User() != tt.user {
					t.Errorf("user is %q, want %q", s.User(), tt.user)
				}
			}
		})
	}
}

// An unknown user's first answer has the form of a known one's, and is the same each time but for the nonce.
func TestUnknownUserLooksLikeAKnownOne(t *testing.T) {
	c, err := NewCredentials(SHA256, "secret", MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	decoy := Decoy{Secret: []byte("of the server"), Iterations: MinIterations}
	ask := func(user string) (salt string, length int) {
		s := NewServer(SHA256, only("known", c), decoy)
		m, _, err := s.Next([]byte("n,,n=" + user + ",r=abc"))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(m), ",s=")
		return rest, len(m)
	}
	salt, length := ask("known")
	other, otherLength := ask("nobody")
	if length != otherLength || len(salt) != len(other) {
		t.Errorf("the answers differ in length: %d and %d", length, otherLength)
	}
	if again, _ := ask("nobody"); again != other {
		t.Errorf("the salt of an unknown user changes: %s, then %s", other, again)
	}
	if third, _ := ask("nobody2"); third == other {
		t.Error("two unknown users have one salt")
	}
}

// Whoever knows the decoy's keys, which are no user's, still does not get in.
func TestDecoyLetsNobodyIn(t *testing.T) {
	s := NewServer(SHA256, only("known", Credentials{}), Decoy{Secret: []byte("s")})
	if _, _, err := s.Next([]byte("n,,n=nobody,r=abc")); err != nil {
		t.Fatal(err)
	}
	s.credentials = rfcCredentials(t) // as if the proof fitted
	unproved := "c=biws,r=" + s.nonce
	salted, _ := stretch(SHA256, "pencil", s.credentials.Salt, 4096)
	key := SHA256.mac(salted, "Client Key")
	proof := xor(key, SHA256.mac(SHA256.sum(key), s.signed+","+unproved))
	if _, done, err := s.Next([]byte(unproved + ",p=" + encode(proof))); done || !errors.Is(err, ErrProof) {
		t.Errorf("done %v, %v", done, err)
	}
}

func TestServerRefusesWhatDoesNotConform(t *testing.T) {
	for _, first := range []string{
		"", "n", "n,", "n,,", "n,,n=user", "n,,r=abc", "n,,n=,r=abc", "n,,n=user,r=", "n,,n=us=er,r=abc", "n,,n=us=2cer,r=a",
		"n,,n=user,r=a b", "n,,n=user,r=é", "p=tls-unique,,n=user,r=abc", "x,,n=user,r=abc", "n,,m=x,n=user,r=abc",
		"n,a=other,n=user,r=abc", "n,user,n=user,r=abc", "n,,n=user,r=abc,m=must", "n,,n=user,r=abc,nonsense", "n,,n=us\x00er,r=abc",
		"n,,n=\xff,r=abc", "n,,n=user,r=" + strings.Repeat("a", MaxMessageBytes),
	} {
		s := NewServer(SHA256, only("user", rfcCredentials(t)), Decoy{})
		if _, _, err := s.Next([]byte(first)); !errors.Is(err, ErrMessage) {
			t.Errorf("%.40q: %v", first, err)
		}
		if _, _, err := s.Next([]byte(rfcFirst)); !errors.Is(err, ErrMessage) {
			t.Errorf("%.40q: the conversation goes on after its error: %v", first, err)
		}
	}
	for _, final := range []string{
		"", "p=", strings.Replace(rfcFinal, "biws", "eSws", 1), strings.Replace(rfcFinal, "biws", "", 1),
		strings.Replace(rfcFinal, "r=rOpr", "r=rOps", 1), strings.TrimSuffix(rfcFinal, "="), rfcFinal + "\n", rfcFinal[:len(rfcFinal)-4],
		strings.Replace(rfcFinal, ",p=", ",m=x,p=", 1), strings.Replace(rfcFinal, ",p=", ",", 1),
	} {
		s := NewServer(SHA256, only("user", rfcCredentials(t)), Decoy{})
		if _, err := s.firstWith(rfcFirst, rfcServerNonce); err != nil {
			t.Fatal(err)
		}
		if m, err := s.final(final); err == nil {
			t.Errorf("%q was answered with %q", final, m)
		}
	}
}

// A server that does not know the user, or wants a client to work for ever or hardly at all, is found out.
func TestClientRefusesABadServer(t *testing.T) {
	for _, tt := range []string{
		"r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		strings.Replace(rfcServerFirst, "4096", "4095", 1), strings.Replace(rfcServerFirst, "4096", "99999999999", 1),
		strings.Replace(rfcServerFirst, "s=W22ZaJ0SNY7soEsUEjb6gQ==", "s=", 1), "e=unknown-user", "",
	} {
		c := NewClient(SHA256, "user", "pencil")
		c.nonce = "rOprNGfwEbeRWgbNEkqO"
		_, _, _ = c.Next(nil)
		if _, _, err := c.Next([]byte(tt)); !errors.Is(err, ErrMessage) {
			t.Errorf("%q: %v", tt, err)
		}
	}
	c := NewClient(SHA256, "user", "pencil")
	c.nonce = "rOprNGfwEbeRWgbNEkqO"
	_, _, _ = c.Next(nil)
	_, _, _ = c.Next([]byte(rfcServerFirst))
	if _, _, err := c.Next([]byte("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")); err == nil {
		t.Error("a wrong signature was taken")
	}
}

func TestCredentialsReadWhatTheyWrite(t *testing.T) {
	for _, h := range []Hash{SHA256, SHA512} {
		c, err := NewCredentials(h, "x", 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseCredentials(c.String())
		if err != nil || got.Hash.name != h.name || got.Iterations != DefaultIterations || !bytes.Equal(got.Salt, c.Salt) ||
			!bytes.Equal(got.StoredKey, c.StoredKey) || !bytes.Equal(got.ServerKey, c.ServerKey) {
			t.Errorf("%s became %+v, %v", c, got, err)
		}
	}
	for _, bad := range []string{
		"", "SCRAM-SHA-1$4096:AAAAAAAAAAA=$A:A", "SCRAM-SHA-256$", "SCRAM-SHA-256$10:AAAAAAAAAAA=$A:A", "SCRAM-SHA-256$+4096:AAAAAAAAAAA=$A:A",
		"SCRAM-SHA-256$4096:AA==$A:A", "SCRAM-SHA-256$4096:AAAAAAAAAAA=$AAAA:AAAA",
	} {
		if _, err := ParseCredentials(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	for _, n := range []int{1, -1, MaxIterations + 1} {
		if _, err := NewCredentials(SHA256, "x", n); err == nil {
			t.Errorf("%d iterations were taken", n)
		}
	}
	if _, err := NewCredentials(SHA256, "a\nb", 0); err == nil {
		t.Error("a password of two lines was taken")
	}
}

func TestNamesSurviveEscaping(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z=,23CDé ]{1,12}`).Draw(t, "name")
		escaped := escapeName(name)
		if got, ok := unescapeName(escaped); !ok || got != name || strings.Contains(escaped, ",") {
			t.Fatalf("%q became %q became %q, %v", name, escaped, got, ok)
		}
	})
}

func FuzzServer(f *testing.F) {
	f.Add(rfcFirst, rfcFinal)
	f.Add("y,a=user,n=user,r=abc,x=y", "c=eSxhPXVzZXIs,r=abc")
	credentials := rfcCredentials(f)
	f.Fuzz(func(t *testing.T, first, final string) {
		s := NewServer(SHA256, only("user", credentials), Decoy{})
		if len(first) > MaxMessageBytes {
			return
		}
		if _, err := s.firstWith(first, rfcServerNonce); err != nil {
			return
		}
		if _, err := s.final(final); err == nil && (s.User() != "user" || final != rfcFinal && first == rfcFirst && !strings.Contains(final, ",p=")) {
			t.Fatalf("%q and %q let %q in", first, final, s.User())
		}
	})
}

func FuzzClient(f *testing.F) {
	f.Add(rfcServerFirst, rfcServerFinal)
	f.Fuzz(func(t *testing.T, first, final string) {
		for field := range strings.SplitSeq(first, ",") {
			if strings.HasPrefix(field, "i=") && field != "i=4096" {
				return // costs time, up to seconds, and finds nothing
			}
		}
		c := NewClient(SHA256, "user", "pencil")
		c.nonce = "rOprNGfwEbeRWgbNEkqO"
		_, _, _ = c.Next(nil)
		if _, _, err := c.Next([]byte(first)); err != nil {
			return
		}
		if _, done, err := c.Next([]byte(final)); done && err == nil && final != rfcServerFinal && first == rfcServerFirst && !strings.HasPrefix(final, rfcServerFinal) {
			t.Fatalf("%q and %q were believed", first, final)
		}
	})
}

func FuzzCredentials(f *testing.F) {
	f.Add(rfcCredentials(f).String())
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCredentials(text)
		if err != nil {
			return
		}
		if again, err := ParseCredentials(c.String()); err != nil || !bytes.Equal(again.StoredKey, c.StoredKey) {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

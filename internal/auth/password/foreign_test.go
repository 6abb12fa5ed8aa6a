package password

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

func fromHex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The vectors are those of the RFCs (6070 for PBKDF2 with SHA-1, 7914 with SHA-256), of crypt_blowfish, and of sha256sum
// and its like over "saltpassword" and "passwordsalt".
func TestForeignHashesMatchTheirPasswordOnly(t *testing.T) {
	digest := func(name string, position SaltPosition, salt, key string) Hash {
		h, err := Digest(name, position, []byte(salt), fromHex(t, key))
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	derive := func(name string, iterations int, salt, key string) Hash {
		h, err := PBKDF2(name, iterations, []byte(salt), fromHex(t, key))
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	parse := func(text string) Hash {
		h, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	for what, c := range map[string]struct {
		hash     Hash
		password string
	}{
		"sha256 prefix":  {digest("sha256", SaltPrefix, "salt", "13601bda4ea78e55a07b98866d2be6be0744e3866f13c00c811cab608a28f322"), "password"},
		"sha256 suffix":  {digest("sha256", SaltSuffix, "salt", "7a37b85c8918eac19a9089c0fa5a2ab4dce3f90528dcdeec108b23ddf3607b99"), "password"},
		"sha256 alone":   {digest("sha256", SaltDisable, "ignored", "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"), "password"},
		"md5 alone":      {digest("md5", SaltDisable, "", "5f4dcc3b5aa765d61d8327deb882cf99"), "password"},
		"sha alone":      {digest("sha", SaltDisable, "", "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8"), "password"},
		"sha512 alone":   {digest("sha512", SaltDisable, "", "b109f3bbbc244eb82441917ed06d618b9008dd09b3befd1b5e07394c706a8bb980b1d7785e5976ec049b46df5f1326af5a2ea6d103fd07c95385ffab0cacbc86"), "password"},
		"pbkdf2 sha":     {derive("sha", 4096, "salt", "4b007901b765489abead49d926f721d065a429c1"), "password"},
		"pbkdf2 longer":  {derive("sha", 4096, "saltSALTsaltSALTsaltSALTsaltSALTsalt", "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038"), "passwordPASSWORDpassword"},
		"pbkdf2 sha256":  {derive("sha256", 1, "salt", "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"), "passwd"},
		"bcrypt 2a":      {parse("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"), "U*U"},
		"bcrypt 2y":      {parse("$2y$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"), ""},
		"bcrypt 2b long": {parse("$2b$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"), "U*U*U"},
	} {
		if !c.hash.Matches([]byte(c.password)) {
			t.Errorf("%s: %s does not match", what, c.hash)
		}
		for _, wrong := range []string{"Password", c.password + "x", "salt", "ignored"} {
			if c.hash.Matches([]byte(wrong)) {
				t.Errorf("%s: %q matches", what, wrong)
			}
		}
		again := parse(c.hash.String())
		if again.String() != c.hash.String() || !again.Matches([]byte(c.password)) || !again.sameCost(&c.hash) {
			t.Errorf("%s: read back as %s", what, again)
		}
		if decoy := c.hash.decoy(); decoy.Matches([]byte(c.password)) || !decoy.sameCost(&c.hash) {
			t.Errorf("%s: the decoy is %s", what, decoy)
		}
	}
}

func TestForeignHashesThatAreWrongAreRefused(t *testing.T) {
	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for text, want := range map[string]string{
		"$sha256$prefix$c2FsdA==":                                                             "2 fields",
		"$sha256$middle$c2FsdA==$" + key:                                                      "position",
		"$sha256$prefix$?$" + key:                                                             "salt that is not base64",
		"$sha256$prefix$c2FsdA==$?":                                                           "hash that is not base64",
		"$sha512$prefix$c2FsdA==$" + key:                                                      "it should have 64",
		"$sha224$prefix$c2FsdA==$" + key:                                                      "not known",
		"$md4$prefix$c2FsdA==$" + key:                                                         "unknown format",
		"$pbkdf2-sha256$1000$c2FsdA==$" + key:                                                 "i=",
		"$pbkdf2-sha256$i=0$c2FsdA==$" + key:                                                  "whole number",
		"$pbkdf2-sha256$i=999999999$c2FsdA==$" + key:                                          "whole number",
		"$pbkdf2-md5$i=1$c2FsdA==$" + key:                                                     "not known",
		"$pbkdf2-sha256$i=1$c2FsdA==$c2FsdA==":                                                "too short",
		"$2b$05$short":                                                                        "53 characters",
		"$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW":                        "cost",
		"$2b$5$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW":                         "cost",
		"$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyO=W":                        "character",
		"$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW":                        "unknown format",
		"$sha256$prefix$" + base64.StdEncoding.EncodeToString(make([]byte, 2000)) + "$" + key: "too long",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// Hashes that differ only in how they were made are remembered apart.
func TestTheWayOfHashingIsPartOfWhatIsRemembered(t *testing.T) {
	key := make([]byte, 32)
	prefix, err1 := Digest("sha256", SaltPrefix, []byte("salt"), key)
	suffix, err2 := Digest("sha256", SaltSuffix, []byte("salt"), key)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	r := newRecent()
	if r.digest("u", []byte("p"), &prefix) == r.digest("u", []byte("p"), &suffix) {
		t.Error("the same digest")
	}
}

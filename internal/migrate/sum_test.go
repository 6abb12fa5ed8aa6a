package migrate

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
)

// sum hashes as EMQX does, by its names of functions.
func sum(name, text string) []byte {
	switch name {
	case "md5":
		s := md5.Sum([]byte(text))
		return s[:]
	case "sha":
		s := sha1.Sum([]byte(text))
		return s[:]
	case "sha256":
		s := sha256.Sum256([]byte(text))
		return s[:]
	}
	s := sha512.Sum512([]byte(text))
	return s[:]
}

// Strict decodes files for other programs as strictly as their types allow: a field that is unknown, given twice or of the
// wrong type is an error. It is a module of its own, so that those types stay out of the broker's.
//
//	strict kubernetes < manifests.yaml
//	strict compose compose.yaml
package main

import (
	"errors"
	"fmt"
	"os"
)

func main() {
	said, err := check(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(said)
}

func check(args []string) (string, error) {
	switch {
	case len(args) == 1 && args[0] == "kubernetes":
		return kubernetes(os.Stdin)
	case len(args) == 2 && args[0] == "compose":
		return compose(args[1])
	}
	return "", errors.New("usage: strict kubernetes < FILE, or strict compose FILE")
}

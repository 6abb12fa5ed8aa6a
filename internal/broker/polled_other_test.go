//go:build !linux

package broker

import "errors"

func serveBare(string) error { return errors.ErrUnsupported }

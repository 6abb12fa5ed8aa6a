package stream

import (
	"slices"
	"strings"
)

// CoversAll reports whether every topic that one of the filters matches is matched by one of the wide filters. It may say
// no where only several of them together do.
func CoversAll(wide, filters []string) bool {
	return !slices.ContainsFunc(filters, func(f string) bool {
		return !slices.ContainsFunc(wide, func(w string) bool { return covers(w, f) })
	})
}

// covers reports whether every topic that filter matches is matched by wide.
func covers(wide, filter string) bool {
	if strings.HasPrefix(wide, "$") != strings.HasPrefix(filter, "$") {
		return false // wildcards at the start do not match topics that begin with $
	}
	w, f := strings.Split(wide, "/"), strings.Split(filter, "/")
	for i, level := range w {
		switch {
		case level == "#":
			return true
		case i == len(f):
			return false
		case f[i] == "#", level != "+" && level != f[i]:
			return false
		}
	}
	return len(w) == len(f)
}

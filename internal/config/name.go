package config

import (
	"fmt"
	"reflect"
	"strings"
)

// join appends a level to the path of a key.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// goodName reports whether a listener or stream may be called so. Capitals and dots are not allowed, so that each name
// can be said in the environment and in --set.
func goodName(name string) bool { return GoodName(name) }

// GoodName is that rule, for names that come from elsewhere.
func GoodName(name string) bool {
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return name != "" && !strings.Contains(name, "__")
}

func badName(name string) string {
	return fmt.Sprintf("the name %q: use a to z, 0 to 9, - and single _", name)
}

// suggest ends the message about an unknown key with what was probably meant.
func suggest(path string, fields []field) string {
	prefix, name := "", path
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		prefix, name = path[:i+1], path[i+1:]
	}
	best, bestDistance := "", 1+max(1, len(name)/3)
	for _, f := range fields {
		if d := distance(name, f.name); d < bestDistance {
			best, bestDistance = prefix+f.name, d
		}
	}
	if best == "" {
		best = elsewhere(name)
	}
	if best != "" {
		return "; did you mean " + best + "?"
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return "; known here: " + strings.Join(names, ", ")
}

// elsewhere returns the path of a key with that name in another section, if there is exactly one.
func elsewhere(name string) string {
	found := ""
	visit(reflect.ValueOf(Default()).Elem(), "", func(k Key) {
		switch {
		case !strings.HasSuffix(k.Path, "."+name):
		case found == "":
			found = k.Path
		default:
			found = "?"
		}
	})
	if found == "?" {
		return ""
	}
	return found
}

// distance is the number of bytes to insert, remove or replace that turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

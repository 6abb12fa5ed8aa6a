package config

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
)

const (
	envPrefix = "BARID_"
	setPrefix = "--set "
)

// serviceVariable matches what Kubernetes puts into the environment of every pod of a namespace that has a service
// called barid or barid-<something>.
var serviceVariable = regexp.MustCompile(`^BARID(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// environ applies the variables that begin with BARID_, in the order of their names.
func (l *loader) environ(environ []string) {
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) {
			continue
		}
		path := strings.Split(strings.ToLower(strings.TrimPrefix(name, envPrefix)), "__")
		problem, known := l.override(place{name: name}, path, text)
		switch {
		case !known && serviceVariable.MatchString(name):
		case !known:
			l.warnings = append(l.warnings, Warning{Where: name, Text: "no key has this name" + problem})
		case problem != "":
			l.fail(place{name: name}, strings.Join(path, "."), "%s", problem)
		}
	}
}

// sets applies the arguments of --set, in their order.
func (l *loader) sets(sets []string) {
	for _, set := range sets {
		key, text, ok := strings.Cut(set, "=")
		at := place{name: setPrefix + key} // not the value: it may be a secret
		if !ok {
			l.fail(at, "", "give it as path.to.key=value")
			continue
		}
		problem, known := l.override(at, strings.Split(key, "."), text)
		switch {
		case !known:
			l.fail(at, key, "unknown key%s", problem)
		case problem != "":
			l.fail(at, key, "%s", problem)
		}
	}
}

// override sets one key from text. known is false if there is no such key; problem may then hold a suggestion.
func (l *loader) override(at place, path []string, text string) (problem string, known bool) {
	return l.descend(at, reflect.ValueOf(l.cfg).Elem(), path, "", text)
}

func (l *loader) descend(at place, section reflect.Value, path []string, prefix, text string) (problem string, known bool) {
	fields := fieldsOf(section.Type())
	f := find(fields, path[0])
	full := join(prefix, path[0])
	if f == nil {
		return suggest(full, fields), false
	}
	v, rest := section.Field(f.index), path[1:]
	switch v.Kind() {
	case reflect.Struct:
		if len(rest) == 0 {
			return "is a section; set one of its keys", true
		}
		return l.descend(at, v, rest, full, text)
	case reflect.Map:
		return l.descendNamed(at, v, rest, full, text)
	}
	if len(rest) > 0 {
		return "; " + full + " has no keys below it", false
	}
	l.origin[full] = at
	if v.Kind() == reflect.Slice {
		setList(v, text)
		return "", true
	}
	return setScalar(v, f, text), true
}

// descendNamed sets a key of the entry path[0] of a map, which it adds if need be. Nothing assigned to the entry itself
// removes it.
func (l *loader) descendNamed(at place, v reflect.Value, path []string, prefix, text string) (problem string, known bool) {
	if len(path) == 0 {
		return "is a section; set one of its keys", true
	}
	name := l.nameOf(v, path[0])
	if !goodName(name) {
		return badName(name), true
	}
	full, key := join(prefix, name), reflect.ValueOf(name)
	if len(path) == 1 {
		if text != "" {
			return "is a section; set one of its keys, or nothing at all to remove it", true
		}
		v.SetMapIndex(key, reflect.Value{})
		return "", true
	}
	entry := reflect.New(v.Type().Elem()).Elem()
	if old := v.MapIndex(key); old.IsValid() {
		entry.Set(old)
	}
	if problem, known = l.descend(at, entry, path[1:], full, text); known && problem == "" {
		if _, ok := l.origin[full]; !ok {
			l.origin[full] = at
		}
		v.SetMapIndex(key, entry)
	}
	return problem, known
}

// nameOf returns the name of the entry that name means: the environment has no hyphens, so _ may stand for one.
func (l *loader) nameOf(v reflect.Value, name string) string {
	if v.MapIndex(reflect.ValueOf(name)).IsValid() {
		return name
	}
	for _, key := range v.MapKeys() {
		if strings.ReplaceAll(key.String(), "-", "_") == name {
			return key.String()
		}
	}
	return name
}

package config

import (
	"math"
	"reflect"
	"strconv"
	"strings"
)

const maxInt64 = math.MaxInt64

// field describes one key of a section: a struct field and its tags.
type field struct {
	name     string // the yaml tag
	index    int    // in the struct
	doc      string
	min, max int64
	enum     []string
	secret   bool
	live     bool // it can change while the broker runs
}

// fieldsOf returns the keys of a section, in the order of the struct.
func fieldsOf(t reflect.Type) []field {
	fields := make([]field, t.NumField())
	for i := range fields {
		tag := t.Field(i).Tag
		f := field{name: tag.Get("yaml"), index: i, doc: tag.Get("doc"), max: maxInt64, secret: tag.Get("secret") == "true", live: tag.Get("live") == "true"}
		if s, ok := tag.Lookup("min"); ok {
			f.min = mustInt(s)
		}
		if s, ok := tag.Lookup("max"); ok {
			f.max = mustInt(s)
		}
		if s, ok := tag.Lookup("enum"); ok {
			f.enum = strings.Split(s, ",")
		}
		fields[i] = f
	}
	return fields
}

func mustInt(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic("config: bad tag: " + s) // a fault of Config's declaration, found by any test
	}
	return n
}

// find returns the key of that name.
func find(fields []field, name string) *field {
	for i := range fields {
		if fields[i].name == name {
			return &fields[i]
		}
	}
	return nil
}

// Key is one key of the configuration, for documentation and tools.
type Key struct {
	Path     string // levels separated by dots; <name> stands for the name of a listener or stream
	Type     string // string, boolean, number or list
	Doc      string
	Default  string // empty for keys below <name>
	Min, Max int64  // of a number
	Enum     []string
	Secret   bool
	Live     bool // it can change while the broker runs
}

// Keys returns all keys, in the order of config.yaml.
func Keys() []Key {
	var keys []Key
	visit(reflect.ValueOf(Default()).Elem(), "", func(k Key) { keys = append(keys, k) })
	return keys
}

func visit(section reflect.Value, prefix string, fn func(Key)) {
	for _, f := range fieldsOf(section.Type()) {
		v, path := section.Field(f.index), prefix+f.name
		switch v.Kind() {
		case reflect.Struct:
			visit(v, path+".", fn)
		case reflect.Map:
			visit(reflect.New(v.Type().Elem()).Elem(), path+".<name>.", func(k Key) {
				k.Default = ""
				fn(k)
			})
		default:
			fn(Key{Path: path, Type: typeName(v.Type()), Doc: f.doc, Default: textOf(v), Min: f.min, Max: f.max, Enum: f.enum, Secret: f.secret, Live: f.live})
		}
	}
}

// typeName says a type as users know it.
func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64:
		return "number"
	case reflect.Slice:
		return "list"
	}
	return "string"
}

// textOf returns a value as the environment would say it.
func textOf(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return textOf(v.Elem())
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Int, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case reflect.Slice:
		return strings.Join(v.Interface().([]string), ",")
	}
	return v.String()
}

// IsSecret reports whether the key at path holds a secret.
func IsSecret(path string) bool {
	for _, k := range Keys() {
		if k.Secret && k.Path == path {
			return true
		}
	}
	return false
}

package config

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// file reads a YAML file over what is there.
func (l *loader) file(name string, text []byte) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return // nothing but comments
	} else if err != nil {
		l.syntax(name, err)
		return
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		l.fail(place{file: name, line: more.Line}, "", "a second YAML document: only one is read")
	}
	l.section(name, doc.Content[0], reflect.ValueOf(l.cfg).Elem(), "")
}

// syntax notes that a file is not YAML. The parser says the line in its text only.
func (l *loader) syntax(name string, err error) {
	at, text := place{file: name}, strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, problem, ok := strings.Cut(rest, ": "); ok {
			at.line, _ = strconv.Atoi(number)
			text = problem
		}
	}
	l.fail(at, "", "not YAML: %s", text)
}

// section reads the mapping n into v, a struct whose keys have the path prefix.
func (l *loader) section(file string, n *yaml.Node, v reflect.Value, prefix string) {
	fields := fieldsOf(v.Type())
	l.mapping(file, n, strings.TrimSuffix(prefix, "."), func(key, value *yaml.Node) {
		path := prefix + key.Value
		f := find(fields, key.Value)
		if f == nil {
			l.fail(place{file: file, line: key.Line}, path, "unknown key%s", suggest(path, fields))
			return
		}
		l.value(file, value, v.Field(f.index), f, path)
	})
}

// mapping calls fn for each key of the mapping n. Nothing at all, as in a section whose keys are all comments, is an
// empty mapping.
func (l *loader) mapping(file string, n *yaml.Node, path string, fn func(key, value *yaml.Node)) {
	n = resolve(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		l.fail(place{file: file, line: n.Line}, path, "%s where a section of keys belongs", describe(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if first, ok := seen[key.Value]; ok {
			l.fail(place{file: file, line: key.Line}, join(path, key.Value), "is there twice, first on line %d", first)
			continue
		}
		seen[key.Value] = key.Line
		fn(key, value)
	}
}

// value reads n into v, the value of the key f.
func (l *loader) value(file string, n *yaml.Node, v reflect.Value, f *field, path string) {
	n = resolve(n)
	at := place{file: file, line: n.Line}
	switch v.Kind() {
	case reflect.Struct:
		l.section(file, n, v, path+".")
		return
	case reflect.Map:
		l.named(file, n, v, path)
		return
	case reflect.Slice:
		l.list(file, n, v, path)
		return
	}
	l.origin[path] = at
	switch {
	case isNull(n):
		if v.Kind() == reflect.Pointer || v.Kind() == reflect.String && len(f.enum) == 0 {
			v.SetZero()
			return
		}
		l.fail(at, path, "has no value; leave the key out for its default")
	case n.Kind != yaml.ScalarNode:
		l.fail(at, path, "%s where one value belongs", describe(n))
	default:
		if problem := setScalar(v, f, n.Value); problem != "" {
			l.fail(at, path, "%s", problem)
		}
	}
}

// named reads a section whose keys are names that the user chooses. It replaces the built-in entries altogether: who
// lists listeners expects to have those and no other.
func (l *loader) named(file string, n *yaml.Node, v reflect.Value, path string) {
	if isNull(n) {
		return
	}
	l.origin[path] = place{file: file, line: n.Line}
	v.Set(reflect.MakeMap(v.Type()))
	l.mapping(file, n, path, func(key, value *yaml.Node) {
		at, entryPath := place{file: file, line: key.Line}, join(path, key.Value)
		if !goodName(key.Value) {
			l.fail(at, path, "%s", badName(key.Value))
			return
		}
		l.origin[entryPath] = at
		entry := reflect.New(v.Type().Elem()).Elem()
		l.section(file, value, entry, entryPath+".")
		v.SetMapIndex(reflect.ValueOf(key.Value), entry)
	})
}

// list reads a sequence of strings; one string alone is a list of one.
func (l *loader) list(file string, n *yaml.Node, v reflect.Value, path string) {
	l.origin[path] = place{file: file, line: n.Line}
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	list := []string{}
	for _, item := range items {
		item = resolve(item)
		if item.Kind != yaml.ScalarNode || isNull(item) {
			l.fail(place{file: file, line: item.Line}, path, "%s where a list of strings belongs", describe(item))
			return
		}
		list = append(list, item.Value)
	}
	if len(list) == 0 && v.IsNil() {
		return // nothing, as it is
	}
	v.Set(reflect.ValueOf(list))
}

// resolve returns the node that an alias stands for, or else n.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// describe says what a node is, as the beginning of a sentence.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a section of keys"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "nothing"
	}
	return "the value " + strconv.Quote(n.Value)
}

package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"

	"gopkg.in/yaml.v3"
)

// OverridesFile is the name, in the data directory, of what was changed live and is to outlive the process.
const OverridesFile = "overrides.yaml"

// livePlace is where a value comes from that was changed since the start.
const livePlace = "live"

// Overrides returns where the overrides of a configuration are; empty: nothing outlives its process.
func (c *Config) Overrides() string {
	if c.Durability == DurabilityMemory {
		return ""
	}
	return filepath.Join(c.DataDir, OverridesFile)
}

// overrides reads a file in which only what can change while the broker runs may be.
func (l *loader) overrides(name string) error {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return overridesUnreadable(err)
	}
	before := maps.Clone(l.origin)
	l.file(name, text)
	for _, key := range slices.Sorted(maps.Keys(l.origin)) {
		if at := l.origin[key]; at != before[key] && at.file == name && !IsLive(key) {
			l.fail(at, key, "cannot change while the broker runs, and so has no place here: set it in the configuration's file")
		}
	}
	return nil
}

// changes applies what was changed live.
func (l *loader) changes(live map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(live)) {
		at := place{name: livePlace}
		switch problem, known := l.override(at, strings.Split(key, "."), live[key]); {
		case !known:
			l.fail(at, key, "unknown key%s", problem)
		case problem != "":
			l.fail(at, key, "%s", problem)
		case !IsLive(key):
			l.fail(at, key, "cannot change while the broker runs: set it in the configuration's file and restart")
		}
	}
}

// IsLive reports whether the key at path can change while the broker runs.
func IsLive(path string) bool {
	return slices.ContainsFunc(Keys(), func(k Key) bool { return k.Live && k.Path == path })
}

// Setting is one key of a configuration, as it is.
type Setting struct {
	Key        string
	Value      any // string, bool, int64, []string or nil; secrets are masked
	Default    any
	Source     string // default, FILE:LINE, the environment variable, --set KEY, or live
	Changeable bool
}

// Settings lists all keys, in the order of config.yaml; entries of listeners and streams by name.
func (l *Loaded) Settings() []Setting {
	var all []Setting
	defaults := map[string]any{}
	walk(reflect.ValueOf(Default()).Elem(), "", func(path string, f *field, v reflect.Value) { defaults[path] = valueOf(f, v) })
	walk(reflect.ValueOf(l.Config).Elem(), "", func(path string, f *field, v reflect.Value) {
		s := Setting{Key: path, Value: valueOf(f, v), Source: l.Source(path), Changeable: f.live}
		if d, ok := defaults[path]; ok {
			s.Default = d
		} else { // of a listener or stream of one's own
			s.Default = valueOf(f, reflect.Zero(v.Type()))
		}
		all = append(all, s)
	})
	return all
}

// Source says where the value of a key comes from, as Setting does.
func (l *Loaded) Source(key string) string {
	if at, ok := l.origin[key]; ok {
		return at.String()
	}
	return "default"
}

// walk calls fn for each key that holds a value.
func walk(section reflect.Value, prefix string, fn func(path string, f *field, v reflect.Value)) {
	for _, f := range fieldsOf(section.Type()) {
		v, path := section.Field(f.index), prefix+f.name
		switch v.Kind() {
		case reflect.Struct:
			walk(v, path+".", fn)
		case reflect.Map:
			names := v.MapKeys()
			slices.SortFunc(names, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
			for _, name := range names {
				walk(v.MapIndex(name), path+"."+name.String()+".", fn)
			}
		default:
			fn(path, &f, v)
		}
	}
}

// valueOf returns what a key holds, fit to be shown.
func valueOf(f *field, v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return valueOf(f, v.Elem())
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int64:
		return v.Int()
	case reflect.Slice:
		list := make([]string, v.Len())
		for i := range list {
			if list[i] = v.Index(i).String(); f.secret {
				list[i] = masked
			}
		}
		return list
	}
	if f.secret && v.String() != "" {
		return masked
	}
	return v.String()
}

// Differ lists the keys in which two configurations differ, entries that only one of them has included.
func Differ(a, b *Config) (keys []string) {
	values := map[string]string{}
	walk(reflect.ValueOf(a).Elem(), "", func(path string, _ *field, v reflect.Value) { values[path] = textOf(v) })
	walk(reflect.ValueOf(b).Elem(), "", func(path string, _ *field, v reflect.Value) {
		if old, ok := values[path]; !ok || old != textOf(v) {
			keys = append(keys, path)
		}
		delete(values, path)
	})
	return append(keys, slices.Sorted(maps.Keys(values))...)
}

// With returns a copy of a configuration in which some keys, which are live, are as in another. The copy shares what
// cannot change.
func (c *Config) With(other *Config, keys []string) *Config {
	next := *c
	for _, key := range keys {
		to, from := reflect.ValueOf(&next).Elem(), reflect.ValueOf(other).Elem()
		for name := range strings.SplitSeq(key, ".") {
			i := find(fieldsOf(to.Type()), name).index
			to, from = to.Field(i), from.Field(i)
		}
		to.Set(from)
	}
	return &next
}

// ReadOverrides returns what a file of overrides says, by key; nothing if it is not there.
func ReadOverrides(name string) (map[string]string, error) {
	values := map[string]string{}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return values, nil
	}
	if err != nil {
		return nil, overridesUnreadable(err)
	}
	l := &loader{cfg: Default(), origin: map[string]place{}}
	l.file(name, text)
	if len(l.errs) > 0 {
		return nil, errors.Join(l.errs...)
	}
	walk(reflect.ValueOf(l.cfg).Elem(), "", func(path string, _ *field, v reflect.Value) {
		if _, ok := l.origin[path]; ok {
			values[path] = textOf(v)
		}
	})
	return values, nil
}

// WriteOverrides replaces a file of overrides as a whole, so that it is never half written.
func WriteOverrides(name string, values map[string]string) error {
	l := &loader{cfg: Default(), origin: map[string]place{}}
	l.changes(values)
	if len(l.errs) > 0 {
		return errors.Join(l.errs...)
	}
	tree := map[string]any{}
	walk(reflect.ValueOf(l.cfg).Elem(), "", func(path string, f *field, v reflect.Value) {
		if _, ok := values[path]; !ok {
			return
		}
		at, parts := tree, strings.Split(path, ".")
		for _, name := range parts[:len(parts)-1] {
			if at[name] == nil {
				at[name] = map[string]any{}
			}
			at = at[name].(map[string]any)
		}
		at[parts[len(parts)-1]] = valueOf(f, v)
	})
	text, err := yaml.Marshal(tree)
	if err != nil {
		return fmt.Errorf("writing the overrides: %w", err)
	}
	text = append([]byte("# What was changed live and is to stay. It lies over the configuration's file, and under the environment.\n"), text...)
	return replaceFile(name, text)
}

func replaceFile(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("writing the overrides: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing the overrides: %w", err), os.Remove(f.Name()))
	}
	return nil
}

// ByComponent returns the levels of the parts that have one of their own.
func (l LogLevels) ByComponent() map[string]string {
	levels := map[string]string{}
	v := reflect.ValueOf(l)
	for _, f := range fieldsOf(v.Type()) {
		if level := v.Field(f.index).String(); level != levelDefault && level != "" {
			levels[f.name] = level
		}
	}
	return levels
}

// overridesUnreadable says why the overrides cannot be read, which are the first thing in the data directory that is.
func overridesUnreadable(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("data_dir: this user may not use the data directory: %w; start the broker as its owner, or give it another data_dir", err)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("data_dir: it is a file, not a directory: %w", err)
	}
	return fmt.Errorf("reading the overrides: %w", err)
}

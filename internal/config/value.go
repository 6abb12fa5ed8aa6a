package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// setScalar parses text into v, a field described by f. The problem it returns is a sentence for the user.
func setScalar(v reflect.Value, f *field, text string) (problem string) {
	switch v.Kind() {
	case reflect.Pointer: // an optional value: empty is nil
		if text == "" {
			v.SetZero()
			return ""
		}
		elem := reflect.New(v.Type().Elem())
		if problem := setScalar(elem.Elem(), f, text); problem != "" {
			return problem
		}
		v.Set(elem)
	case reflect.String:
		if problem := f.checkEnum(text); problem != "" {
			return problem
		}
		v.SetString(text)
	case reflect.Bool:
		switch text {
		case "true", "false":
			v.SetBool(text == "true")
		default:
			return fmt.Sprintf("%q is not true or false", text)
		}
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < f.min || n > f.max || v.OverflowInt(n) {
			return fmt.Sprintf("%q is not a whole number %s", text, f.bounds())
		}
		v.SetInt(n)
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || !(n >= float64(f.min) && n <= float64(f.max)) {
			return fmt.Sprintf("%q is not a number %s", text, f.bounds())
		}
		v.SetFloat(n)
	default:
		panic("config: a key of type " + v.Type().String()) // a fault of Config's declaration, found by any test
	}
	return ""
}

// setList splits text at commas into v, a slice of strings.
func setList(v reflect.Value, text string) {
	list := []string{}
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	v.Set(reflect.ValueOf(list))
}

// checkEnum returns what is wrong with text, if f has a list of allowed values.
func (f *field) checkEnum(text string) string {
	if len(f.enum) == 0 {
		return ""
	}
	for _, allowed := range f.enum {
		if text == allowed {
			return ""
		}
	}
	return fmt.Sprintf("%q is not one of %s", text, strings.Join(f.enum, ", "))
}

// bounds says the range of a number.
func (f *field) bounds() string {
	if f.max == maxInt64 {
		return fmt.Sprintf("of at least %d", f.min)
	}
	return fmt.Sprintf("from %d to %d", f.min, f.max)
}

package config

import (
	"reflect"
	"testing"
)

func TestLoadOfNothingIsDefault(t *testing.T) {
	got, warnings, err := Load(Sources{})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("Load: %v, warnings %v", err, warnings)
	}
	if !reflect.DeepEqual(got, Default()) {
		t.Errorf("Load of nothing: got %+v, want the defaults", got)
	}
}

package alarm

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnAlarmHoldsFromActivationToClearing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard []string
		r := New(func(a Alarm) { heard = append(heard, fmt.Sprint(a.Name, " ", a.Active())) })
		begun := time.Now()
		if !r.Activate("disk_full", "10 bytes are free", map[string]any{"free": 10}) {
			t.Error("the first activation is not new")
		}
		<-time.After(time.Minute)
		if r.Activate("disk_full", "5 bytes are free", map[string]any{"free": 5}) {
			t.Error("an active alarm is new again")
		}
		a := r.Active()
		if !r.Holds("disk_full") || r.Holds("disk") {
			t.Error("the registry does not know what holds")
		}
		if len(a) != 1 || r.ActiveCount() != 1 || a[0].Message != "5 bytes are free" || a[0].Details["free"] != 5 || !a[0].ActivatedAt.Equal(begun) || !a[0].Active() {
			t.Fatalf("active: %+v", a)
		}
		if d := a[0].Duration(time.Now()); d != time.Minute {
			t.Errorf("it holds for %v", d)
		}
		<-time.After(time.Minute)
		if r.Set("disk_full", false, "", nil); r.Deactivate("disk_full") {
			t.Error("an alarm ended twice")
		}
		past := r.History()
		if len(r.Active()) != 0 || len(past) != 1 || past[0].Active() || past[0].Duration(time.Time{}) != 2*time.Minute || past[0].Message != "5 bytes are free" {
			t.Errorf("history: %+v", past)
		}
		if fmt.Sprint(heard) != "[disk_full true disk_full false]" {
			t.Errorf("heard %v", heard)
		}
	})
}

func TestHistoryIsBoundedAndNewestFirst(t *testing.T) {
	r := New(nil)
	for i := range historyLimit + 10 {
		name := fmt.Sprint(i)
		r.Set(name, true, "", nil)
		r.Set(name, false, "", nil)
	}
	past := r.History()
	if len(past) != historyLimit || past[0].Name != fmt.Sprint(historyLimit+9) || past[historyLimit-1].Name != "10" {
		t.Errorf("%d alarms are remembered, from %s to %s", len(past), past[0].Name, past[len(past)-1].Name)
	}
	if r.ClearHistory(); len(r.History()) != 0 {
		t.Error("something is left of the history")
	}
}

func TestActiveAlarmsAreInOrderOfTheirNames(t *testing.T) {
	r := New(nil)
	for _, name := range []string{"b", "c", "a"} {
		r.Activate(name, "", nil)
	}
	r.ClearHistory()
	var names []string
	for _, a := range r.Active() {
		names = append(names, a.Name)
	}
	if fmt.Sprint(names) != "[a b c]" {
		t.Errorf("got %v", names)
	}
}

package api

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
)

func TestRetainedMessagesAreListedShownAndRemoved(t *testing.T) {
	b := newBench(t).asAdmin()
	for i := range 5 {
		b.do("POST", "/publish", fmt.Sprintf(`{"topic":"r/%d","payload":"p%d","retain":true,"clientid":"c"}`, i, i))
	}
	b.do("POST", "/publish", `{"topic":"other/a b","payload":"x","retain":true}`)
	for query, want := range map[string][]string{
		"":                            {"other/a b", "r/0", "r/1", "r/2", "r/3", "r/4"},
		"?topic=r/%2B&limit=2&page=3": {"r/4"},
		"?topic=r/1":                  {"r/1"},
		"?topic=nothing/%23":          nil,
		"?page=10":                    nil,
	} {
		if _, v := b.do("GET", "/mqtt/retainer/messages"+query, ""); !slices.Equal(column(v, "topic"), want) {
			t.Errorf("%s: %v, not %v", query, column(v, "topic"), want)
		}
	}
	b.fails("GET", "/mqtt/retainer/messages?topic=a%23", "", 400, "BAD_REQUEST", "topic")
	one := b.raw("GET", Base+"/mqtt/retainer/message/r%2F3", b.header, "")
	if one.Code != http.StatusOK || field(t, one.Body.Bytes(), "payload") != "cDM=" || field(t, one.Body.Bytes(), "from_clientid") != "c" {
		t.Errorf("r/3: %d %s", one.Code, one.Body)
	}
	for _, want := range []int{204, 404} {
		if rec := b.raw("DELETE", Base+"/mqtt/retainer/message/other/a%20b", b.header, ""); rec.Code != want {
			t.Errorf("removing answered %d, not %d", rec.Code, want)
		}
	}
	if code, _ := b.do("DELETE", "/mqtt/retainer/messages", ""); code != http.StatusNoContent || b.broker.RetainedCount() != 0 {
		t.Errorf("clearing answered %d, and %d are left", code, b.broker.RetainedCount())
	}
}

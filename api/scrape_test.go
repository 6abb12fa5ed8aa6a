package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
)

func withMetrics(anonymous bool) func(*Options) {
	return func(o *Options) {
		o.OpenMetrics = anonymous
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			fmt.Fprintln(w, "barid_x 1")
		})
	}
}

func TestMetricsNeedCredentialsUnlessTheyAreOpen(t *testing.T) {
	for _, path := range []string{"/metrics", Base + "/prometheus/stats"} {
		closed, open := newBench(t, withMetrics(false)).asAdmin(), newBench(t, withMetrics(true))
		if rec := closed.raw("GET", path, "", ""); rec.Code != http.StatusUnauthorized {
			t.Errorf("%s without credentials answered %d", path, rec.Code)
		}
		if rec := closed.raw("GET", path+"?mode=node", closed.header, ""); rec.Code != http.StatusOK || rec.Body.String() != "barid_x 1\n" {
			t.Errorf("%s answered %d %s", path, rec.Code, rec.Body)
		}
		if rec := open.raw("GET", path, "", ""); rec.Code != http.StatusOK {
			t.Errorf("%s, which is open, answered %d", path, rec.Code)
		}
		if rec := newBench(t).asAdmin().raw("GET", path, closed.header, ""); rec.Code != http.StatusUnauthorized {
			t.Errorf("%s with another server's token answered %d", path, rec.Code)
		}
	}
}

func TestMetricsHaveAPortOfTheirOwn(t *testing.T) {
	b := newBench(t, withMetrics(false), func(o *Options) { o.LoopbackOnly = true }).asAdmin()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.ServeMetrics(ln)
	defer func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	get := func(path, header string) int {
		r, _ := http.NewRequest("GET", "http://"+ln.Addr().String()+path, nil)
		r.Host = "broker.example:9100" // which scrapers use
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	for path, want := range map[string]int{"/metrics": 200, Base + "/prometheus/stats": 200, Base + "/clients": 404, "/": 404, "/status": 404} {
		if got := get(path, b.header); got != want {
			t.Errorf("%s answered %d, not %d", path, got, want)
		}
	}
	if got := get("/metrics", ""); got != http.StatusUnauthorized {
		t.Errorf("without credentials: %d", got)
	}
}

func TestRequestsAreCountedByRoute(t *testing.T) {
	b := newBench(t).asAdmin()
	b.do("GET", "/clients/a", "")
	b.do("GET", "/clients/b", "")
	b.do("GET", "/clients", "")
	for _, r := range b.Requests() {
		d := r.Took.Load()
		n, want := d.Count(), int64(0)
		switch r.Method + " " + r.Route {
		case "GET /api/v5/clients/{clientid}":
			if want = 2; r.Status[4].Load() != 2 {
				t.Errorf("%d clients were not found", r.Status[4].Load())
			}
		case "GET /api/v5/clients", "POST /api/v5/login":
			if want = 1; r.Status[2].Load() != 1 {
				t.Errorf("%s went well %d times", r.Route, r.Status[2].Load())
			}
		}
		if n != want {
			t.Errorf("%s %s: %d requests, not %d", r.Method, r.Route, n, want)
		}
	}
}

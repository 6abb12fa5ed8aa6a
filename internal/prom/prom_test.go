package prom

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/config"
	"github.com/barid-mqtt/barid/internal/message"
	"github.com/barid-mqtt/barid/internal/metrics"
	"github.com/barid-mqtt/barid/internal/stream"
	"github.com/barid-mqtt/barid/mqtt"
	"github.com/barid-mqtt/barid/pkg/memnet"
)

// page is what Prometheus gets.
type page struct {
	help, kind map[string]string
	values     map[string]float64 // by name and labels, as they are written
	names      map[string]bool    // of series
}

var line = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)$`)

func scrape(t *testing.T, o Options) *page {
	t.Helper()
	var log bytes.Buffer
	o.Version, o.Log = "1.2.3", slog.New(slog.NewTextHandler(&log, nil))
	rec := httptest.NewRecorder()
	Handler(o).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	if rec.Code != 200 || log.Len() > 0 {
		t.Fatalf("answered %d, and logged %s", rec.Code, &log)
	}
	p := &page{help: map[string]string{}, kind: map[string]string{}, values: map[string]float64{}, names: map[string]bool{}}
	for l := range strings.Lines(rec.Body.String()) {
		l = strings.TrimSpace(l)
		if rest, ok := strings.CutPrefix(l, "# HELP "); ok {
			name, help, _ := strings.Cut(rest, " ")
			p.help[name] = help
		} else if rest, ok := strings.CutPrefix(l, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			p.kind[name] = kind
		} else if m := line.FindStringSubmatch(l); m != nil {
			p.names[m[1]] = true
			p.values[m[1]+m[2]], _ = strconv.ParseFloat(m[3], 64)
		} else {
			t.Errorf("not understood: %s", l)
		}
	}
	return p
}

func start(t *testing.T, sets ...string) *broker.Broker {
	t.Helper()
	cfg, _, err := config.Load(config.Sources{Sets: append([]string{"data_dir=" + t.TempDir(), "listeners.ws=", "listeners.tcp.bind=127.0.0.1:0"}, sets...)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err == nil {
		err = b.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// talk sends packets as one client and reads as many answers.
func talk(t *testing.T, b *broker.Broker, answers int, packets ...mqtt.Packet) net.Conn {
	t.Helper()
	client, server := memnet.Pipe()
	if err := b.Serve(server, "tcp"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	var buf []byte
	for _, p := range packets {
		data, err := p.AppendTo(nil, mqtt.V5)
		if err == nil {
			_, err = client.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	_ = client.SetReadDeadline(time.Now().Add(10 * time.Second))
	for answers > 0 {
		h, n, err := mqtt.DecodeHeader(buf)
		if err == nil && len(buf) >= n+int(h.Remaining) {
			buf = buf[n+int(h.Remaining):]
			answers--
			continue
		}
		chunk := make([]byte, 4096)
		n, err = client.Read(chunk)
		if err != nil {
			t.Fatal(err)
		}
		buf = append(buf, chunk[:n]...)
	}
	return client
}

func connect(id string) *mqtt.Connect {
	return &mqtt.Connect{Version: mqtt.V5, ClientID: id, SessionExpirySeconds: 100}
}

func subscribe(filters ...string) *mqtt.Subscribe {
	s := &mqtt.Subscribe{PacketID: 1}
	for _, f := range filters {
		s.Filters = append(s.Filters, mqtt.FilterOptions{Filter: f, QoS: 1})
	}
	return s
}

func TestEveryMetricSaysWhatItIsAndFollowsTheConventions(t *testing.T) {
	requests := &metrics.Requests{Method: "GET", Route: "/x"}
	requests.Took.Observe(time.Millisecond)
	requests.Status[2].Inc()
	b := start(t, "streams.s.filters=s/#")
	talk(t, b, 2, connect("c"), subscribe("$share/g/f"))
	b.Alarms().Activate("oven_hot", "", nil)
	p := scrape(t, Options{Broker: b, Requests: func() []*metrics.Requests { return []*metrics.Requests{requests} }})
	for name, kind := range p.kind {
		if len(p.help[name]) < 4 {
			t.Errorf("%s has the help %q", name, p.help[name])
		}
		if !strings.HasPrefix(name, "barid_") {
			continue
		}
		if (kind == "counter") != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s", name, kind)
		}
		for _, unit := range []string{"_ms", "_milliseconds", "_mb", "_kb", "_percent", "_count"} {
			if strings.HasSuffix(strings.TrimSuffix(name, "_total"), unit) {
				t.Errorf("%s is in no base unit", name)
			}
		}
	}
	for _, name := range []string{"go_goroutines", "process_open_fds", "process_resident_memory_bytes",
		`barid_listener_connections{listener="tcp",type="tcp"}`, `barid_group_members{filter="f",group="g"}`, `barid_stream_messages{stream="s"}`,
		`barid_alarm{alarm="oven_hot"}`, `barid_http_requests_total{method="GET",route="/x",status="2xx"}`} {
		if _, ok := p.values[name]; !ok {
			t.Errorf("there is no %s", name)
		}
	}
}

func TestReasonsLimitsTypesAndStagesAreThereFromTheStart(t *testing.T) {
	p := scrape(t, Options{Broker: start(t, "durability=memory")})
	var want []string
	for _, r := range message.DropReasons() {
		want = append(want, fmt.Sprintf("barid_dropped_total{reason=%q}", r))
	}
	for _, l := range metrics.Limits() {
		want = append(want, fmt.Sprintf("barid_limit_hits_total{limit=%q}", l))
	}
	for _, s := range []string{"gather", "write", "fsync"} {
		want = append(want, fmt.Sprintf("barid_commit_stage_seconds_count{stage=%q}", s))
	}
	want = append(want, `barid_packets_received_total{type="PUBACK"}`, `barid_delivery_lag_seconds_count{path="tail"}`, "barid_publish_ack_seconds_count",
		"barid_connect_seconds_count", `barid_connects_total{result="refused"}`)
	for _, name := range want {
		if n, ok := p.values[name]; !ok || n != 0 {
			t.Errorf("%s: %v %v", name, n, ok)
		}
	}
}

// What EMQX's dashboards, those that its exporter brings included, ask for of the broker itself.
const emqxNames = `connections_count live_connections_count sessions_count topics_count subscriptions_count subscriptions_shared_count routes_count
retained_count delayed_count connections_max suboptions_count subscribers_count channels_count
messages_received messages_sent messages_publish messages_dropped messages_dropped_no_subscribers messages_dropped_expired messages_delivered
messages_acked messages_retained messages_delayed messages_forward messages_qos0_received messages_qos0_sent messages_qos1_received
messages_qos1_sent messages_qos2_received messages_qos2_sent bytes_received bytes_sent packets_received packets_sent packets_connect
packets_connack_sent packets_connack_error packets_connack_auth_error packets_publish_received packets_publish_sent packets_publish_inuse
packets_publish_error packets_publish_auth_error packets_publish_dropped packets_puback_received packets_puback_sent packets_puback_inuse
packets_puback_missed packets_pubrec_received packets_pubrec_sent packets_pubrec_inuse packets_pubrec_missed packets_pubrel_received
packets_pubrel_sent packets_pubrel_missed packets_pubcomp_received packets_pubcomp_sent packets_pubcomp_inuse packets_pubcomp_missed
packets_subscribe_received packets_subscribe_error packets_subscribe_auth_error packets_suback_sent packets_unsubscribe_received
packets_unsubscribe_error packets_unsuback_sent packets_pingreq_received packets_pingresp_sent packets_disconnect_received
packets_disconnect_sent packets_auth_received packets_auth_sent client_connected client_disconnected client_authenticate client_auth_anonymous
client_authorize client_subscribe client_unsubscribe delivery_dropped delivery_dropped_no_local delivery_dropped_too_large
delivery_dropped_qos0_msg delivery_dropped_queue_full delivery_dropped_expired session_created session_resumed session_takenover
session_discarded session_terminated authentication_success authentication_failure authorization_allow authorization_deny
authorization_cache_hit authorization_cache_miss cluster_nodes_running cluster_nodes_stopped vm_cpu_use vm_cpu_idle vm_total_memory
vm_used_memory vm_run_queue vm_process_messages_in_queues`

func TestEMQXsNamesAreThere(t *testing.T) {
	p := scrape(t, Options{Broker: start(t, "durability=memory")})
	for name := range strings.FieldsSeq(emqxNames) {
		name = "emqx_" + name
		kind := "counter"
		if strings.HasSuffix(name, "_count") || strings.HasSuffix(name, "_max") || strings.HasPrefix(name, "emqx_vm_") || strings.HasPrefix(name, "emqx_cluster_") {
			kind = "gauge"
		}
		if p.kind[name] != kind {
			t.Errorf("%s is %q, not a %s", name, p.kind[name], kind)
		}
	}
}

func TestADurablePublishIsTimedFromEndToEnd(t *testing.T) {
	b := start(t)
	talk(t, b, 2, connect("sub"), subscribe("t"))
	talk(t, b, 2, connect("pub"), &mqtt.Publish{Topic: []byte("t"), QoS: 1, PacketID: 1, Payload: []byte("x")})
	var p *page
	for range 100 { // the tail comes after the acknowledgement
		if p = scrape(t, Options{Broker: b}); p.values[`barid_delivery_lag_seconds_count{path="tail"}`] == 1 {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	for name, want := range map[string]float64{
		"barid_publish_ack_seconds_count": 1, `barid_delivery_lag_seconds_count{path="tail"}`: 1, "barid_connect_seconds_count": 2,
		"barid_messages_logged_total": 1, `barid_messages_received_total{qos="1"}`: 1, "barid_storage_healthy": 1, "barid_storage_segments": 1,
		"barid_connections": 2, "barid_sessions": 2, "barid_subscriptions": 1, "emqx_messages_qos1_received": 1, "emqx_live_connections_count": 2,
		`barid_build_info{goversion="` + runtime.Version() + `",version="1.2.3"}`: 1,
	} {
		if p.values[name] != want {
			t.Errorf("%s is %v, not %v", name, p.values[name], want)
		}
	}
	for _, name := range []string{"barid_commit_seconds_sum", `barid_commit_stage_seconds_sum{stage="write"}`, `barid_commit_stage_seconds_sum{stage="fsync"}`,
		"barid_publish_ack_seconds_sum", "barid_connect_seconds_sum", "barid_storage_free_bytes", "barid_storage_written_bytes_total", "barid_storage_position"} {
		if p.values[name] <= 0 {
			t.Errorf("%s is %v", name, p.values[name])
		}
	}
	if ack, sync := p.values["barid_publish_ack_seconds_sum"], p.values[`barid_commit_stage_seconds_bucket{stage="fsync",le="10"}`]; ack > 10 || sync < 1 {
		t.Errorf("an acknowledgement took %v s, after %v commits", ack, sync)
	}
}

func TestGroupsThatLagMostAreShownAndNoMore(t *testing.T) {
	b := start(t, "durability=memory")
	var filters []string
	for i := range groupsShown + 20 {
		filters = append(filters, fmt.Sprintf("$share/g%d/f", i))
	}
	talk(t, b, 2, connect("c"), subscribe(filters...))
	p := scrape(t, Options{Broker: b})
	n := 0
	for name := range p.values {
		if strings.HasPrefix(name, "barid_group_members{") {
			n++
		}
	}
	if n != groupsShown || p.values["barid_groups"] != groupsShown+20 {
		t.Errorf("%d of %v groups are shown", n, p.values["barid_groups"])
	}
	if len(p.values) > 2000 {
		t.Errorf("there are %d series", len(p.values))
	}
}

// consume makes a consumer of j/#.
func consume(t *testing.T, b *broker.Broker, name string) {
	t.Helper()
	c := broker.ConsumerConfig{Filters: []string{"j/#"}, AckWait: time.Minute, MaxDeliver: 9}
	if _, err := b.PutConsumer(t.Context(), name, c, stream.Offset{Latest: true}); err != nil {
		t.Fatal(err)
	}
}

func TestConsumersAreCountedInAllAndThoseThatLagMostByName(t *testing.T) {
	b := start(t, "durability=memory")
	for i := range groupsShown + 5 {
		consume(t, b, fmt.Sprintf("c%d", i))
	}
	talk(t, b, 2, connect("c"), &mqtt.Publish{Topic: []byte("j/1"), QoS: 1, PacketID: 1, Payload: []byte("x")})
	poll := func() []message.Position {
		t.Helper()
		batch, err := b.Poll(t.Context(), "c7", 10, 1<<20, 10*time.Second)
		if err != nil || len(batch) != 1 {
			t.Fatalf("%d messages, %v", len(batch), err)
		}
		return []message.Position{batch[0].Position}
	}
	if unknown, err := b.Reject(t.Context(), "c7", poll(), 0); err != nil || len(unknown) > 0 {
		t.Fatal(unknown, err)
	}
	if unknown, err := b.Acknowledge(t.Context(), "c7", poll()); err != nil || len(unknown) > 0 {
		t.Fatal(unknown, err)
	}
	b.PushFailed("c7")
	b.PushFailed("nobody")
	p := scrape(t, Options{Broker: b})
	for event, want := range map[string]float64{"delivered": 2, "redelivered": 1, "returned": 1, "acknowledged": 1, "dead_lettered": 0, "push_failed": 1} {
		if got := p.values[`barid_consumers_messages_total{event="`+event+`"}`]; got != want {
			t.Errorf("%s: %v, not %v", event, got, want)
		}
	}
	shown := 0
	for name := range p.values {
		if strings.HasPrefix(name, "barid_consumer_lag_messages{") {
			shown++
		}
		if strings.HasPrefix(name, "barid_group_members{") {
			t.Errorf("%s is a consumer", name)
		}
	}
	if shown != groupsShown || p.values["barid_consumers"] != groupsShown+5 || p.values["barid_groups"] != 0 {
		t.Errorf("%d of %v consumers are shown, and %v groups", shown, p.values["barid_consumers"], p.values["barid_groups"])
	}
}

var metricName = regexp.MustCompile(`\b(?:barid|process|go)_[a-z0-9_]+`)

// What the dashboard and the alert rules ask for has to be there.
func TestTheDashboardAndTheRulesUseMetricsThatExist(t *testing.T) {
	requests := &metrics.Requests{Method: "GET", Route: "/x"}
	requests.Took.Observe(time.Millisecond)
	b := start(t, "streams.s.filters=s/#")
	consume(t, b, "jobs")
	talk(t, b, 2, connect("c"), subscribe("$share/g/f"))
	b.Alarms().Activate("oven_hot", "", nil)
	p := scrape(t, Options{Broker: b, Requests: func() []*metrics.Requests { return []*metrics.Requests{requests} }})
	for file, least := range map[string]int{"grafana/barid.json": 40, "prometheus/barid.rules.yaml": 9} {
		text, err := os.ReadFile("../../deploy/" + file)
		if err != nil {
			t.Fatal(err)
		}
		used := map[string]bool{}
		for _, name := range metricName.FindAllString(string(text), -1) {
			if name != "barid_rules" {
				used[name] = true
			}
		}
		for name := range used {
			if !p.names[name] {
				t.Errorf("%s uses %s, which is not there", file, name)
			}
		}
		if len(used) < least {
			t.Errorf("%s uses %d metrics only", file, len(used))
		}
	}
}

// The dashboard is valid JSON, asks for its data source, and lays out its panels without an overlap.
func TestTheDashboardCanBeImported(t *testing.T) {
	text, err := os.ReadFile("../../deploy/grafana/barid.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		UID    string
		Panels []struct {
			ID         int
			Title      string
			Type       string
			GridPos    struct{ X, Y, W, H int }
			Datasource struct{ UID string }
			Targets    []struct{ Expr string }
		}
		Templating struct{ List []struct{ Name, Type string } }
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if l := d.Templating.List; d.UID == "" || len(l) != 2 || l[0].Name != "datasource" || l[0].Type != "datasource" || l[1].Name != "instance" {
		t.Errorf("uid %q, variables %+v", d.UID, d.Templating.List)
	}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("the panel %s has the number of another", p.Title)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, ok := taken[at]; ok || at[0] >= 24 {
					t.Fatalf("the panel %s lies over %s, or beside the page", p.Title, other)
				}
				taken[at] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("the panel %s asks %q for %d series", p.Title, p.Datasource.UID, len(p.Targets))
		}
	}
}

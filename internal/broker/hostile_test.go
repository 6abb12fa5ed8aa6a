package broker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/barid-mqtt/barid/internal/hostile"
	"github.com/barid-mqtt/barid/mqtt"
	"github.com/barid-mqtt/barid/pkg/websocket"
)

// bed is a broker with sockets, for streams that are not what they should be.
type bed struct {
	*hostile.Target
	t *testing.T
	b *Broker
}

// bedLimits bound what a client can make the broker hold, so that a test can tell whether it does.
var bedLimits = []string{
	"mqtt.connect_timeout_seconds=1", "mqtt.sys_interval_seconds=1", "session.expiry_max_seconds=1", "session.expiry_v3_seconds=1",
	"mqtt.max_subscriptions_per_session=2000", "limits.max_subscriptions=20000", "limits.max_retained_messages=200",
	"limits.max_retained_bytes=1000000", "mqtt.delayed_max_seconds=2", "mqtt.out_buffer_max_bytes=65536",
	"session.queue_max_bytes=16777216",
}

func newBed(t *testing.T, sets ...string) *bed {
	t.Helper()
	cert, key := selfSigned(t)
	all := []string{
		"listeners.tcp.bind=127.0.0.1:0", "listeners.ws.bind=127.0.0.1:0",
		"listeners.tls.bind=127.0.0.1:0", "listeners.tls.cert_file=" + cert, "listeners.tls.key_file=" + key,
		"listeners.proxy.type=tcp", "listeners.proxy.bind=127.0.0.1:0", "listeners.proxy.proxy_protocol=true",
	}
	x := &bed{t: t, b: newTestBroker(t, append(all, sets...))}
	x.Target = &hostile.Target{Addr: make(map[string]string), Patience: 20 * time.Second, Fault: func(text string) { t.Error(text) }}
	if err := x.b.Start(); err != nil {
		t.Fatal(err)
	}
	for _, l := range x.b.Listeners() {
		x.Addr[l.Name] = l.Addr
	}
	return x
}

// stop ends the broker and fails if that takes long.
func (x *bed) stop() {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	begun := time.Now()
	if err := x.b.Stop(ctx); err != nil {
		x.t.Error(err)
	}
	x.t.Logf("stopping took %v", time.Since(begun).Round(time.Millisecond))
}

// dial connects to a listener. Whatever happens on the connection ends within a time.
func (x *bed) dial(listener string) net.Conn {
	x.t.Helper()
	c, err := net.DialTimeout("tcp", x.Addr[listener], 5*time.Second)
	if err != nil {
		x.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// upgraded is a connection behind the WebSocket handshake, and the socket below.
func (x *bed) upgraded() (*websocket.Conn, net.Conn) {
	x.t.Helper()
	c := x.dial("ws")
	w, err := websocket.Client(c, websocket.ClientOptions{Path: "/mqtt", Subprotocols: []string{"mqtt"}})
	if err != nil {
		x.t.Fatal(err)
	}
	return w, c
}

// enter connects a client.
func (x *bed) enter(c *mqtt.Connect) *peer {
	x.t.Helper()
	p, ack := handshake(x.t, x.dial("tcp"), c)
	if ack == nil || ack.Code != mqtt.Success {
		x.t.Fatalf("CONNACK %+v", ack)
	}
	return p
}

func selfSigned(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// heap is what is in use after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// hostileStreams is how many streams run; the environment may ask for more.
func hostileStreams(t *testing.T) int {
	if s := os.Getenv("BARID_HOSTILE_STREAMS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if testing.Short() {
		return 500
	}
	return 1500
}

// What thousands of hostile streams may cost: at most so much memory meanwhile, their own side in this process
// included, and next to nothing once they are over.
const (
	hostilePeak = 400 << 20
	hostileRest = 24 << 20
	hostileWait = 10 * time.Second // for a message of those who behave; a machine with other work takes seconds by itself
)

func TestHostileStreamsTouchNothingElse(t *testing.T) {
	const seed = 20261123
	x := newBed(t, bedLimits...)
	direct := x.newPair("direct", false)
	durable := x.newPair("durable", true)
	eventually(time.Second, func() bool { return direct.Got() > 20 && durable.Got() > 20 })
	goroutines, before := runtime.NumGoroutine(), heap()

	stopPeak := make(chan struct{})
	peak := watchHeap(stopPeak)
	begun := time.Now()
	n := hostileStreams(t)
	x.runStreams(seed, n)
	close(stopPeak)
	t.Logf("seed %d: %d streams in %v", seed, n, time.Since(begun).Round(time.Millisecond))

	if !eventually(15*time.Second, func() bool { return x.b.connections.Load() == 4 && x.b.registry.len() == 4 }) {
		t.Errorf("%d connections and %d sessions are left: %q", x.b.connections.Load(), x.b.registry.len(), x.ids())
	}
	if !eventually(15*time.Second, func() bool { return runtime.NumGoroutine() <= goroutines+4 }) {
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), goroutines, stacks[:runtime.Stack(stacks, true)])
	}
	// What is in the log for sessions that have ended goes with the next look at it.
	eventually(15*time.Second, func() bool { return heap()-before <= hostileRest })
	after, most := heap(), <-peak
	t.Logf("heap before %d KiB, at most %d KiB, after %d KiB", before>>10, most>>10, after>>10)
	if most > hostilePeak || after-before > hostileRest {
		t.Errorf("heap grew from %d to %d, and at most %d", before, after, most)
	}
	if subs := x.b.subscriptions.Load(); subs != 2 || x.b.router.Subscriptions() != 2 || x.b.groups.len() != 0 {
		t.Errorf("%d subscriptions are left, %d in the index, %d groups", subs, x.b.router.Subscriptions(), x.b.groups.len())
	}
	direct.end(hostileWait)
	durable.end(hostileWait)
	x.stop()
}

func (x *bed) ids() (ids []string) {
	for _, c := range x.b.registry.all() {
		if !strings.HasPrefix(c.id, "pair-") {
			ids = append(ids, c.id)
		}
	}
	return ids
}

// watchHeap looks at the heap until stop is closed, and then says how large it was at most.
func watchHeap(stop chan struct{}) <-chan int64 {
	peak := make(chan int64, 1)
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		var most int64
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, int64(m.HeapAlloc))
			select {
			case <-stop:
				peak <- most
				return
			case <-tick.C:
			}
		}
	}()
	return peak
}

// runStreams runs n streams of all kinds, some at a time.
func (x *bed) runStreams(seed uint64, n int) {
	var wg sync.WaitGroup
	next := make(chan int)
	kinds := x.Kinds()
	for range 24 {
		wg.Go(func() {
			for i := range next {
				begun := time.Now()
				name := x.Run(kinds, seed, i)
				if took := time.Since(begun); took > 25*time.Second {
					x.t.Errorf("stream %d, %s: took %v", i, name, took)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

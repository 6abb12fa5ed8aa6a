package config

import (
	"maps"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/barid-mqtt/barid/mqtt"
)

const defaultPath = "/mqtt"

// AnyPath is the path of a WebSocket listener that takes them all.
const AnyPath = "*"

// complete fills in what a listener may leave out.
func (l *loader) complete() {
	for name, ln := range l.cfg.Listeners {
		if ln.Type == "" {
			ln.Type = typeByName(name)
		}
		if ln.Path == "" && ln.Type.webSocket() {
			ln.Path = defaultPath
		}
		l.cfg.Listeners[name] = ln
	}
}

func typeByName(name string) ListenerType {
	switch t := ListenerType(name); t {
	case TCP, TLS, WS, WSS, Unix:
		return t
	}
	return ""
}

func (t ListenerType) webSocket() bool { return t == WS || t == WSS }
func (t ListenerType) secure() bool    { return t == TLS || t == WSS }

// secrets reads the files that hold secrets.
func (l *loader) secrets() {
	l.secretsOf(reflect.ValueOf(l.cfg).Elem(), "")
}

func (l *loader) secretsOf(section reflect.Value, prefix string) {
	fields := fieldsOf(section.Type())
	for _, f := range fields {
		v, path := section.Field(f.index), prefix+f.name
		if v.Kind() == reflect.Struct {
			l.secretsOf(v, path+".")
		}
		if !f.secret {
			continue
		}
		file := section.Field(find(fields, f.name+"_file").index).String()
		if file == "" {
			continue
		}
		if v.Kind() == reflect.String && v.String() != "" || v.Kind() == reflect.Slice && v.Len() > 0 {
			l.failKey(path, "is set, and so is %s_file: leave one out", path)
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			l.failKey(path+"_file", "%v", err)
			continue
		}
		l.setSecret(v, path, file, strings.TrimRight(string(text), "\r\n"))
	}
}

// setSecret sets a secret to what its file holds; a list has one element a line.
func (l *loader) setSecret(v reflect.Value, path, file, text string) {
	switch {
	case text == "":
		l.failKey(path+"_file", "%s is empty", file)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.ValueOf(strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")))
	default:
		v.SetString(text)
	}
}

// check applies the rules that concern more than one key.
func (l *loader) check() {
	l.checkAuth()
	if len(l.cfg.Listeners) == 0 {
		l.failKey("listeners", "there is none; clients could not connect")
	}
	names := slices.Sorted(maps.Keys(l.cfg.Listeners))
	for _, name := range names {
		l.checkListener(name, l.cfg.Listeners[name])
	}
	l.checkHostPort("api.bind", l.cfg.API.Bind)
	if (l.cfg.API.CertFile == "") != (l.cfg.API.KeyFile == "") {
		l.failKey("api", "cert_file and key_file go together")
	}
	l.checkHostPort("metrics.bind", l.cfg.Metrics.Bind)
	l.checkURL("tracing.otlp_endpoint", l.cfg.Tracing.OTLPEndpoint)
	l.checkBinds(names)
	for _, name := range slices.Sorted(maps.Keys(l.cfg.Streams)) {
		l.checkStream("streams."+name, l.cfg.Streams[name])
	}
	for _, a := range l.cfg.Consumers.PushAllow {
		if _, err := netip.ParsePrefix(a); err != nil && (a == "" || strings.ContainsAny(a, "/ ")) {
			l.failKey("consumers.push_allow", "%q is no address, no prefix such as 10.0.0.0/8, and no name of a host", a)
		}
	}
	if l.cfg.DataDir == "" {
		l.failKey("data_dir", "is empty; name a directory")
	}
}

func (l *loader) checkStream(key string, s Stream) {
	if len(s.Filters) == 0 {
		l.failKey(key, "needs filters")
	}
	for i, filter := range s.Filters {
		f, err := mqtt.ParseTopicFilter(filter)
		_, shared := f.Group()
		switch {
		case err != nil:
			l.failKey(key+".filters", "%v", err)
		case shared, strings.HasPrefix(filter, "$stream/"), strings.HasPrefix(filter, "$queue/"), strings.HasPrefix(filter, "$exclusive/"), strings.HasPrefix(filter, "$delayed/"):
			l.failKey(key+".filters", "%q is for subscribing or publishing; a stream's filters are those of plain topics", filter)
		case slices.Contains(s.Filters[:i], filter):
			l.failKey(key+".filters", "%q is there twice", filter)
		}
	}
}

// WebListener is the name of the listener whose connections come by the HTTP API's address.
const WebListener = "api"

func (l *loader) checkListener(name string, ln Listener) {
	key := "listeners." + name
	switch {
	case name == WebListener:
		l.failKey(key, "is the name of the one at /mqtt of api.bind; choose another")
		return
	case ln.Type == "":
		l.failKey(key, "needs a type, one of tcp, tls, ws, wss, unix")
		return
	case ln.Bind == "":
		l.failKey(key, "needs bind, for example 127.0.0.1:1883")
		return
	case ln.Type != Unix && !l.checkHostPort(key+".bind", ln.Bind):
		return
	}
	if ln.Path != "" && ln.Path != AnyPath && !strings.HasPrefix(ln.Path, "/") {
		l.failKey(key+".path", "%q does not begin with /, and is not * for any", ln.Path)
	}
	if strings.ContainsAny(ln.MountPoint, "+#\x00") {
		l.failKey(key+".mount_point", "%q holds a wildcard", ln.MountPoint)
	}
	if ln.MaxPacketBytes != 0 && ln.MaxPacketBytes < 64 {
		l.failKey(key+".max_packet_bytes", "is less than 64")
	}
	l.checkTLS(key, ln)
	l.checkOpen(name, ln)
}

// checkOpen refuses a listener that others than this machine reach and that nothing was decided about.
func (l *loader) checkOpen(name string, ln Listener) {
	if ln.Local() || ln.RequireClientCert || ln.AllowAnonymous != nil || l.cfg.Auth.AllowAnonymous != nil ||
		l.cfg.Auth.decided() {
		return
	}
	l.failKey("listeners."+name+".bind", "%s is open to other machines and nothing says who may connect; "+
		"to let everyone in, add these two lines:\nauth:\n  allow_anonymous: true", ln.Bind)
}

// checkHostPort checks an address, which may be empty.
func (l *loader) checkHostPort(key, bind string) bool {
	if bind == "" {
		return true
	}
	_, port, err := net.SplitHostPort(bind)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		l.failKey(key, "%q is not host:port, for example 127.0.0.1:1883 or [::1]:1883", bind)
	}
	return err == nil
}

// checkBinds refuses two servers at one address.
func (l *loader) checkBinds(names []string) {
	type server struct{ key, bind string }
	var servers []server
	for _, name := range names {
		servers = append(servers, server{"listeners." + name + ".bind", l.cfg.Listeners[name].Bind})
	}
	servers = append(servers, server{"api.bind", l.cfg.API.Bind})
	if l.cfg.Metrics.Bind != l.cfg.API.Bind { // the same address is served by one server
		servers = append(servers, server{"metrics.bind", l.cfg.Metrics.Bind})
	}
	for i, a := range servers {
		for _, b := range servers[:i] {
			if sameAddress(a.bind, b.bind) {
				l.failKey(a.key, "%s is taken by %s", a.bind, b.key)
			}
		}
	}
}

// sameAddress reports whether two servers could not listen at a and b at the same time.
func sameAddress(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil {
		return a == b // paths of unix sockets
	}
	if portA != portB || portA == "0" {
		return false
	}
	return hostA == hostB || everyHost(hostA) || everyHost(hostB)
}

func everyHost(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

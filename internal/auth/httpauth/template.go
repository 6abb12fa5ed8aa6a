package httpauth

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// values are what placeholders stand for.
type values struct {
	clientID, username, password, listener string
	peer                                   netip.Addr
	commonName, subject                    string // of the client's certificate
	topic, action, qos, retain             string // of an authorisation
}

// placeholder is one of the names in ${…}.
type placeholder uint8

const (
	literal placeholder = iota
	clientID
	username
	password
	listenerName
	peerHost
	certCommonName
	certSubject
	topic
	action
	qos
	retain
)

var placeholders = map[string]placeholder{
	"clientid": clientID, "username": username, "password": password, "listener": listenerName, "peerhost": peerHost,
	"cert_common_name": certCommonName, "cert_subject": certSubject, "topic": topic, "action": action, "qos": qos, "retain": retain,
}

// onlyAuthorisation are those that have no value when a client connects, and onlyAuthentication the other way round.
var (
	onlyAuthorisation  = []placeholder{topic, action, qos, retain}
	onlyAuthentication = []placeholder{password, certCommonName, certSubject}
)

func (v *values) get(p placeholder) string {
	switch p {
	case clientID:
		return v.clientID
	case username:
		return v.username
	case password:
		return v.password
	case listenerName:
		return v.listener
	case peerHost:
		if !v.peer.IsValid() {
			return ""
		}
		return v.peer.String()
	case certCommonName:
		return v.commonName
	case certSubject:
		return v.subject
	case topic:
		return v.topic
	case action:
		return v.action
	case qos:
		return v.qos
	case retain:
		return v.retain
	}
	return ""
}

// template is a text with placeholders.
type template []part

type part struct {
	text string
	of   placeholder
}

// parseTemplate takes text apart.
func parseTemplate(text string) (template, error) {
	var t template
	for {
		before, after, found := strings.Cut(text, "${")
		t = append(t, part{text: before})
		if !found {
			return t, nil
		}
		name, rest, closed := strings.Cut(after, "}")
		of, known := placeholders[name]
		if !closed || !known {
			return nil, fmt.Errorf("%q: the placeholders are ${clientid}, ${username}, ${password}, ${peerhost}, ${listener}, "+
				"${cert_common_name}, ${cert_subject} and, for authorisation, ${topic}, ${action}, ${qos}, ${retain}", "${"+name+"}")
		}
		t = append(t, part{of: of})
		text = rest
	}
}

func (t template) uses(of placeholder) bool {
	for _, p := range t {
		if p.of == of && of != literal {
			return true
		}
	}
	return false
}

// expand puts the values in, each through escape.
func (t template) expand(v *values, escape func(string) string) string {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(p.text)
		if p.of != literal {
			b.WriteString(escape(v.get(p.of)))
		}
	}
	return b.String()
}

func plain(s string) string { return s }

// segment escapes a value so that it stays within one segment of a path, or one value of a query: / and & are escaped,
// and so are the dots of "." and "..", which would leave the segment.
func segment(s string) string {
	if s == "." || s == ".." {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

package conformance

import (
	"strings"
	"testing"
)

// TestWatchSeesBreaches shows that the checks that run beside every scenario see what they are there for.
func TestWatchSeesBreaches(t *testing.T) {
	const ok = "; connack 0x00"
	tests := []struct{ dialogue, breach string }{
		{"connect v5 max_packet=20" + ok, ""},
		{"connect v5 max_packet=20; connack 0x00 reason=x*20", "MQTT-3.1.2-24"},
		{"connect v5; pingresp", "MQTT-3.2.0-1"},
		{"connect v5; auth 0x18", "MQTT-3.2.0-1"},
		{"connect v5" + ok + ok, "MQTT-3.2.0-2"},
		{"connect v5; connack 0x87 session_present=1", "MQTT-3.2.2-6"},
		{"connect v5; connack 0x87; pingresp", "MQTT-3.14.4-1"},
		{"connect v5; connack 0x03", "connack has no code 0x03"},
		{"connect v3.1.1; connack 0x87", "connack has no code 0x87"},
		{"connect v5; disconnect 0x82", "MQTT-3.14.0-1"},
		{"connect v5" + ok + "; disconnect 0x82; pingresp", "MQTT-3.14.4-1"},
		{"connect v5" + ok + "; disconnect 0x04", "disconnect has no code 0x04"},
		{"connect v5" + ok + "; disconnect 0x82 session_expiry=1", "MQTT-3.14.2-2"},
		{"connect v5" + ok + "; publish t alias=1", "MQTT-3.1.2-26"},
		{"connect v5 alias_max=5" + ok + "; publish t alias=0", "MQTT-3.1.2-26"},
		{"connect v5 alias_max=5" + ok + "; publish t alias=5; publish no-topic alias=5", ""},
		{"connect v5 alias_max=5" + ok + "; publish no-topic alias=5", "stands for none"},
		{"connect v5" + ok + "; publish t qos1 id=1; publish t qos1 id=1 dup", "MQTT-2.2.1-4"},
		{"connect v5" + ok + "; publish t qos1 id=1; >puback 1; publish t qos1 id=1", ""},
		{"connect v5 receive_max=1" + ok + "; publish t qos1 id=1; publish t qos1 id=2", "MQTT-3.3.4-7"},
		{"connect v5 receive_max=1" + ok + "; publish t qos2 id=1; >pubrec 1; publish t qos1 id=2", "MQTT-3.3.4-7"},
		{"connect v5 receive_max=1" + ok + "; publish t qos2 id=1; >pubrec 1 0x80; publish t qos1 id=2", ""},
		{"connect v5" + ok + "; publish t dup", "MQTT-3.3.1-2"},
		{"connect v5 problem_info=0" + ok + "; puback 1 0x87 reason=no", "MQTT-3.1.2-29"},
		{"connect v5 problem_info=0" + ok + "; disconnect 0x87 reason=no", ""},
		{"connect v5; connack 0x00 response_information=x", "MQTT-3.1.2-28"},
		{"connect v5" + ok + "; puback 1 0x92", "puback has no code 0x92"},
		{"connect v5" + ok + "; pubrec 1 0x92", "pubrec has no code 0x92"},
		{"connect v5" + ok + "; pubrel 1 0x10", "pubrel has no code 0x10"},
		{"connect v5" + ok + "; pubcomp 1 0x10", "pubcomp has no code 0x10"},
		{"connect v5" + ok + "; suback 1 0x00 0x03", "suback has no code 0x03"},
		{"connect v5" + ok + "; unsuback 1 0x01", "unsuback has no code 0x01"},
		{"connect v3.1.1" + ok + "; suback 1 0x80", ""},
		{"connect v3.1.1" + ok + "; suback 1 0x87", "suback has no code 0x87"},
		{"connect v3.1" + ok + "; suback 1 0x80", "suback has no code 0x80"},
		{"connect v5 method=m; auth 0x18", "MQTT-4.12.0-5"},
		{"connect v5 method=m" + ok, "MQTT-4.12.0-5"},
		{"connect v5; connack 0x00 method=m", "MQTT-4.12.0-5"},
	}
	for _, test := range tests {
		got := breach(t, test.dialogue)
		if test.breach == "" && got != "" || !strings.Contains(got, test.breach) {
			t.Errorf("%s: got %q, want %q", test.dialogue, got, test.breach)
		}
	}
}

// breach plays packets to a watch and returns the first complaint. Those of the client are CONNECT and what begins with ">".
func breach(t *testing.T, dialogue string) string {
	var w *watch
	for _, line := range strings.Split(dialogue, "; ") {
		fromClient := strings.HasPrefix(line, ">")
		p, err := ParsePacket(strings.TrimPrefix(line, ">"))
		if err != nil {
			t.Fatal(err)
		}
		if p.Kind == "connect" {
			version, _ := p.get("version")
			w = newWatch(Versions[version])
		}
		if fromClient || p.Kind == "connect" {
			w.sent(p)
			continue
		}
		if err := w.got(p, len(line)); err != nil {
			return err.Error()
		}
	}
	return ""
}

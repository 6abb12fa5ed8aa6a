"""Runs Python's paho against a broker: python3 client.py URL VERSION TOPIC CA. Prints "ok <rule>" for each rule that holds."""

import queue
import sys
from urllib.parse import urlparse

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

url, version, topic, ca = urlparse(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
v5 = version == 5
PATIENCE = 20


class Client:
    """A connected client, whose events wait in queues."""

    def __init__(self, client_id="", clean=True, will=None, session_expiry=None, connect=True):
        args = {"protocol": version, "transport": "websockets" if url.scheme in ("ws", "wss") else "tcp"}
        client_id = client_id or f"py{id(self):x}"
        if not v5:
            args["clean_session"] = clean
        if hasattr(mqtt, "CallbackAPIVersion"):  # since paho 2
            args["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION1
        self.client = c = mqtt.Client(client_id=client_id, **args)
        if url.scheme in ("ws", "wss"):
            c.ws_set_options(path=url.path)
        if url.scheme in ("mqtts", "wss"):
            c.tls_set(ca_certs=ca)
        if will:
            c.will_set(will, "gone", qos=1)
        self.connected, self.messages, self.answers = queue.Queue(), queue.Queue(), queue.Queue()
        c.on_connect = lambda c, u, flags, code, *rest: self.connected.put((flags, code))
        c.on_message = lambda c, u, message: self.messages.put(message)
        c.on_subscribe = lambda *args: self.answers.put(args)
        c.on_unsubscribe = lambda *args: self.answers.put(args)
        kwargs = {}
        if v5:
            kwargs["clean_start"] = clean
            if session_expiry:
                kwargs["properties"] = properties(PacketTypes.CONNECT, SessionExpiryInterval=session_expiry)
        c.connect(url.hostname, url.port, **kwargs)
        c.loop_start()
        self.flags, code = self.connected.get(timeout=PATIENCE)
        assert code == 0, code

    def subscribe(self, topic_filter, qos=2, **kwargs):
        self.client.subscribe(topic_filter, qos, **kwargs)
        return self.answers.get(timeout=PATIENCE)

    def publish(self, name, payload, qos=1, **kwargs):
        info = self.client.publish(name, payload, qos, **kwargs)
        if qos > 0:
            info.wait_for_publish(PATIENCE)
            assert info.is_published()

    def next(self):
        return self.messages.get(timeout=PATIENCE)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()

    def vanish(self):
        self.client.loop_stop()
        self.client._sock_close()


def properties(packet_type, **values):
    p = Properties(packet_type)
    for name, value in values.items():
        setattr(p, name, value)
    return p


def qos_0_1_and_2_arrive_as_they_were_sent():
    sub, pub = Client(), Client()
    sub.subscribe(topic + "/qos")
    for qos in range(3):
        pub.publish(topic + "/qos", f"payload {qos}", qos)
        got = sub.next()
        assert (got.payload, got.qos, got.retain, got.dup) == (f"payload {qos}".encode(), qos, 0, 0), vars(got)
    sub.close()
    pub.close()


def hundreds_of_messages_keep_their_order():
    client = Client()
    client.subscribe(topic + "/order")
    for i in range(300):
        client.client.publish(topic + "/order", str(i), 2)
    for i in range(300):
        assert client.next().payload == str(i).encode()
    client.close()


def a_retained_message_waits_until_it_is_removed():
    client = Client()
    client.publish(topic + "/kept", "kept", retain=True)
    client.subscribe(topic + "/+")
    got = client.next()
    assert (got.payload, got.retain) == (b"kept", 1)
    client.publish(topic + "/kept", "", retain=True)
    assert client.next().payload == b""
    other = Client()
    other.subscribe(topic + "/+")
    client.publish(topic + "/live", "live")
    assert other.next().payload == b"live"
    client.close()
    other.close()


def a_will_is_published_for_who_vanishes():
    watcher = Client()
    watcher.subscribe(topic + "/will")
    Client(will=topic + "/will").vanish()
    assert watcher.next().payload == b"gone"
    watcher.close()


def a_session_survives_its_connection():
    session = {"client_id": f"py-{url.scheme}-{version}", "clean": False, "session_expiry": 600}
    first = Client(**session)
    first.subscribe(topic + "/session", 1)
    first.close()
    pub = Client()
    for payload in "abc":
        pub.publish(topic + "/session", payload)
    pub.close()
    second = Client(**session)
    present = second.flags["session present"] if isinstance(second.flags, dict) else second.flags.session_present
    if version > 3:  # 3.1 has no such flag
        assert present == 1, present
    assert [second.next().payload for _ in "abc"] == [b"a", b"b", b"c"]
    second.close()


def unsubscribing_ends_delivery():
    client = Client()
    client.subscribe([(topic + "/one", 1), (topic + "/two", 1)], None)
    client.client.unsubscribe(topic + "/one")
    client.answers.get(timeout=PATIENCE)
    client.publish(topic + "/one", "no")
    client.publish(topic + "/two", "yes")
    assert client.next().payload == b"yes"
    client.close()


def properties_pass_unchanged():
    client = Client()
    client.subscribe(topic + "/props", 1)
    sent = properties(PacketTypes.PUBLISH, ContentType="text/plain", ResponseTopic=topic + "/r", CorrelationData=b"\0\xff",
                      PayloadFormatIndicator=1, UserProperty=[("a", "1"), ("a", "2")])
    client.publish(topic + "/props", "x", properties=sent)
    got = client.next().properties
    for name in ("ContentType", "ResponseTopic", "CorrelationData", "PayloadFormatIndicator", "UserProperty"):
        assert getattr(got, name) == getattr(sent, name), (name, getattr(got, name))
    client.close()


rules = [qos_0_1_and_2_arrive_as_they_were_sent, hundreds_of_messages_keep_their_order, a_retained_message_waits_until_it_is_removed,
         a_will_is_published_for_who_vanishes, a_session_survives_its_connection, unsubscribing_ends_delivery]
if v5:
    rules.append(properties_pass_unchanged)
for rule in rules:
    rule()
    print("ok", rule.__name__.replace("_", " "), flush=True)

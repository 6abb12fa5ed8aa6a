"""An example of a client with a persistent session, by paho-mqtt 1.6 or 2."""

import os
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

client_id = os.getenv("MQTT_CLIENT_ID", "demo-python")


def on_connect(client, userdata, flags, reason_code, properties):
    """Runs after each connect: a session that the broker no longer has needs its subscriptions again."""
    if reason_code != 0:
        print("not connected:", reason_code, flush=True)
        return
    client.subscribe("demo/#", qos=1)
    client.publish(f"demo/{client_id}/status", "online", qos=1, retain=True)


def on_message(client, userdata, message):
    print(message.topic, message.payload.decode(errors="replace"), flush=True)


# Version 2 asks which callbacks it is given; version 1.6 has the same ones for MQTT 5.
version = [mqtt.CallbackAPIVersion.VERSION2] if hasattr(mqtt, "CallbackAPIVersion") else []
client = mqtt.Client(*version, client_id=client_id, protocol=mqtt.MQTTv5)
client.on_connect, client.on_message = on_connect, on_message
client.will_set(f"demo/{client_id}/status", "offline", qos=1, retain=True)
client.reconnect_delay_set(min_delay=1, max_delay=30)
if "MQTT_USER" in os.environ:
    client.username_pw_set(os.environ["MQTT_USER"], os.getenv("MQTT_PASSWORD"))
if "MQTT_CA" in os.environ:
    client.tls_set(ca_certs=os.environ["MQTT_CA"])

session = Properties(PacketTypes.CONNECT)
session.SessionExpiryInterval = 3600  # the broker keeps the session for an hour
client.connect_async(os.getenv("MQTT_HOST", "localhost"), int(os.getenv("MQTT_PORT", "1883")), keepalive=30,
                     clean_start=False, properties=session)
client.loop_start()  # connects, and connects again

try:
    n = 0
    while True:
        n += 1
        client.publish(f"demo/{client_id}", f"message {n}", qos=1)  # waits in memory while there is no connection
        time.sleep(1)
except KeyboardInterrupt:
    client.disconnect()  # says goodbye: no will
    client.loop_stop()

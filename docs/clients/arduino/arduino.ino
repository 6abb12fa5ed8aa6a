// An example of a client with a persistent session, by PubSubClient 2.8 on an ESP32.
#include <WiFi.h>
#include <WiFiClientSecure.h>
#include <PubSubClient.h>

const char *ssid = "network", *wifiPassword = "secret";
const char *host = "broker.example"; // a name that the broker's certificate has
const char *user = "alice", *password = "wonderland";
const char *id = "demo-arduino", *topic = "demo/demo-arduino", *status = "demo/demo-arduino/status";

const char ca[] = R"PEM(
-----BEGIN CERTIFICATE-----
the contents of ca.crt
-----END CERTIFICATE-----
)PEM";

WiFiClientSecure network; // without TLS: WiFiClient, port 1883, and no setCACert
PubSubClient client(network);
unsigned long lastAttempt = 0, lastMessage = 0, n = 0;

void received(char *topic, byte *payload, unsigned int length) {
  Serial.print(topic);
  Serial.print(' ');
  Serial.write(payload, length);
  Serial.println();
}

void setup() {
  Serial.begin(115200);
  WiFi.begin(ssid, wifiPassword); // joins again by itself
  configTime(0, 0, "pool.ntp.org"); // a certificate has dates
  network.setCACert(ca);
  client.setServer(host, 8883);
  client.setCallback(received);
  client.setKeepAlive(30);
  client.setBufferSize(1024); // of the largest packet; larger ones are skipped
}

void connect() {
  if (WiFi.status() != WL_CONNECTED || millis() - lastAttempt < 5000) return;
  lastAttempt = millis();
  // Will: QoS 1, retained. The last argument is the clean session: false keeps it.
  if (!client.connect(id, user, password, status, 1, true, "offline", false)) {
    Serial.printf("not connected: %d\n", client.state());
    return;
  }
  client.subscribe("demo/#", 1);
  client.publish(status, "online", true);
}

void loop() {
  if (!client.loop()) return connect();
  if (millis() - lastMessage < 1000) return;
  lastMessage = millis();
  char text[32];
  snprintf(text, sizeof text, "message %lu", ++n);
  client.publish(topic, text); // QoS 0: the library has no other
}

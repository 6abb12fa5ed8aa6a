/* An example of a client with a persistent session, by libmosquitto 2: cc client.c -lmosquitto */
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stop;
static char topic[128], status[140];

static void on_signal(int number) { (void)number; stop = 1; }

static const char *env(const char *name, const char *otherwise) {
	const char *value = getenv(name);
	return value && *value ? value : otherwise;
}

/* Runs after each connect: a session that the broker no longer has needs its subscriptions again. */
static void on_connect(struct mosquitto *m, void *obj, int reason, int flags, const mosquitto_property *props) {
	(void)obj, (void)flags, (void)props;
	if (reason != 0) { fprintf(stderr, "not connected: %s\n", mosquitto_reason_string(reason)); return; }
	mosquitto_subscribe(m, NULL, "demo/#", 1);
	mosquitto_publish(m, NULL, status, 6, "online", 1, true);
}

static void on_message(struct mosquitto *m, void *obj, const struct mosquitto_message *msg) {
	(void)m, (void)obj;
	printf("%s %.*s\n", msg->topic, msg->payloadlen, (char *)msg->payload);
}

int main(void) {
	const char *id = env("MQTT_CLIENT_ID", "demo-c"), *ca = env("MQTT_CA", NULL);
	snprintf(topic, sizeof topic, "demo/%s", id);
	snprintf(status, sizeof status, "%s/status", topic);
	setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, into a pipe too */
	mosquitto_lib_init();
	struct mosquitto *m = mosquitto_new(id, false, NULL); /* false: no clean start */
	mosquitto_int_option(m, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
	mosquitto_connect_v5_callback_set(m, on_connect);
	mosquitto_message_callback_set(m, on_message);
	mosquitto_username_pw_set(m, env("MQTT_USER", NULL), env("MQTT_PASSWORD", NULL));
	mosquitto_will_set(m, status, 7, "offline", 1, true);
	mosquitto_reconnect_delay_set(m, 1, 30, true);
	int rc = ca ? mosquitto_tls_set(m, ca, NULL, NULL, NULL, NULL) : 0;
	if (rc != 0) { fprintf(stderr, "%s: %s\n", ca, mosquitto_strerror(rc)); return 1; }
	mosquitto_property *session = NULL; /* the broker keeps the session for an hour */
	mosquitto_property_add_int32(&session, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 3600);
	signal(SIGINT, on_signal);
	rc = mosquitto_connect_bind_v5(m, env("MQTT_HOST", "localhost"), atoi(env("MQTT_PORT", "1883")), 30, NULL, session);
	time_t last = 0;
	/* Not mosquitto_loop_start: some errors of a connection, with TLS above all, end its thread for good. */
	for (int n = 1; !stop; rc = mosquitto_loop(m, 100, 1)) {
		if (rc != 0) {
			fprintf(stderr, "not connected: %s\n", mosquitto_strerror(rc));
			sleep(1);
			mosquitto_reconnect(m);
		}
		if (time(NULL) == last) continue;
		last = time(NULL);
		char text[32]; /* what is published while there is no connection waits in memory */
		mosquitto_publish(m, NULL, topic, snprintf(text, sizeof text, "message %d", n++), text, 1, false);
	}
	mosquitto_disconnect(m); /* says goodbye: no will */
}

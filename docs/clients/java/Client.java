import java.io.FileInputStream;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.TrustManagerFactory;
import org.eclipse.paho.mqttv5.client.*;
import org.eclipse.paho.mqttv5.client.persist.MemoryPersistence;
import org.eclipse.paho.mqttv5.common.*;
import org.eclipse.paho.mqttv5.common.packet.MqttProperties;

/** An example of a client with a persistent session, by Eclipse Paho's org.eclipse.paho.mqttv5.client 1.2.5. */
public class Client implements MqttCallback {
    static final String ID = env("MQTT_CLIENT_ID", "demo-java");
    static MqttAsyncClient client;

    public static void main(String[] args) throws Exception {
        String ca = env("MQTT_CA", null);
        client = new MqttAsyncClient((ca == null ? "tcp://" : "ssl://") + env("MQTT_HOST", "localhost") + ":" + env("MQTT_PORT", "1883"), ID, new MemoryPersistence());
        MqttConnectionOptions options = new MqttConnectionOptions();
        options.setCleanStart(false);
        options.setSessionExpiryInterval(3600L); // the broker keeps the session for an hour
        options.setKeepAliveInterval(30);
        options.setAutomaticReconnect(true); // after the first connect
        options.setWill("demo/" + ID + "/status", message("offline", true));
        if (ca != null) options.setSocketFactory(trusting(ca));
        if (env("MQTT_USER", null) != null) {
            options.setUserName(env("MQTT_USER", null));
            options.setPassword(env("MQTT_PASSWORD", "").getBytes(StandardCharsets.UTF_8));
        }
        client.setCallback(new Client());
        client.connect(options).waitForCompletion();
        for (int n = 1; ; n++, Thread.sleep(1000)) { // Ctrl-C ends it, and the broker publishes the will
            if (client.isConnected()) client.publish("demo/" + ID, message("message " + n, false));
        }
    }

    /** Runs after each connect: a session that the broker no longer has needs its subscriptions again. */
    public void connectComplete(boolean reconnect, String uri) {
        try {
            client.subscribe("demo/#", 1);
            client.publish("demo/" + ID + "/status", message("online", true));
        } catch (MqttException e) { System.err.println("subscribing: " + e); }
    }
    public void messageArrived(String topic, MqttMessage m) { System.out.println(topic + " " + new String(m.getPayload(), StandardCharsets.UTF_8)); }
    public void disconnected(MqttDisconnectResponse r) { System.err.println("disconnected: " + r); }
    public void mqttErrorOccurred(MqttException e) { System.err.println(e); }
    public void deliveryComplete(IMqttToken token) {}
    public void authPacketArrived(int code, MqttProperties properties) {}

    static MqttMessage message(String text, boolean retain) { return new MqttMessage(text.getBytes(StandardCharsets.UTF_8), 1, retain, new MqttProperties()); }
    static String env(String name, String otherwise) { return System.getenv().getOrDefault(name, otherwise); }
    static SSLSocketFactory trusting(String file) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (FileInputStream in = new FileInputStream(file)) { store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in)); }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context.getSocketFactory();
    }
}

// An example of a client with a persistent session, by MQTT.js 5.
'use strict'
const fs = require('node:fs')
const mqtt = require('mqtt')

const { MQTT_HOST = 'localhost', MQTT_PORT = 1883, MQTT_CLIENT_ID = 'demo-javascript', MQTT_USER, MQTT_PASSWORD, MQTT_CA } = process.env

const client = mqtt.connect({
  protocol: MQTT_CA ? 'mqtts' : 'mqtt',
  host: MQTT_HOST,
  port: Number(MQTT_PORT),
  ca: MQTT_CA && fs.readFileSync(MQTT_CA),
  username: MQTT_USER,
  password: MQTT_PASSWORD,
  protocolVersion: 5,
  clientId: MQTT_CLIENT_ID,
  clean: false,
  properties: { sessionExpiryInterval: 3600 }, // the broker keeps the session for an hour
  keepalive: 30,
  reconnectPeriod: 1000,
  resubscribe: false, // done below
  will: { topic: `demo/${MQTT_CLIENT_ID}/status`, payload: 'offline', qos: 1, retain: true }
})

// After each connect: a session that the broker no longer has needs its subscriptions again.
client.on('connect', () => {
  client.subscribe('demo/#', { qos: 1 }, failed('subscribing'))
  client.publish(`demo/${MQTT_CLIENT_ID}/status`, 'online', { qos: 1, retain: true }, failed('publishing'))
})
client.on('message', (topic, payload) => console.log(topic, payload.toString()))
client.on('error', failed('connecting'))

let n = 0
const timer = setInterval(() => { // what is published while there is no connection waits in memory
  client.publish(`demo/${MQTT_CLIENT_ID}`, `message ${++n}`, { qos: 1 }, failed('publishing'))
}, 1000)

process.once('SIGINT', () => {
  clearInterval(timer)
  client.end() // says goodbye: no will
})

function failed (doing) {
  return err => { if (err) console.error(doing, err.message) }
}

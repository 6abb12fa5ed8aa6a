// Runs MQTT.js against a broker: node client.cjs URL VERSION TOPIC CA. Prints "ok <rule>" for each rule that holds.
'use strict'
const assert = require('node:assert/strict')
const { once } = require('node:events')
const fs = require('node:fs')
const mqtt = require('mqtt')

const [url, version, topic, ca] = process.argv.slice(2)
const v5 = version === '5'
const options = { protocolVersion: Number(version), reconnectPeriod: 0, connectTimeout: 10_000, ca: [fs.readFileSync(ca)] }
setTimeout(() => { console.error('no end within 50 s'); process.exit(1) }, 50_000)

// connect returns a connected client; its messages wait in client.inbox.
async function connect (more = {}) {
  const client = mqtt.connect(url, { ...options, ...more })
  client.inbox = []
  client.on('message', (topic, payload, packet) => {
    client.inbox.push({ topic, payload: payload.toString(), packet })
    client.emit('inbox')
  })
  const [connack] = await once(client, 'connect')
  client.connack = connack
  return client
}

async function next (client) {
  while (client.inbox.length === 0) await once(client, 'inbox')
  return client.inbox.shift()
}

const tests = {
  async 'QoS 0, 1 and 2 arrive as they were sent' () {
    const sub = await connect()
    const pub = await connect()
    await sub.subscribeAsync(topic + '/qos', { qos: 2 })
    for (const qos of [0, 1, 2]) {
      await pub.publishAsync(topic + '/qos', 'payload ' + qos, { qos })
      const got = await next(sub)
      assert.equal(got.payload, 'payload ' + qos)
      assert.equal(got.packet.qos, qos)
      assert.equal(got.packet.retain, false)
    }
    await sub.endAsync()
    await pub.endAsync()
  },

  async 'a thousand messages keep their order' () {
    const client = await connect()
    await client.subscribeAsync(topic + '/order', { qos: 1 })
    for (let i = 0; i < 1000; i++) client.publish(topic + '/order', String(i), { qos: 1 })
    for (let i = 0; i < 1000; i++) assert.equal((await next(client)).payload, String(i))
    await client.endAsync()
  },

  async 'a retained message waits for its subscribers until it is removed' () {
    const client = await connect()
    await client.publishAsync(topic + '/kept', 'kept', { qos: 1, retain: true })
    await client.subscribeAsync(topic + '/+', { qos: 1 })
    const got = await next(client)
    assert.equal(got.payload, 'kept')
    assert.equal(got.packet.retain, true)
    await client.publishAsync(topic + '/kept', '', { qos: 1, retain: true })
    assert.equal((await next(client)).payload, '')
    await client.unsubscribeAsync(topic + '/+')
    await client.subscribeAsync(topic + '/+', { qos: 1 })
    await client.publishAsync(topic + '/live', 'live', { qos: 1 })
    assert.equal((await next(client)).payload, 'live')
    await client.endAsync()
  },

  async 'a will is published for who vanishes' () {
    const watcher = await connect()
    await watcher.subscribeAsync(topic + '/will', { qos: 1 })
    const dying = await connect({ will: { topic: topic + '/will', payload: 'gone', qos: 1 } })
    dying.on('error', () => {})
    dying.stream.destroy()
    assert.equal((await next(watcher)).payload, 'gone')
    await watcher.endAsync()
  },

  async 'a session survives its connection' () {
    const session = { clientId: 'js' + topic.replace(/\W/g, '') + version, clean: false, properties: v5 ? { sessionExpiryInterval: 600 } : undefined }
    const first = await connect(session)
    assert.equal(first.connack.sessionPresent, false)
    await first.subscribeAsync(topic + '/session', { qos: 1 })
    await first.endAsync()
    const pub = await connect()
    for (const payload of ['a', 'b']) await pub.publishAsync(topic + '/session', payload, { qos: 1 })
    await pub.endAsync()
    const second = await connect(session)
    assert.equal(second.connack.sessionPresent, true)
    assert.equal((await next(second)).payload, 'a')
    assert.equal((await next(second)).payload, 'b')
    await second.endAsync()
  },

  async 'a refused filter is said so' () {
    const client = await connect()
    client.on('error', () => {})
    if (v5) {
      await assert.rejects(client.subscribeAsync('$share//' + topic))
    } else {
      await client.subscribeAsync(topic) // 3.1.1 knows only the server that closes; nothing to compare
    }
    await client.endAsync(true)
  }
}

if (v5) {
  tests['properties pass unchanged'] = async () => {
    const client = await connect()
    await client.subscribeAsync(topic + '/props', { qos: 1, properties: { subscriptionIdentifier: 5 } })
    await client.publishAsync(topic + '/props', 'x', {
      qos: 1,
      properties: {
        payloadFormatIndicator: true, messageExpiryInterval: 100, contentType: 'text/plain', responseTopic: topic + '/r',
        correlationData: Buffer.from([0, 255]), userProperties: { a: ['1', '2'], b: '3' }
      }
    })
    const { properties } = (await next(client)).packet
    assert.equal(properties.payloadFormatIndicator, true)
    assert.ok(properties.messageExpiryInterval > 90 && properties.messageExpiryInterval <= 100)
    assert.equal(properties.contentType, 'text/plain')
    assert.equal(properties.responseTopic, topic + '/r')
    assert.deepEqual(properties.correlationData, Buffer.from([0, 255]))
    assert.deepEqual({ ...properties.userProperties }, { a: ['1', '2'], b: '3' })
    assert.equal(properties.subscriptionIdentifier, 5)
    await client.endAsync()
  }

  tests['a shared subscription gives each message to one member'] = async () => {
    const members = [await connect(), await connect()]
    for (const member of members) await member.subscribeAsync('$share/js/' + topic + '/shared', { qos: 1 })
    const pub = await connect()
    for (let i = 0; i < 20; i++) await pub.publishAsync(topic + '/shared', String(i), { qos: 1 })
    while (members[0].inbox.length + members[1].inbox.length < 20) {
      await Promise.race(members.map(member => once(member, 'inbox')))
    }
    const all = members.flatMap(member => member.inbox.map(got => Number(got.payload)))
    assert.deepEqual(all.sort((a, b) => a - b), Array.from({ length: 20 }, (_, i) => i))
    assert.ok(members.every(member => member.inbox.length > 0), 'one member got everything')
    for (const client of [...members, pub]) await client.endAsync()
  }

  tests['topic aliases are understood in both directions'] = async () => {
    const client = await connect({ properties: { topicAliasMaximum: 10 }, autoAssignTopicAlias: true })
    await client.subscribeAsync(topic + '/alias', { qos: 1 })
    for (const payload of ['a', 'b', 'c']) {
      await client.publishAsync(topic + '/alias', payload, { qos: 1 })
      const got = await next(client)
      assert.equal(got.topic, topic + '/alias')
      assert.equal(got.payload, payload)
    }
    await client.endAsync()
  }
}

async function main () {
  for (const [rule, test] of Object.entries(tests)) {
    await test().catch(error => { throw new Error(rule, { cause: error }) })
    console.log('ok', rule)
  }
}

main().then(() => process.exit(0), error => { console.error(error); process.exit(1) })

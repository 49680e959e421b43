// The upgrade of an Engine.IO session from polling to WebSocket, and how it can fail.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertError, SEPARATOR, Session, SHORT, withServer } from "./engineio.mjs";
import { within } from "./support.mjs";

// ---- upgrade ----

describe("upgrade", () => {
  const own = withServer(["--upgrade-timeout", "0.4"]);

  async function probe(session) {
    const raw = session.websocket();
    await raw.send("2probe");
    assert.equal(await raw.next(), "3probe");
    return raw;
  }

  it("moves a session to the WebSocket", async () => {
    const session = await Session.open(own.server);
    const raw = await probe(session);
    await raw.send("5", "4over here");
    assert.equal(await raw.next(), "4over here");
    await raw.send("4!transport");
    assert.equal(await raw.next(), "4websocket");
    await raw.send(Buffer.from([1, 2]));
    assert.deepEqual(await raw.next(), Buffer.from([1, 2]));
  });

  it("ends a waiting poll with a noop", async () => {
    const session = await Session.open(own.server);
    const parked = await session.park();
    const raw = await probe(session);
    assert.equal((await parked.answer()).body, "6");
    assert.equal((await session.poll()).body, "6"); // and each new one
    await raw.send("5", "4x");
    assert.equal(await raw.next(), "4x");
  });

  it("refuses polling afterwards", async () => {
    const session = await Session.open(own.server);
    const raw = await probe(session);
    await raw.send("5", "4x");
    assert.equal(await raw.next(), "4x");
    assertError(await session.poll(), 3);
    assertError(await session.post("4y"), 3);
    await raw.send("4z");
    assert.equal(await raw.next(), "4z");
  });

  it("brings what waited to the WebSocket", async () => {
    const session = await Session.open(own.server);
    await session.say("4a", "4b");
    const raw = await probe(session);
    await raw.send("5");
    assert.equal(await raw.next(), "4a");
    assert.equal(await raw.next(), "4b");
  });

  it("keeps the order of 200 messages, sent and echoed across the switch", async () => {
    const session = await Session.open(own.server);
    const heard = [];
    let polling = true;
    const polls = (async () => {
      while (polling) {
        const { status, body } = await session.poll();
        assert.equal(status, 200, body);
        heard.push(...body.split(SEPARATOR).filter((packet) => packet !== "6"));
        if (body === "6") return; // the probe has come: no further poll
      }
    })();
    for (let i = 0; i < 50; i++) await session.say(`4${i}`);
    const raw = session.websocket();
    const probed = raw.send("2probe").then(() => raw.next());
    for (let i = 50; i < 100; i++) await session.say(`4${i}`);
    assert.equal(await probed, "3probe");
    polling = false;
    await session.say("4100", "4101");
    await polls;
    await raw.send("5", ...Array.from({ length: 98 }, (_, i) => `4${i + 102}`));
    while (heard.length < 200) heard.push(await raw.next());
    assert.deepEqual(heard, Array.from({ length: 200 }, (_, i) => `4${i}`));
  });

  it("keeps the order of 200 messages that the server sends meanwhile", async () => {
    const session = await Session.open(own.server);
    const parked = await session.park();
    const raw = await probe(session);
    await parked.answer();
    await session.say("4!burst 200");
    await raw.send("5");
    const heard = [];
    while (heard.length < 200) heard.push(await raw.next());
    assert.deepEqual(heard, Array.from({ length: 200 }, (_, i) => `4${i}`));
  });

  it("may repeat its probe", async () => {
    const session = await Session.open(own.server);
    const raw = await probe(session);
    await raw.send("2probe");
    assert.equal(await raw.next(), "3probe");
    await raw.send("5", "4x");
    assert.equal(await raw.next(), "4x");
  });

  const stillPolls = async (session) => {
    await session.say("4still polling");
    assert.deepEqual(await session.hear(1), ["4still polling"]);
  };

  for (const first of ["4hello", "2", "3probe", "5", "junk"]) {
    it(`fails at ${first} instead of a probe, and polling goes on`, async () => {
      const session = await Session.open(own.server);
      const raw = session.websocket();
      await raw.send(first);
      await raw.closed();
      await stillPolls(session);
    });
  }

  it("fails at another packet than 5 after the probe, and polling goes on", async () => {
    const session = await Session.open(own.server);
    const raw = await probe(session);
    await raw.send("4too early");
    await raw.closed();
    await stillPolls(session);
  });

  it("fails when the WebSocket breaks after the probe, and polling goes on", async () => {
    const session = await Session.open(own.server);
    const raw = await probe(session);
    raw.ws.terminate();
    await raw.closed();
    await stillPolls(session);
    const second = await probe(session); // and may be tried again
    await second.send("5", "4x");
    assert.equal(await second.next(), "4x");
  });

  it("fails when it takes too long, and polling goes on", async () => {
    const session = await Session.open(own.server);
    const raw = await probe(session);
    await raw.closed();
    await stillPolls(session);
  });

  it("fails without a probe in time, and polling goes on", async () => {
    const session = await Session.open(own.server);
    const raw = session.websocket();
    await within(raw.opened, "a WebSocket");
    await raw.closed();
    await stillPolls(session);
  });

  it("takes one WebSocket at a time", async () => {
    const session = await Session.open(own.server);
    const first = await probe(session);
    const second = session.websocket();
    await second.closed();
    await first.send("5", "4x");
    assert.equal(await first.next(), "4x");
    const third = session.websocket();
    await third.closed();
    await first.send("4y");
    assert.equal(await first.next(), "4y");
  });

  it("ends with the session when that closes meanwhile", async () => {
    const session = await Session.open(own.server);
    const raw = await probe(session);
    await session.say("1");
    await raw.closed();
    assertError(await session.poll(), 1);
  });
});

describe("upgrade under a short heartbeat", () => {
  const own = withServer(SHORT);

  it("keeps the heartbeat going before and after the switch", async () => {
    const session = await Session.open(own.server);
    const raw = session.websocket();
    await raw.send("2probe");
    assert.equal(await raw.next(), "3probe");
    let packets = "6";
    while (packets === "6") packets = (await session.poll()).body;
    assert.match(packets, /2/);
    await session.say("3");
    await raw.send("5");
    for (let i = 0; i < 3; i++) {
      await raw.until(/^2$/);
      await raw.send("3");
    }
    await raw.send("4alive");
    assert.equal(await raw.next(), "4alive");
  });
});

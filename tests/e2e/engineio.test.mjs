// Engine.IO v4 as it goes over the wire: handshakes, polling, WebSockets, heartbeat.
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { describe, it } from "node:test";
import { assertError, handshake, PATH, send, SEPARATOR, Session, SHORT, start, upgradeBy, websocket, withServer } from "./engineio.mjs";
import { within } from "./support.mjs";

// ---- handshake ----

describe("handshake", () => {
  const own = withServer(SHORT);

  it("answers a GET with one OPEN packet", async () => {
    const { status, headers, body } = await handshake(own.server);
    assert.equal(status, 200);
    assert.match(headers["content-type"], /^text\/plain; ?charset=utf-8$/i);
    assert.equal(headers["cache-control"], "no-store");
    assert.equal(Number(headers["content-length"]), body.length);
    assert.equal(body[0], "0");
    const open = JSON.parse(body.slice(1));
    assert.deepEqual(Object.keys(open).sort(), ["maxPayload", "pingInterval", "pingTimeout", "sid", "upgrades"]);
    assert.match(open.sid, /^[\w-]{20,}$/);
    assert.deepEqual({ ...open, sid: "" }, { sid: "", upgrades: ["websocket"], pingInterval: 300, pingTimeout: 200, maxPayload: 1000000 });
  });

  it("answers on WebSocket with OPEN, which offers no upgrades", async () => {
    const raw = websocket(own.server);
    const [, json] = await raw.until(/^0(\{.*\})$/);
    const open = JSON.parse(json);
    assert.deepEqual(Object.keys(open).sort(), ["maxPayload", "pingInterval", "pingTimeout", "sid", "upgrades"]);
    assert.deepEqual({ ...open, sid: "" }, { sid: "", upgrades: [], pingInterval: 300, pingTimeout: 200, maxPayload: 1000000 });
  });

  it("gives each session an id of its own", async () => {
    const sids = await Promise.all(Array.from({ length: 50 }, async () => (await Session.open(own.server)).sid));
    assert.equal(new Set(sids).size, 50);
  });

  it("takes the parameters in any order, with others among them", async () => {
    for (const query of ["transport=polling&EIO=4", "a=b&EIO=4&transport=polling&t=Q7wd4OD&b64=1", "x=%20%ff&&transport=polling&y&EIO=4"]) {
      assert.equal((await send(own.server, `${PATH}?${query}`)).status, 200, query);
    }
  });

  it("refuses an unknown or missing transport", async () => {
    for (const query of ["EIO=4", "EIO=4&transport=", "EIO=4&transport=foo", "EIO=4&transport=Polling", "EIO=4&transport=__proto__"]) {
      assertError(await send(own.server, `${PATH}?${query}`), 0);
    }
  });

  it("refuses other protocol versions than 4", async () => {
    for (const query of ["transport=polling", "EIO=&transport=polling", "EIO=3&transport=polling", "EIO=5&transport=polling", "EIO=abc&transport=polling", "EIO=44&transport=polling"]) {
      assertError(await send(own.server, `${PATH}?${query}`), 5);
    }
  });

  it("refuses other methods than GET", async () => {
    for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
      assertError(await handshake(own.server, "", { method }), 2);
      assertError(await handshake(own.server, "", { method, body: "4x", headers: { "Content-Length": 2 } }), 2);
    }
  });

  it("refuses transport=websocket without an upgrade", async () => {
    assertError(await send(own.server, `${PATH}?EIO=4&transport=websocket`), 3);
  });

  it("refuses unknown session ids", async () => {
    for (const sid of ["abc", "", "__proto__", "x".repeat(2000), "%00"]) {
      for (const method of ["GET", "POST"]) {
        const answer = await handshake(own.server, `&sid=${sid}`, { method });
        if (sid === "" && answer.status === 200) continue; // an empty one may count as none
        assertError(answer, sid === "" && method === "POST" ? JSON.parse(answer.body).code : 1);
      }
    }
  });

  it("refuses WebSockets with 400 before the upgrade", async () => {
    const cases = {
      [`${PATH}?EIO=4&transport=websocket&sid=abc`]: /Session ID unknown/,
      [`${PATH}?EIO=4&transport=foo`]: /Transport unknown/,
      [`${PATH}?EIO=3&transport=websocket`]: /Unsupported protocol version/,
      [`${PATH}?transport=websocket`]: /Unsupported protocol version/,
    };
    for (const [target, message] of Object.entries(cases)) {
      const { status, body } = await upgradeBy(own.server, target);
      assert.equal(status, 400, target);
      assert.match(body, message, target);
    }
  });

  it("opens no session for an upgrade with transport=polling", async () => {
    const { status, body } = await upgradeBy(own.server, `${PATH}?EIO=4&transport=polling`);
    assert.ok(status === 400 || status === 101 || body[0] === "0", `${status} ${body}`);
  });

  it("refuses bad WebSocket handshakes", async () => {
    const target = `${PATH}?EIO=4&transport=websocket`;
    for (const headers of [{ "Sec-WebSocket-Key": "short" }, { "Sec-WebSocket-Version": "7" }]) {
      const { status } = await upgradeBy(own.server, target, headers);
      assert.ok(status === 400 || status === 426, String(status));
    }
    assert.equal((await upgradeBy(own.server, target)).status, 101);
  });

  it("accepts WebSockets with the right key, and without compression", async () => {
    const { headers } = await upgradeBy(own.server, `${PATH}?EIO=4&transport=websocket`, { "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" });
    assert.equal(headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert.equal(headers["sec-websocket-extensions"], undefined);
  });
});

// ---- polling ----

describe("polling", () => {
  const own = withServer();

  it("sends text back", async () => {
    const session = await Session.open(own.server);
    const answer = await session.post("4hello €😀");
    assert.equal(answer.status, 200);
    assert.equal(answer.body, "ok");
    const { headers, body } = await session.poll();
    assert.equal(body, "4hello €😀");
    assert.match(headers["content-type"], /^text\/plain; ?charset=utf-8$/i);
    assert.equal(headers["cache-control"], "no-store");
  });

  it("sends binary back as base64", async () => {
    const session = await Session.open(own.server);
    await session.say("bAQIDBA==");
    assert.equal((await session.poll()).body, "bAQIDBA==");
  });

  it("sends empty messages back", async () => {
    const session = await Session.open(own.server);
    await session.say("4");
    assert.deepEqual(await session.hear(1), ["4"]);
    await session.say("b");
    assert.deepEqual(await session.hear(1), ["b"]);
  });

  it("keeps the order of several packets, text and binary", async () => {
    const session = await Session.open(own.server);
    const packets = ["4a", "bAQID", "4b", "b/w==", "4c"];
    await session.say(...packets);
    assert.deepEqual(await session.hear(5), packets);
  });

  it("takes a thousand packets in one body", async () => {
    const session = await Session.open(own.server);
    const packets = Array.from({ length: 1000 }, (_, i) => `4${i}`);
    await session.say(...packets);
    assert.deepEqual(await session.hear(1000), packets);
  });

  it("answers with all that waits", async () => {
    const session = await Session.open(own.server);
    await session.say("4a");
    await session.say("4b");
    assert.equal((await session.poll()).body, `4a${SEPARATOR}4b`);
  });

  it("holds a poll until there is something", async () => {
    const session = await Session.open(own.server);
    const parked = await session.park();
    await session.say("4late");
    assert.equal((await parked.answer()).body, "4late");
  });

  it("lets a handler wait without holding up the session's POST", async () => {
    const session = await Session.open(own.server);
    await session.say("4!wait");
    assert.deepEqual(await session.hear(1), ["4waited"]);
  });

  it("closes at a second poll, and ends the first with a close packet", async () => {
    const session = await Session.open(own.server);
    const parked = await session.park();
    assert.equal((await session.poll()).status, 400);
    const first = await parked.answer();
    assert.equal(first.status, 200);
    assert.equal(first.body, "1");
    assertError(await session.poll(), 1);
    await own.server.line(new RegExp(`^closed ${session.sid} `));
  });

  it("closes at a second POST", async () => {
    const session = await Session.open(own.server);
    const first = start(own.server, session.target, { method: "POST", headers: { "Content-Length": 6 } });
    first.request.write("4he"); // the rest is still to come
    await handshake(own.server);
    await handshake(own.server);
    assert.equal((await session.post("4x")).status, 400);
    await session.mustBeGone();
    first.request.destroy();
  });

  it("takes a poll and a POST at the same time", async () => {
    const session = await Session.open(own.server);
    for (const text of ["4a", "4b", "4c"]) {
      const parked = await session.park();
      await session.say(text);
      assert.equal((await parked.answer()).body, text);
    }
  });

  it("closes when the client drops its poll", async () => {
    const session = await Session.open(own.server);
    const parked = await session.park();
    parked.request.destroy();
    const [, reason] = await own.server.line(new RegExp(`^closed ${session.sid} (.*)$`));
    assert.match(reason, /^transport (error|close)$/);
    assertError(await session.poll(), 1);
  });

  it("closes when the client drops a POST half way", async () => {
    const session = await Session.open(own.server);
    const post = start(own.server, session.target, { method: "POST", headers: { "Content-Length": 10 } });
    post.request.write("4half");
    await handshake(own.server);
    post.request.destroy();
    await own.server.line(new RegExp(`^closed ${session.sid} `));
    assertError(await session.poll(), 1);
  });

  it("ends at the client's close packet, which frees the poll", async () => {
    const session = await Session.open(own.server);
    const parked = await session.park();
    await session.say("1");
    assert.equal((await parked.answer()).body, "6");
    assertError(await session.poll(), 1);
    const [, reason] = await own.server.line(new RegExp(`^closed ${session.sid} (.*)$`));
    assert.equal(reason, "transport close");
  });

  it("delivers what comes before the close packet", async () => {
    const session = await Session.open(own.server);
    const parked = await session.park();
    await session.say("4last", "1");
    assert.match((await parked.answer()).body, /^(4last|6)/);
    await own.server.line(new RegExp(`^closed ${session.sid} `));
  });

  it("ends when the server closes, after what was sent", async () => {
    const session = await Session.open(own.server);
    await session.say("4!close");
    const packets = [];
    while (packets.at(-1) !== "1") packets.push(...(await session.poll()).body.split(SEPARATOR));
    assert.deepEqual(packets.filter((packet) => packet !== "6"), ["4bye", "1"]);
    assertError(await session.poll(), 1);
  });

  it("knows its transport", async () => {
    const session = await Session.open(own.server);
    await session.say("4!transport");
    assert.deepEqual(await session.hear(1), ["4polling"]);
  });

  const MALFORMED = ["", "abc", "9", "7x", `4hello${SEPARATOR}`, `${SEPARATOR}4a`, `4a${SEPARATOR}${SEPARATOR}4b`, "bAQI!", "bA", Buffer.from([0x34, 0xff, 0xfe]), "2", "0{}"];
  for (const body of MALFORMED) {
    it(`closes at the body ${JSON.stringify(String(body))}`, async () => {
      const session = await Session.open(own.server);
      const { status } = await session.post(body);
      assert.equal(status, 400);
      await session.mustBeGone();
      await own.server.line(new RegExp(`^closed ${session.sid} `));
    });
  }

  it("ignores a pong that nobody asked for", async () => {
    const session = await Session.open(own.server);
    await session.say("3", "4after");
    assert.deepEqual(await session.hear(1), ["4after"]);
  });

  it("closes at an octet-stream body", async () => {
    const session = await Session.open(own.server);
    assert.equal((await session.post("4x", { "Content-Type": "application/octet-stream" })).status, 400);
    await session.mustBeGone();
  });

  it("refuses other methods for a session", async () => {
    for (const method of ["PUT", "DELETE"]) {
      const session = await Session.open(own.server);
      assert.ok((await session.poll({ method })).status >= 400);
    }
  });

  it("serves many requests on one connection", async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const via = (options = {}, body) =>
      new Promise((resolve, reject) => {
        const request = http.request({ host: "127.0.0.1", port: own.server.port, agent, ...options }, (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (data) => (text += data)).on("end", () => resolve(text));
        });
        request.on("error", reject).end(body);
      });
    const { sid } = JSON.parse((await via({ path: `${PATH}?EIO=4&transport=polling` })).slice(1));
    const target = `${PATH}?EIO=4&transport=polling&sid=${sid}`;
    for (let i = 0; i < 50; i++) {
      assert.equal(await via({ path: target, method: "POST" }, `4${i}`), "ok");
      assert.equal(await via({ path: target }), `4${i}`);
    }
    agent.destroy();
  });
});

// ---- limits ----

describe("size limits", () => {
  const own = withServer(["--max-size", "5000"]);

  it("are announced", async () => {
    assert.equal((await Session.open(own.server)).opened.maxPayload, 5000);
  });

  it("let a body of just that size through", async () => {
    const session = await Session.open(own.server);
    const packet = `4${"x".repeat(4999)}`;
    await session.say(packet);
    assert.deepEqual(await session.hear(1), [packet]);
  });

  it("answer 413 to one byte more, and keep the session", async () => {
    const session = await Session.open(own.server);
    assert.equal((await session.post(`4${"x".repeat(5000)}`)).status, 413);
    await session.say("4small");
    assert.deepEqual(await session.hear(1), ["4small"]);
  });

  it("count chunked bodies while they are read", async () => {
    const session = await Session.open(own.server);
    const { request, answer } = start(own.server, session.target, { method: "POST", headers: { "Transfer-Encoding": "chunked" } });
    request.on("error", () => {}); // it may close before all is sent
    for (let i = 0; i < 6; i++) request.write("4".repeat(1000));
    assert.equal((await answer()).status, 413);
    request.destroy();
  });

  it("need not read a body that is announced too large", async () => {
    const session = await Session.open(own.server);
    const { request, answer } = start(own.server, session.target, { method: "POST", headers: { "Content-Length": 1e9 } });
    request.on("error", () => {});
    request.write("4");
    assert.equal((await answer()).status, 413);
    request.destroy();
  });

  it("close a WebSocket with 1009", async () => {
    const raw = websocket(own.server);
    await raw.until(/^0/);
    const packet = `4${"x".repeat(4999)}`;
    await raw.send(packet);
    assert.equal(await raw.next(), packet);
    await raw.send(`${packet}x`);
    assert.equal(await raw.closed(), 1009);
  });

  it("count a WebSocket message over its fragments", async () => {
    const raw = websocket(own.server);
    await raw.until(/^0/);
    for (let i = 0; i < 6; i++) raw.ws.send("4".repeat(1000), { fin: false });
    assert.equal(await raw.closed(), 1009);
  });
});

// ---- WebSocket ----

describe("WebSocket", () => {
  const own = withServer();

  it("sends text and binary back, in order", async () => {
    const raw = websocket(own.server);
    await raw.until(/^0/);
    const binary = Buffer.from([0, 1, 2, 255]);
    await raw.send("4hello €😀", binary, "4", Buffer.alloc(0), "4end");
    assert.equal(await raw.next(), "4hello €😀");
    assert.deepEqual(await raw.next(), binary);
    assert.equal(await raw.next(), "4");
    assert.deepEqual(await raw.next(), Buffer.alloc(0));
    assert.equal(await raw.next(), "4end");
  });

  it("takes base64 in a text frame", async () => {
    const raw = websocket(own.server);
    await raw.until(/^0/);
    await raw.send("bAQID");
    assert.deepEqual(await raw.next(), Buffer.from([1, 2, 3]));
  });

  it("takes messages in fragments, with a ping in between", async () => {
    const raw = websocket(own.server);
    await raw.until(/^0/);
    const pong = once(raw.ws, "pong");
    raw.ws.send("4hel", { fin: false });
    raw.ws.ping("hi");
    raw.ws.send("lo €", { fin: true });
    assert.equal(await raw.next(), "4hello €");
    assert.equal(String((await within(pong, "a pong"))[0]), "hi");
  });

  it("takes large messages", async () => {
    const raw = websocket(own.server);
    await raw.until(/^0/);
    const packet = `4${"€".repeat(300000)}`;
    await raw.send(packet);
    assert.ok((await raw.next()) === packet);
  });

  it("closes at the client's close packet", async () => {
    const raw = websocket(own.server);
    await raw.until(/^0/);
    await raw.send("1");
    await raw.closed();
  });

  it("closes when the server does, after what was sent", async () => {
    const raw = websocket(own.server);
    await raw.until(/^0/);
    await raw.send("4!close");
    await raw.closed();
    assert.deepEqual(raw.queue.filter((message) => message !== "1"), ["4bye"]);
  });

  for (const packet of ["", "abc", "9", "7x", "2", "bA!"]) {
    it(`closes at the packet ${JSON.stringify(packet)}`, async () => {
      const raw = websocket(own.server);
      await raw.until(/^0/);
      await raw.send(packet);
      await raw.closed();
    });
  }

  it("closes at text that is no UTF-8, with 1007", async () => {
    const raw = websocket(own.server);
    await raw.until(/^0/);
    raw.ws.send(Buffer.from([0x34, 0xff]), { binary: false });
    assert.equal(await raw.closed(), 1007);
  });

  it("closes at a frame without a mask, with 1002", async () => {
    const raw = websocket(own.server);
    await raw.until(/^0/);
    raw.ws.send("4x", { mask: false });
    assert.equal(await raw.closed(), 1002);
  });

  it("answers the client's close", async () => {
    const raw = websocket(own.server);
    const [, sid] = await raw.until(/^0\{.*"sid":"([^"]+)"/);
    raw.ws.close(1000);
    assert.equal(await raw.closed(), 1000);
    const [, reason] = await own.server.line(new RegExp(`^closed ${sid} (.*)$`));
    assert.equal(reason, "transport close");
  });

  it("is not polled", async () => {
    const raw = websocket(own.server);
    const [, sid] = await raw.until(/^0\{.*"sid":"([^"]+)"/);
    assertError(await handshake(own.server, `&sid=${sid}`), 3);
    await raw.send("4still here");
    assert.equal(await raw.next(), "4still here");
  });

  it("takes no second WebSocket", async () => {
    const raw = websocket(own.server);
    const [, sid] = await raw.until(/^0\{.*"sid":"([^"]+)"/);
    const second = websocket(own.server, `&sid=${sid}`);
    await second.closed();
    await raw.send("4still here");
    assert.equal(await raw.next(), "4still here");
  });
});

// ---- heartbeat ----

describe("heartbeat", () => {
  const own = withServer(SHORT);

  // 300 ms until a ping, and 200 ms more until the end; timers are no earlier, and may be late.
  const assertAfter = (start, ms) => {
    const passed = performance.now() - start;
    assert.ok(passed > ms - 30 && passed < ms + 1000, `${passed.toFixed()} ms instead of ${ms}`);
  };

  it("pings a poll, and waits for the pong", async () => {
    const session = await Session.open(own.server);
    for (let i = 0; i < 3; i++) {
      const start = performance.now();
      assert.equal((await session.poll()).body, "2");
      assertAfter(start, 300);
      await session.say("3");
    }
    await session.say("4alive");
    assert.deepEqual(await session.hear(1), ["4alive"]);
  });

  it("pings a WebSocket, and waits for the pong", async () => {
    const raw = websocket(own.server);
    await raw.until(/^0/);
    for (let i = 0; i < 3; i++) {
      const start = performance.now();
      assert.equal(await raw.next(), "2");
      assertAfter(start, 300);
      await raw.send("3");
    }
    await raw.send("4alive");
    assert.equal(await raw.next(), "4alive");
  });

  it("closes a polling session without a pong", async () => {
    const start = performance.now();
    const session = await Session.open(own.server);
    assert.equal((await session.poll()).body, "2");
    const [, reason] = await own.server.line(new RegExp(`^closed ${session.sid} (.*)$`));
    assertAfter(start, 500);
    assert.equal(reason, "ping timeout");
    await session.mustBeGone();
  });

  it("closes a session that never polls", async () => {
    const session = await Session.open(own.server);
    const [, reason] = await own.server.line(new RegExp(`^closed ${session.sid} (.*)$`));
    assert.equal(reason, "ping timeout");
    assertError(await session.poll(), 1);
  });

  it("answers a parked poll when it closes", async () => {
    const session = await Session.open(own.server);
    assert.equal((await session.poll()).body, "2");
    const { status, body } = await session.poll();
    assert.ok(status === 400 || (status === 200 && body === "1"), `${status} ${body}`);
  });

  it("closes a WebSocket without a pong", async () => {
    const raw = websocket(own.server);
    const [, sid] = await raw.until(/^0\{.*"sid":"([^"]+)"/);
    const start = performance.now();
    await raw.closed();
    assertAfter(start, 500);
    assert.deepEqual(raw.queue, ["2"]);
    const [, reason] = await own.server.line(new RegExp(`^closed ${sid} (.*)$`));
    assert.equal(reason, "ping timeout");
  });

  it("does not take messages for a pong", async () => {
    const raw = websocket(own.server);
    await raw.until(/^0/);
    const talk = setInterval(() => raw.ws.send("4talk"), 50);
    await raw.closed().finally(() => clearInterval(talk));
  });
});

// Options of the Socket.IO server, clients that break the rules, many clients, restarts.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { ask, client, closeClients, collect, connect, connected, event, freePort, MODES, RawSocket, settle, startServer, within } from "./support.mjs";

// A WebSocket that has joined "/" and does nothing of its own accord, and its id there.
async function join(server) {
  const raw = new RawSocket(server);
  await raw.send("40");
  const [, sid] = await raw.until(/^40\{"sid":"([^"]+)"/);
  return { raw, sid };
}

describe("async_handlers off", () => {
  let server;
  before(async () => (server = await startServer(["--serial"])));
  after(() => server.stop());
  afterEach(closeClients);

  it("ends each handler before the next event", async () => {
    const socket = await connect(server);
    const done = collect(socket, "done");
    socket.emit("slow", 0.1, "first");
    socket.emit("slow", 0, "second");
    assert.deepEqual(await done.until(2), ["first", "second"]);
  });

  it("does not hold up other clients", async () => {
    const [a, b] = [await connect(server), await connect(server)];
    const order = [];
    const slow = ask(a, "slow", 0.2, "a").then(() => order.push("a"));
    await ask(b, "slow", 0, "b").then(() => order.push("b"));
    await slow;
    assert.deepEqual(order, ["b", "a"]);
  });

  it("lets acks pass, so that a handler can call its own client", async () => {
    const socket = await connect(server);
    socket.on("question", (ack) => ack("answer"));
    assert.deepEqual(await ask(socket, "call", { timeout: 3 }, "question"), [["answer"]]);
  });
});

describe("an error handler for all namespaces", () => {
  let server;
  before(async () => (server = await startServer(["--error-default"])));
  after(() => server.stop());
  afterEach(closeClients);

  it("runs where there is none of the namespace's own", async () => {
    const socket = await connect(server, "/bare");
    assert.equal((await ask(socket, "fail"))[0].handler, "default");
    const root = await connect(server);
    assert.equal((await ask(root, "fail"))[0].handler, "own");
  });
});

describe("always_connect", () => {
  let server;
  before(async () => (server = await startServer(["--always-connect"])));
  after(() => server.stop());
  afterEach(closeClients);

  it("connects before the handler runs, and a refusal disconnects", async () => {
    const socket = client(server, "/locked", { auth: { token: "wrong" } });
    const gone = event(socket, "disconnect");
    await connected(socket);
    const [reason] = await gone;
    assert.equal(reason, "io server disconnect");
  });
});

describe("short heartbeat", () => {
  let server;
  before(async () => (server = await startServer(["--ping-interval", "0.3", "--ping-timeout", "0.2", "--connect-timeout", "0.3"])));
  after(() => server.stop());
  afterEach(closeClients);

  for (const [mode, options] of Object.entries(MODES)) {
    it(`keeps a client that answers, over ${mode}`, async () => {
      const socket = await connect(server, "/", options);
      let pings = 0;
      const gone = event(socket, "disconnect").then(([reason]) => reason, () => null);
      const alive = new Promise((resolve) => socket.io.on("ping", () => ++pings === 4 && resolve("alive")));
      assert.equal(await Promise.race([alive, gone]), "alive");
      await settle(socket);
    });
  }

  it("drops a client that does not answer", async () => {
    const { raw, sid } = await join(server);
    const [, reason] = await server.line(new RegExp(`^left / ${sid} (.*)$`));
    assert.equal(reason, "ping timeout");
    await raw.closed();
  });

  it("notices a connection that breaks", async () => {
    const { raw, sid } = await join(server);
    raw.ws.terminate();
    const [, reason] = await server.line(new RegExp(`^left / ${sid} (.*)$`));
    assert.match(reason, /^transport (close|error)$/);
  });

  it("closes a connection that joins no namespace", async () => {
    const raw = new RawSocket(server);
    raw.ws.on("message", (data) => String(data) === "2" && raw.send("3"));
    await raw.closed();
  });
});

describe("packets that break the rules", () => {
  let server;
  before(async () => (server = await startServer()));
  after(() => server.stop());
  afterEach(closeClients);

  const CLOSING = ["42{}", "42[]", "42[null]", "47[\"x\"]", "4", "4abc", "42-1[\"e\"]", "42abc[\"e\"]", "42[\"e\"", "42[\"connect\",1]",
    "42[\"disconnect\"]", "42/never,[\"e\"]", "41{}", "4511-[\"e\"]", "45-1-[\"e\"]", "45[\"e\"]", "44\"x\"", "42 12[\"e\"]", "42[\"\\ud800\"]"];
  for (const packet of CLOSING) {
    it(`closes at ${packet}`, async () => {
      const { raw } = await join(server);
      await raw.send(packet);
      await raw.closed();
    });
  }

  it("closes at an event before CONNECT", async () => {
    const raw = new RawSocket(server);
    await raw.send("42[\"echo\"]");
    await raw.closed();
  });

  const HARMLESS = ["43[1]", "4399[1]", "42[1,2]", "3"];
  for (const packet of HARMLESS) {
    it(`stays open at ${packet}`, async () => {
      const { raw } = await join(server);
      await raw.send(packet);
      await raw.send("427[\"echo\",\"still here\"]");
      await raw.until(/^437\["still here"\]$/);
    });
  }

  it("answers a second CONNECT with an error, and stays open", async () => {
    const { raw } = await join(server);
    await raw.send("40");
    await raw.send("421[\"echo\"]");
    await raw.until(/^44\{/);
    await raw.until(/^431\[\]$/);
  });

  it("closes when text comes instead of an attachment", async () => {
    const { raw } = await join(server);
    await raw.send("451-[\"echo\",{\"_placeholder\":true,\"num\":0}]");
    await raw.send("42[\"echo\"]");
    await raw.closed();
  });

  for (const num of ["1", "-1", "0.5", "\"0\"", "null"]) {
    it(`closes at the placeholder number ${num}`, async () => {
      const { raw } = await join(server);
      await raw.send(`451-["echo",{"_placeholder":true,"num":${num}}]`);
      await raw.send(Buffer.from([1]));
      await raw.closed();
    });
  }

  it("accepts acknowledgement ids of any length that clients use", async () => {
    const { raw } = await join(server);
    await raw.send("429007199254740991[\"echo\",1]");
    await raw.until(/^439007199254740991\[1\]$/);
  });
});

describe("many clients and restarts", () => {
  afterEach(closeClients);

  it("serves 200 clients at once in one room", async (t) => {
    const server = await startServer();
    t.after(() => server.stop());
    const sockets = await Promise.all(Array.from({ length: 200 }, (_, i) =>
      connect(server, "/", Object.values(MODES)[i % 3])));
    const seen = sockets.map((socket) => collect(socket, "news"));
    await Promise.all(sockets.map((socket) => ask(socket, "join", { room: "all" })));
    const [members] = await ask(sockets[0], "members", "all");
    assert.equal(members.length, 200);
    await Promise.all(sockets.map((socket, i) => ask(socket, "emit", { to: "all" }, "news", i)));
    const expected = Array.from({ length: 200 }, (_, i) => i);
    for (const { until } of seen) assert.deepEqual([...(await until(200))].sort((a, b) => a - b), expected);
  });

  describe("on several workers", () => {
    let server, sockets;
    before(async () => {
      server = await startServer(["--workers", "4"]);
    });
    after(() => server.stop());
    // Connections are shared out in turn, so neighbours are served by different workers.
    const openMany = async (count) => {
      sockets = [];
      for (let i = 0; i < count; i++) sockets.push(await connect(server, "/", Object.values(MODES)[i % 3]));
    };

    it("everybody in a room hears everybody", async () => {
      await openMany(40);
      const seen = sockets.map((socket) => collect(socket, "news"));
      await Promise.all(sockets.map((socket) => ask(socket, "join", { room: "all" })));
      await Promise.all(sockets.map((socket, i) => ask(socket, "emit", { to: "all" }, "news", i)));
      const expected = Array.from({ length: 40 }, (_, i) => i);
      for (const { until } of seen) assert.deepEqual([...(await until(40))].sort((a, b) => a - b), expected);
      const [members] = await ask(sockets[0], "members", "all");
      assert.equal(members.length, 40);
    });

    it("the order of one client's events is kept", async () => {
      await openMany(5);
      const seen = sockets.map((socket) => collect(socket, "news"));
      for (let i = 0; i < 200; i++) sockets[0].emit("emit", { broadcast: true }, "news", i);
      const expected = Array.from({ length: 200 }, (_, i) => i);
      for (const { until } of seen) assert.deepEqual(await until(200), expected);
    });

    it("clients ask each other", async () => {
      await openMany(8);
      for (const socket of sockets) socket.on("question", (text, ack) => ack(text, socket.id));
      for (const from of sockets) {
        const answers = await Promise.all(sockets.map((to) => ask(from, "call", { to: to.id }, "question", "who")));
        assert.deepEqual(answers, sockets.map(({ id }) => [["who", id]]));
      }
    });

    it("clients are put into rooms, taken out and disconnected by others", async () => {
      await openMany(5);
      const [first, ...others] = sockets;
      const seen = others.map((socket) => collect(socket, "news"));
      for (const { id } of others) assert.deepEqual(await ask(first, "join", { room: "put", sid: id }), [0]);
      await ask(first, "emit", { to: "put", except: [others[0].id] }, "news", 1);
      for (const { until } of seen.slice(1)) await until(1);
      assert.deepEqual(await ask(first, "leave", { room: "put", sid: others[1].id }), [0]);
      await ask(first, "emit", { to: "put" }, "news", 2);
      for (const i of [0, 2, 3]) await seen[i].until(i === 0 ? 1 : 2);
      assert.deepEqual(seen.map(({ items }) => items), [[2], [1], [1, 2], [1, 2]]);
      const gone = others.map((socket) => event(socket, "disconnect"));
      for (const { id } of others) await ask(first, "server disconnect", id);
      for (const [reason] of await Promise.all(gone)) assert.equal(reason, "io server disconnect");
    });

    it("threads and tasks reach everybody", async () => {
      await openMany(8);
      const seen = sockets.map((socket) => [collect(socket, "from thread"), collect(socket, "from task")]);
      await Promise.all(sockets.map((socket) => ask(socket, "join", { room: "reached" })));
      sockets[0].emit("thread", "reached", 100);
      sockets[1].emit("task", "reached", 10);
      for (const [threads, tasks] of seen) {
        assert.deepEqual(await threads.until(100), Array.from({ length: 100 }, (_, i) => i));
        assert.deepEqual(await tasks.until(10), Array.from({ length: 10 }, (_, i) => i));
      }
    });
  });

  for (const [mode, options] of Object.entries(MODES)) {
    it(`lets clients come back after a restart, over ${mode}`, async (t) => {
      const port = await freePort();
      const first = await startServer(["--port", String(port)]);
      const socket = await connect(first, "/", { ...options, reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 50 });
      const { id } = socket;
      const gone = event(socket, "disconnect");
      await first.stop();
      assert.equal(first.lines.some((line) => line === `left / ${id} server shutting down`), true, first.lines.join("\n"));
      const [reason] = await gone;
      assert.match(reason, /^transport (close|error)$/);
      const second = await startServer(["--port", String(port)]);
      t.after(() => second.stop());
      await within(new Promise((resolve) => (socket.connected ? resolve() : socket.once("connect", resolve))), "reconnect");
      assert.notEqual(socket.id, id);
      await settle(socket);
    });
  }

  it("stops at once with handlers and tasks that wait", async () => {
    const server = await startServer();
    const socket = await connect(server);
    socket.emit("slow", 60, "never");
    socket.emit("task", socket.id, 1_000_000);
    await event(socket, "from task");
    const start = Date.now();
    await server.stop();
    assert.ok(Date.now() - start < 4000, `${Date.now() - start} ms`);
  });
});

describe("the browser's client", () => {
  let server;
  before(async () => (server = await startServer()));
  after(() => server.stop());

  const files = ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js"];
  for (const name of files.flatMap((file) => [file, `${file}.map`])) {
    it(`is served: ${name}`, async () => {
      const url = `${server.url}/socket.io/${name}`;
      const response = await fetch(url);
      assert.equal(response.status, 200);
      assert.match(response.headers.get("content-type"), name.endsWith(".map") ? /^application\/json/ : /javascript/);
      const body = await response.text();
      assert.ok(body.length > 1000);
      const etag = response.headers.get("etag");
      assert.ok(etag);
      const again = await fetch(url, { headers: { "If-None-Match": etag } });
      assert.equal(again.status, 304);
      assert.equal(await again.text(), "");
      assert.equal((await fetch(url, { headers: { "If-None-Match": `W/${etag.replace(/^W\//, "")}` } })).status, 304);
      assert.equal((await fetch(url, { headers: { "If-None-Match": "\"other\"" } })).status, 200);
    });
  }

  it("is all that is served there", async () => {
    for (const path of ["other.js", "..%2fpackage.json", "socket.io.js%00", "../package.json", ".hidden"]) {
      const response = await fetch(`${server.url}/socket.io/${path}`);
      assert.ok(response.status >= 400, `${path}: ${response.status}`);
    }
  });
});

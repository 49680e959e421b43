// The official Socket.IO client against Carafe, over each transport.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { ask, client, closeClients, collect, connect, connected, event, MODES, settle, startServer, within } from "./support.mjs";

const nested = (depth, kind) => {
  let value = kind === "object" ? {} : [];
  for (let i = 1; i < depth; i++) value = kind === "object" ? { in: value } : [value];
  return value;
};

const VALUES = {
  null: null,
  booleans: [true, false],
  "small integers": [0, 1, -1, 7, 1234567890],
  "32-bit limits": [2147483647, -2147483648, 4294967295],
  "largest exact integers": [2 ** 53 - 1, -(2 ** 53 - 1)],
  fractions: [0.1, -1.5, 1 / 3, 123456.789],
  exponents: [1e21, 1e-7, 5e-324, 1.7976931348623157e308],
  "empty string": "",
  "empty array": [],
  "empty object": {},
  escapes: "quote \" slash / backslash \\ \b\f\n\r\t \u0001\u001e\u001f\u007f",
  "NUL in a string": "a\u0000b",
  unicode: "é ß 日本語 العربية",
  "beyond the BMP": "😀 𝄞 \u{10ffff}",
  "line separators": "\u2028\u2029",
  "an empty key": { "": 0 },
  "keys with unicode": { "ключ 😀": { "\u2028": 1 } },
  "50 nested arrays": nested(50, "array"),
  "50 nested objects": nested(50, "object"),
  "a long string": "x€".repeat(50000),
  "a long array": Array.from({ length: 5000 }, (_, i) => i),
  mixed: { a: [1, "two", null, { b: [[], {}, true] }], c: -0.5 },
  "what looks like a placeholder": { _placeholder: true, num: 0 },
};

const bytes = (length) => Buffer.from(Uint8Array.from({ length }, (_, i) => i % 251));

for (const [mode, options] of Object.entries(MODES)) {
  describe(`client over ${mode}`, () => {
    let server;
    before(async () => (server = await startServer()));
    after(() => server.stop());
    afterEach(closeClients);

    const open = (ns, more) => connect(server, ns, { ...options, ...more });
    // Where the server is to close the connection: a client that is about to change its transport
    // may not notice that before its heartbeat does.
    const openSteady = async () => {
      const socket = await open();
      const { engine } = socket.io;
      if (mode === "upgrade" && engine.transport.name !== "websocket") await event(engine, "upgrade");
      return socket;
    };
    const openMany = (count) => Promise.all(Array.from({ length: count }, () => open()));

    describe("connecting", () => {
      it("gives each namespace an id of its own, and not the connection's", async () => {
        const socket = await open();
        const other = socket.io.socket("/quiet");
        await connected(other);
        assert.equal(new Set([socket.id, other.id, socket.io.engine.id]).size, 3);
      });

      it("uses the transport that was asked for", async () => {
        const socket = await openSteady();
        await settle(socket);
        const [{ transport }] = await ask(socket, "whoami");
        assert.equal(transport, mode === "polling" ? "polling" : "websocket");
        assert.equal(socket.io.engine.transport.name, transport);
      });

      it("hands the auth payload to the connect handler", async () => {
        const auth = { token: "t€", list: [1, { deep: null }] };
        const socket = client(server, "/", { ...options, auth });
        const [welcome] = await event(socket, "welcome");
        assert.deepEqual(welcome.auth, auth);
        assert.equal(welcome.sid, socket.id);
      });

      it("has no auth, or an empty one, when none was sent", async () => {
        const [welcome] = await event(client(server, "/", options), "welcome");
        assert.ok(welcome.auth === null || Object.keys(welcome.auth).length === 0);
      });

      it("shows the handshake's query, headers and address", async () => {
        const socket = await open("/", { query: { flavour: "oak & plum" }, extraHeaders: { "X-Colour": "red" } });
        const [me] = await ask(socket, "whoami");
        assert.equal(me.flavour, "oak & plum");
        assert.equal(me.colour, "red");
        assert.equal(me.address, "127.0.0.1");
        assert.equal(me.sid, socket.id);
      });

      it("delivers what is emitted inside connect after connect", async () => {
        const order = [];
        const socket = client(server, "/early", options);
        socket.on("connect", () => order.push("connect"));
        socket.on("early", (n) => order.push(n));
        await event(socket, "connect");
        assert.deepEqual(await ask(socket, "ready"), [true]);
        assert.deepEqual(order, ["connect", 1, 2]);
      });

      it("accepts a namespace that has no handlers but is listed", async () => {
        assert.ok((await open("/quiet")).id);
      });

      it("refuses an unknown namespace", async () => {
        const socket = client(server, "/unknown", options);
        const [error] = await event(socket, "connect_error");
        assert.equal(error.message, "Invalid namespace");
        assert.equal(socket.connected, false);
      });

      it("refuses with a message and data", async () => {
        const [error] = await event(client(server, "/locked", { ...options, auth: { token: "wrong" } }), "connect_error");
        assert.equal(error.message, "not authorized");
        assert.deepEqual(error.data, { code: 7, ask: ["admin"] });
      });

      it("refuses with a standard message when none is given", async () => {
        const [error] = await event(client(server, "/locked", { ...options, auth: { how: "silent" } }), "connect_error");
        assert.equal(error.message, "Connection rejected by server");
        assert.equal(error.data, undefined);
      });

      it("answers a connect handler that fails, without its inner message", async () => {
        const [error] = await event(client(server, "/locked", { ...options, auth: { how: "error" } }), "connect_error");
        assert.equal(typeof error.message, "string");
        assert.ok(!error.message.includes("broken inside"), error.message);
      });

      it("lets a client in that sends the right auth after a refusal", async () => {
        const socket = client(server, "/locked", { ...options, auth: { token: "wrong" } });
        await event(socket, "connect_error");
        socket.auth = { token: "right" };
        const auth = event(socket, "auth");
        socket.connect();
        await connected(socket);
        assert.deepEqual(await auth, [{ token: "right" }]);
        assert.deepEqual(await ask(socket, "secret"), ["secret"]);
      });

      it("keeps other namespaces of the connection when one is refused", async () => {
        const socket = await open();
        const refused = socket.io.socket("/locked");
        await event(refused, "connect_error");
        await settle(socket);
      });

      it("connects again after a disconnect, with a new id", async () => {
        const socket = await open();
        const { id } = socket;
        socket.disconnect();
        socket.connect();
        await connected(socket);
        assert.notEqual(socket.id, id);
        await settle(socket);
      });
    });

    describe("values", () => {
      for (const [name, value] of Object.entries(VALUES)) {
        it(`come back: ${name}`, async () => {
          const socket = await open();
          assert.deepEqual(await ask(socket, "echo", value), [value]);
          const back = event(socket, "raw");
          socket.emit("raw", value);
          assert.deepEqual(await back, [value]);
        });
      }

      it("come back: none, and several", async () => {
        const socket = await open();
        assert.deepEqual(await ask(socket, "echo"), []);
        const args = [1, "two", [3], { four: 4 }, null, false];
        assert.deepEqual(await ask(socket, "echo", ...args), args);
        assert.deepEqual(await ask(socket, "raw", ...args), args);
        const back = event(socket, "echo");
        socket.emit("echo", ...args);
        assert.deepEqual(await back, args);
      });

      it("come back: undefined members and items as JSON has them", async () => {
        const socket = await open();
        assert.deepEqual(await ask(socket, "echo", { a: undefined, b: [undefined] }), [{ b: [null] }]);
      });

      it("are unpacked and checked", async () => {
        const socket = await open();
        assert.deepEqual(await ask(socket, "sum", 2, 40), [42]);
        assert.deepEqual(await ask(socket, "sum", 2, 40, "more"), [42]);
        const [missing] = await ask(socket, "sum", 2);
        assert.equal(missing.error, "args[1]: missing");
        const [wrong] = await ask(socket, "sum", "2", 40);
        assert.match(wrong.error, /^args\[0\]: expected integer, got string/);
      });

      it("are kept per client in sio_data", async () => {
        const [a, b] = await openMany(2);
        await ask(a, "remember", { n: 1 });
        assert.deepEqual(await ask(a, "recall"), [{ n: 1 }]);
        assert.deepEqual(await ask(b, "recall"), [null]);
      });
    });

    describe("binary", () => {
      it("comes back: a buffer", async () => {
        const socket = await open();
        assert.deepEqual(await ask(socket, "echo", bytes(1000)), [bytes(1000)]);
        const back = event(socket, "echo");
        socket.emit("echo", bytes(3));
        assert.deepEqual(await back, [bytes(3)]);
      });

      it("comes back: an empty buffer", async () => {
        const socket = await open();
        assert.deepEqual(await ask(socket, "echo", Buffer.alloc(0)), [Buffer.alloc(0)]);
      });

      it("comes back: buffers in several places", async () => {
        const socket = await open();
        const args = [{ a: bytes(1), b: [bytes(2), { c: bytes(300) }] }, "text", bytes(4), [[bytes(5)]]];
        assert.deepEqual(await ask(socket, "echo", ...args), args);
      });

      it("comes back: ten attachments, the most that is allowed", async () => {
        const socket = await open();
        const list = Array.from({ length: 10 }, (_, i) => bytes(i));
        assert.deepEqual(await ask(socket, "echo", list), [list]);
      });

      it("comes back: next to what looks like a placeholder", async () => {
        const socket = await open();
        const args = [bytes(2), { _placeholder: false, num: 0 }];
        assert.deepEqual(await ask(socket, "echo", ...args), args);
      });

      it("closes the connection at eleven attachments", async () => {
        const socket = await openSteady();
        const gone = event(socket, "disconnect");
        socket.emit("echo", Array.from({ length: 11 }, () => bytes(1)));
        await gone;
      });

      it("comes back: almost as much as one message may have", async () => {
        // Polling carries base64, and the whole body counts.
        const length = mode === "websocket" ? 1_000_000 - 1000 : 700_000;
        const socket = await open();
        const [back] = await ask(socket, "echo", bytes(length));
        assert.ok(back.equals(bytes(length)));
      });

      it("is seen as bytes by the handler", async () => {
        const socket = await open();
        assert.deepEqual(await ask(socket, "size", bytes(1234)), [1234]);
        assert.deepEqual(await ask(socket, "size", Buffer.alloc(0)), [0]);
        assert.deepEqual(await ask(socket, "size", "text"), [-1]);
      });

      it("can be made by the server", async () => {
        const socket = await open();
        assert.deepEqual(await ask(socket, "bytes", 5000), ["bytes", { nested: bytes(5000) }]);
        assert.deepEqual(await ask(socket, "bytes", 0), ["bytes", { nested: Buffer.alloc(0) }]);
      });

      it("is no text for sio_args_raw", async () => {
        const socket = await open();
        const [answer] = await ask(socket, "raw", bytes(1));
        assert.equal(answer.error, "binary values");
      });

      it("goes to a room", async () => {
        const [a, b, c] = await openMany(3);
        const seen = collect(b, "picture");
        await ask(b, "join", { room: "binary" });
        await ask(c, "join", { room: "binary" });
        await ask(a, "emit", { to: "binary" }, "picture", { data: bytes(2000), name: "é" });
        assert.deepEqual(await seen.until(1), [{ data: bytes(2000), name: "é" }]);
      });
    });

    describe("acknowledgements", () => {
      it("have no arguments when the handler replies nothing", async () => {
        assert.deepEqual(await ask(await open(), "reply none"), []);
      });

      it("have several arguments, binary too", async () => {
        const expected = ["text", 7, { yes: true }, null, Buffer.from([0, 255])];
        assert.deepEqual(await ask(await open(), "reply many"), expected);
      });

      it("leave once", async () => {
        const socket = await open();
        const second = event(socket, "second reply");
        assert.deepEqual(await ask(socket, "reply twice"), ["first"]);
        assert.deepEqual(await second, [-502]); // CARAFE_ERR_STATE
      });

      it("can be sent later, from another thread", async () => {
        assert.deepEqual(await ask(await open(), "reply later"), ["later", 1]);
      });

      it("can be left out", async () => {
        const socket = await open();
        await assert.rejects(socket.timeout(100).emitWithAck("reply never"));
        await settle(socket);
      });

      it("do not come for events that nobody handles", async () => {
        const socket = await open();
        await assert.rejects(socket.timeout(100).emitWithAck("no such event", 1));
        await settle(socket);
      });

      it("belong to their events when many are under way", async () => {
        const socket = await open();
        const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => ask(socket, "echo", i)));
        assert.deepEqual(answers, Array.from({ length: 200 }, (_, i) => [i]));
      });

      it("can be asked of the client, with a callback", async () => {
        const socket = await open();
        socket.on("question", (a, b, ack) => ack(a + b, bytes(3), { ok: true }));
        const answered = event(socket, "answered");
        socket.emit("callback", {}, "question", 40, 2);
        assert.deepEqual(await answered, ["mark", socket.id, [42, bytes(3), { ok: true }]]);
      });

      it("come from each client of a room that was asked with a callback", async () => {
        const sockets = await openMany(3);
        for (const socket of sockets) {
          await ask(socket, "join", { room: "asked" });
          socket.on("question", (ack) => ack(socket.id));
        }
        const sids = new Set();
        const all = new Promise((resolve) => {
          sockets[0].on("answered", (mark, sid, [own]) => {
            assert.equal(sid, own);
            if (sids.add(sid).size === 3) resolve();
          });
        });
        sockets[0].emit("callback", { to: "asked" }, "question");
        await within(all, "three answers");
        assert.deepEqual([...sids].sort(), sockets.map(({ id }) => id).sort());
      });

      it("can be waited for with sio_call", async () => {
        const socket = await open();
        socket.on("question", (text, ack) => ack(`${text}!`, { bin: bytes(4) }));
        assert.deepEqual(await ask(socket, "call", {}, "question", "well"), [["well!", { bin: bytes(4) }]]);
        socket.once("empty", (ack) => ack());
        assert.deepEqual(await ask(socket, "call", {}, "empty"), [[]]);
      });

      it("can be waited for from another client", async () => {
        const [a, b] = await openMany(2);
        b.on("question", (ack) => ack("from b"));
        assert.deepEqual(await ask(a, "call", { to: b.id }, "question"), [["from b"]]);
      });

      it("time out, and a late one does no harm", async () => {
        const socket = await open();
        let late;
        socket.on("question", (ack) => (late = ack));
        assert.deepEqual(await ask(socket, "call", { timeout: 0.1 }, "question"), [null]);
        late("too late");
        await settle(socket);
      });

      it("end at once when the client leaves meanwhile", async () => {
        const [a, b] = await openMany(2);
        const asked = event(b, "question");
        const answer = ask(a, "call", { to: b.id, timeout: 60 }, "question");
        await asked;
        b.disconnect();
        assert.deepEqual(await answer, [null]);
      });

      it("end at once when the client is not there", async () => {
        assert.deepEqual(await ask(await open(), "call", { to: "nobody", timeout: 60 }, "question"), [null]);
      });
    });

    describe("rooms", () => {
      it("deliver to those who joined, and no more to those who left", async () => {
        const [a, b, c] = await openMany(3);
        const [seenA, seenB, seenC] = [a, b, c].map((socket) => collect(socket, "news"));
        assert.deepEqual(await ask(a, "join", { room: "r 1" }), [0]);
        assert.deepEqual(await ask(b, "join", { room: "r 1" }), [0]);
        assert.deepEqual(await ask(b, "join", { room: "r 1" }), [0]);
        await ask(c, "emit", { to: "r 1" }, "news", 1);
        await ask(b, "leave", { room: "r 1" });
        await ask(b, "leave", { room: "r 1" });
        await ask(c, "emit", { to: "r 1" }, "news", 2);
        await settle(a, b, c);
        assert.deepEqual([seenA.items, seenB.items, seenC.items], [[1, 2], [1], []]);
      });

      it("are listed, the client's own first", async () => {
        const [a, b] = await openMany(2);
        await ask(a, "join", { room: "x" });
        await ask(b, "join", { room: "x" });
        await ask(a, "join", { room: "y" });
        const [rooms] = await ask(a, "rooms");
        assert.equal(rooms[0], a.id);
        assert.deepEqual(rooms.slice(1).sort(), ["x", "y"]);
        const [members] = await ask(a, "members", "x");
        assert.deepEqual(members.sort(), [a.id, b.id].sort());
        assert.deepEqual(await ask(a, "members", "nothing"), [[]]);
      });

      it("lose a client that disconnects", async () => {
        const [a, b] = await openMany(2);
        await ask(a, "join", { room: "lost" });
        await ask(b, "join", { room: "lost" });
        const { id } = b;
        b.disconnect();
        await server.line(new RegExp(`^left / ${id} `));
        assert.deepEqual(await ask(a, "members", "lost"), [[a.id]]);
      });

      it("can be closed", async () => {
        const [a, b] = await openMany(2);
        const seen = collect(b, "news");
        await ask(a, "join", { room: "closed" });
        await ask(b, "join", { room: "closed" });
        await ask(a, "close room", "closed");
        await ask(a, "emit", { to: "closed" }, "news", 1);
        await settle(b);
        assert.deepEqual(seen.items, []);
        assert.deepEqual(await ask(a, "members", "closed"), [[]]);
        assert.deepEqual(await ask(a, "rooms"), [[a.id]]);
      });

      it("form a union in which each client is once", async () => {
        const [a, b, c] = await openMany(3);
        const seen = [a, b, c].map((socket) => collect(socket, "news"));
        for (const room of ["u1", "u2"]) await ask(a, "join", { room });
        await ask(b, "join", { room: "u2" });
        assert.deepEqual(await ask(c, "emit", { rooms: ["u1", "u2", "u3"] }, "news", 1), [0]);
        assert.deepEqual(await ask(c, "server emit", { rooms: ["u1", "u2"] }, "news", 2), [0]);
        await settle(a, b, c);
        assert.deepEqual(seen.map(({ items }) => items), [[1, 2], [1, 2], []]);
      });

      it("can be left out with except", async () => {
        const [a, b, c] = await openMany(3);
        const seen = [a, b, c].map((socket) => collect(socket, "news"));
        for (const socket of [a, b, c]) await ask(socket, "join", { room: "e all" });
        await ask(b, "join", { room: "e not" });
        await ask(a, "emit", { to: "e all", except: ["e not", c.id] }, "news", 1);
        await ask(a, "server emit", { to: "e all", except: ["e not"] }, "news", 2);
        await settle(a, b, c);
        assert.deepEqual(seen.map(({ items }) => items), [[1, 2], [], [2]]);
      });

      it("are named by the clients' ids too", async () => {
        const [a, b, c] = await openMany(3);
        const seen = [a, b, c].map((socket) => collect(socket, "private"));
        await ask(a, "emit", { to: b.id }, "private", 1);
        await ask(a, "server emit", { to: c.id }, "private", 2);
        await settle(a, b, c);
        assert.deepEqual(seen.map(({ items }) => items), [[], [1], [2]]);
      });

      it("can be joined and left by another client's id", async () => {
        const [a, b] = await openMany(2);
        assert.deepEqual(await ask(a, "join", { room: "other", sid: b.id }), [0]);
        assert.deepEqual(await ask(a, "members", "other"), [[b.id]]);
        assert.deepEqual(await ask(a, "leave", { room: "other", sid: b.id }), [0]);
        assert.deepEqual(await ask(a, "members", "other"), [[]]);
        assert.deepEqual(await ask(a, "join", { room: "other", sid: "nobody" }), [-503]);
      });

      it("are separate in each namespace", async () => {
        const a = await open();
        const b = await open("/early");
        await ask(b, "ready");
        const seen = collect(b, "news");
        await ask(a, "emit", { to: "early birds" }, "news", 1);
        await ask(a, "server emit", { to: "early birds", ns: "/early" }, "news", 2);
        await ask(b, "ready");
        assert.deepEqual(seen.items, [2]);
      });

      it("refuse an empty name", async () => {
        const socket = await open();
        const seen = collect(socket, "news");
        assert.deepEqual(await ask(socket, "join", { room: "" }), [-501]);
        assert.deepEqual(await ask(socket, "emit", { to: "" }, "news", 1), [-501]);
        await settle(socket);
        assert.deepEqual(seen.items, []);
      });
    });

    describe("broadcasts", () => {
      it("reach everybody, or all but some", async () => {
        const [a, b, c] = await openMany(3);
        const seen = [a, b, c].map((socket) => collect(socket, "news"));
        await ask(a, "emit", { broadcast: true }, "news", "all");
        await ask(a, "emit", { broadcast: true, skip_self: true }, "news", "not me");
        await ask(a, "emit", { broadcast: true, skip_sid: b.id }, "news", "not b");
        await ask(a, "emit", { broadcast: true, skip_sids: [a.id, c.id] }, "news", "only b");
        await ask(a, "emit", {}, "news", "only me");
        await settle(a, b, c);
        assert.deepEqual(seen.map(({ items }) => items), [
          ["all", "not b", "only me"],
          ["all", "not me", "only b"],
          ["all", "not me", "not b"],
        ]);
      });

      it("come from the server outside of a handler's client", async () => {
        const [a, b] = await openMany(2);
        const seen = [a, b].map((socket) => collect(socket, "news"));
        await ask(a, "server emit", {}, "news", 1);
        await ask(a, "server emit", { skip_sid: b.id }, "news", 2);
        await settle(a, b);
        assert.deepEqual(seen.map(({ items }) => items), [[1, 2], [1]]);
      });

      it("stay in their namespace", async () => {
        const a = await open();
        const b = a.io.socket("/quiet");
        await connected(b);
        const seen = [a, b].map((socket) => collect(socket, "news"));
        await ask(a, "emit", { broadcast: true }, "news", 1);
        await ask(a, "server emit", { ns: "/quiet" }, "news", 2);
        await ask(a, "emit", { ns: "/quiet" }, "news", 3);
        await settle(a);
        assert.deepEqual(seen.map(({ items }) => items), [[1], [2, 3]]);
      });

      it("refuse reserved names", async () => {
        const socket = await open();
        for (const name of ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]) {
          assert.deepEqual(await ask(socket, "emit", {}, name, 1), [-501], name);
        }
      });
    });

    describe("messages", () => {
      it("come back from sio_send: message and json", async () => {
        const socket = await open();
        let back = event(socket, "message");
        socket.send("text");
        assert.deepEqual(await back, ["text"]);
        back = event(socket, "message");
        socket.send(bytes(9));
        assert.deepEqual(await back, [bytes(9)]);
        back = event(socket, "json");
        socket.emit("json", { a: [1] });
        assert.deepEqual(await back, [{ a: [1] }]);
      });

      it("keep a list as one argument", async () => {
        const socket = await open();
        const back = event(socket, "message");
        socket.send([1, 2]);
        assert.deepEqual(await back, [[1, 2]]);
      });

      it("go to rooms", async () => {
        const [a, b] = await openMany(2);
        await ask(b, "join", { room: "messages" });
        const [text, json] = [event(b, "message"), event(b, "json")];
        a.emit("send", { to: "messages" }, "hello");
        a.emit("send", { to: "messages", json: true }, { hello: 1 });
        assert.deepEqual(await text, ["hello"]);
        assert.deepEqual(await json, [{ hello: 1 }]);
      });
    });

    describe("order", () => {
      const numbers = Array.from({ length: 500 }, (_, i) => i);

      it("is kept for 500 events to the server and back", async () => {
        const socket = await open();
        const seen = collect(socket, "echo");
        for (const n of numbers) socket.emit("echo", n);
        assert.deepEqual(await seen.until(500), numbers);
      });

      it("is kept for 500 events from one handler", async () => {
        const socket = await open();
        const seen = collect(socket, "number");
        await ask(socket, "burst", 500);
        assert.deepEqual(seen.items, numbers);
      });

      it("is kept between text and binary events", async () => {
        const socket = await open();
        const seen = collect(socket, "echo");
        const list = numbers.slice(0, 100).map((n) => (n % 3 === 0 ? bytes(n) : n));
        for (const item of list) socket.emit("echo", item);
        assert.deepEqual(await seen.until(100), list);
      });

      it("is that of the first waits when handlers wait", async () => {
        const socket = await open();
        const done = collect(socket, "done");
        socket.emit("slow", 0.1, "first");
        socket.emit("slow", 0, "second");
        assert.deepEqual(await done.until(2), ["second", "first"]);
      });
    });

    describe("emitting from outside", () => {
      it("works from a background task, which can be joined", async () => {
        const socket = await open();
        const seen = collect(socket, "from task");
        assert.deepEqual(await ask(socket, "task", socket.id, 5), []);
        assert.deepEqual(await seen.until(5), [0, 1, 2, 3, 4]);
      });

      it("works from any thread, in order", async () => {
        const socket = await open();
        const seen = collect(socket, "from thread");
        socket.emit("thread", socket.id, 100);
        assert.deepEqual(await seen.until(100), Array.from({ length: 100 }, (_, i) => i));
      });
    });

    describe("errors", () => {
      it("are acked with what the error handler replies", async () => {
        const [answer] = await ask(await open(), "fail");
        assert.deepEqual(answer, { handler: "own", event: "fail", error: "failed on purpose" });
      });

      it("are never acked without an error handler, and the connection stays", async () => {
        const socket = await open("/bare");
        await assert.rejects(socket.timeout(100).emitWithAck("fail"));
        assert.deepEqual(await ask(socket, "ok"), ["/bare"]);
      });
    });

    describe("namespace classes and routing", () => {
      it("dispatch to methods, functions first", async () => {
        const socket = client(server, "/class", options);
        const hello = event(socket, "hello");
        const seen = collect(socket, "seen");
        assert.deepEqual(await hello, ["self"]);
        assert.deepEqual(await ask(socket, "method"), ["method", "self"]);
        assert.deepEqual(await ask(socket, "function"), ["function"]);
        assert.deepEqual(await ask(socket, "anything"), ["rest", "anything"]);
        await seen.until(3);
        assert.ok(seen.items.includes("method") && seen.items.includes("anything"), String(seen.items));
      });

      it("catch all events with *", async () => {
        const socket = await open("/wild");
        assert.deepEqual(await ask(socket, "any name", 1, "x"), ["any name", [1, "x"]]);
      });

      it("run a guard before its handler", async () => {
        const socket = await open();
        assert.deepEqual(await ask(socket, "guarded", "open sesame"), ["handled"]);
        assert.deepEqual(await ask(socket, "guarded", "please"), ["guarded"]);
      });
    });

    describe("disconnecting", () => {
      const left = (id, ns = "/") => server.line(new RegExp(`^left ${ns} ${id} (.*)$`)).then(([, reason]) => reason);

      it("by the client", async () => {
        const socket = await open();
        const { id } = socket;
        socket.disconnect();
        assert.equal(await left(id), "client namespace disconnect");
      });

      it("by the client from one of its namespaces", async () => {
        const socket = await open();
        const early = socket.io.socket("/early");
        await connected(early);
        const { id } = early;
        early.disconnect();
        assert.equal(await left(id, "/early"), "client namespace disconnect");
        await settle(socket);
        early.connect();
        await connected(early);
        assert.notEqual(early.id, id);
      });

      it("by a connection that closes", async () => {
        const socket = await open();
        const { id } = socket;
        socket.io.engine.close();
        assert.equal(await left(id), "transport close");
      });

      it("by the server from the namespace, after what it emitted", async () => {
        const socket = await open();
        const early = socket.io.socket("/early");
        await connected(early);
        const order = [];
        socket.on("last words", () => order.push("last words"));
        const gone = event(socket, "disconnect");
        const { id } = socket;
        socket.emit("disconnect me", {});
        const [reason] = await gone;
        assert.equal(reason, "io server disconnect");
        assert.deepEqual(order, ["last words"]);
        assert.equal(await left(id), "server namespace disconnect");
        assert.deepEqual(await ask(early, "ready"), [true]);
      });

      it("by the server with the whole connection", async () => {
        const socket = await openSteady();
        const early = socket.io.socket("/early");
        await connected(early);
        const order = [];
        socket.on("last words", () => order.push("last words"));
        const gone = Promise.all([event(socket, "disconnect"), event(early, "disconnect"), event(socket.io.engine, "close")]);
        const { id } = socket;
        socket.emit("disconnect me", { close: true });
        const [[reason]] = await gone;
        assert.equal(reason, "io server disconnect");
        assert.deepEqual(order, ["last words"]);
        assert.equal(await left(id), "server namespace disconnect");
      });

      it("by the server of another client", async () => {
        const [a, b, c] = await openMany(3);
        const gone = [event(b, "disconnect"), event(c, "disconnect")];
        assert.deepEqual(await ask(a, "server disconnect", b.id), [0]);
        assert.deepEqual(await ask(a, "disconnect me", { sid: c.id }), [0]);
        for (const [reason] of await Promise.all(gone)) assert.equal(reason, "io server disconnect");
        assert.deepEqual(await ask(a, "disconnect me", { sid: "nobody" }), [-503]);
      });

      it("drops what handlers still emit", async () => {
        const [a, b] = await openMany(2);
        b.emit("slow", 0.05, "too late");
        await settle(b);
        const { id } = b;
        b.disconnect();
        await left(id);
        await ask(a, "slow", 0.1, "x");
        await settle(a);
      });
    });
  });
}

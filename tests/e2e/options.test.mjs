// Options of the Engine.IO server: origins, cookie, transports, time limits.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertError, handshake, PATH, send, Session, upgradeBy, websocket, withServer } from "./engineio.mjs";

// ---- origins ----

const preflight = (server, origin) =>
  send(server, `${PATH}?EIO=4&transport=polling`, {
    method: "OPTIONS",
    headers: { Origin: origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-colour, content-type" },
  });

const fromOrigin = async (server, origin) => {
  const polling = await handshake(server, "", { headers: { Origin: origin } });
  const { status } = await upgradeBy(server, `${PATH}?EIO=4&transport=websocket`, { Origin: origin });
  return { polling, websocket: status };
};

function assertAllowed({ polling, websocket }, origin) {
  assert.equal(polling.status, 200, polling.body);
  assert.equal(websocket, 101);
  assert.equal(polling.headers["access-control-allow-origin"], origin);
  assert.equal(polling.headers["access-control-allow-credentials"], "true");
  assert.match(polling.headers.vary, /origin/i);
}

function assertRefused({ polling, websocket }) {
  assert.equal(polling.status, 400);
  assert.equal(typeof JSON.parse(polling.body).message, "string");
  assert.equal(polling.headers["access-control-allow-origin"], undefined);
  assert.equal(websocket, 400);
}

describe("origins by default", () => {
  const own = withServer();

  it("are not needed", async () => {
    const { status, headers } = await handshake(own.server);
    assert.equal(status, 200);
    assert.equal(headers["access-control-allow-origin"], undefined);
  });

  it("may be the server's own", async () => {
    const { polling, websocket } = await fromOrigin(own.server, own.server.url);
    assert.deepEqual([polling.status, websocket], [200, 101]);
  });

  it("may not be others", async () => {
    const { port } = own.server;
    for (const origin of ["http://evil.example", "null", `http://127.0.0.1:${port === 1 ? 2 : 1}`, "http://127.0.0.1", `http://127.0.0.1:${port}.evil.example`, `http://localhost:${port}`]) {
      assertRefused(await fromOrigin(own.server, origin));
    }
  });

  it("are not taken from X-Forwarded-Host", async () => {
    const headers = { Origin: "http://evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http" };
    assert.equal((await handshake(own.server, "", { headers })).status, 400);
  });

  it("are checked on every request", async () => {
    const session = await Session.open(own.server);
    const headers = { Origin: "http://evil.example" };
    assert.equal((await session.post("4x", headers)).status, 400);
    assert.equal((await upgradeBy(own.server, `${PATH}?EIO=4&transport=websocket&sid=${session.sid}`, headers)).status, 400);
  });

  it("get no preflight when foreign", async () => {
    const { headers } = await preflight(own.server, "http://evil.example");
    assert.equal(headers["access-control-allow-origin"], undefined);
  });
});

describe("origins of a list", () => {
  const own = withServer(["--origins", "http://one.example,https://two.example:8443"]);

  it("are allowed, each in its own name", async () => {
    for (const origin of ["http://one.example", "https://two.example:8443"]) {
      assertAllowed(await fromOrigin(own.server, origin), origin);
    }
  });

  it("are the only ones besides the server's own", async () => {
    for (const origin of ["https://one.example", "http://one.example:81", "http://two.example:8443", "http://xone.example", "null"]) {
      assertRefused(await fromOrigin(own.server, origin));
    }
    const { polling, websocket } = await fromOrigin(own.server, own.server.url);
    assert.deepEqual([polling.status, websocket], [200, 101]);
  });

  it("get the headers on each answer of the session", async () => {
    const session = await Session.open(own.server);
    const headers = { Origin: "http://one.example" };
    const posted = await session.post("4x", headers);
    const polled = await session.poll({ headers });
    for (const answer of [posted, polled]) {
      assert.equal(answer.status, 200);
      assert.equal(answer.headers["access-control-allow-origin"], "http://one.example");
    }
  });

  it("get their preflight answered", async () => {
    const { status, headers } = await preflight(own.server, "http://one.example");
    assert.ok(status === 200 || status === 204, String(status));
    assert.equal(headers["access-control-allow-origin"], "http://one.example");
    assert.equal(headers["access-control-allow-credentials"], "true");
    assert.match(headers["access-control-allow-methods"], /GET/);
    assert.match(headers["access-control-allow-methods"], /POST/);
    assert.equal(headers["access-control-allow-headers"].replaceAll(" ", ""), "x-colour,content-type");
    assert.match(headers.vary, /origin/i);
  });
});

describe("any origin", () => {
  const own = withServer(["--origins", "*"]);

  it("is allowed, in its own name", async () => {
    for (const origin of ["http://one.example", "null"]) assertAllowed(await fromOrigin(own.server, origin), origin);
  });
});

describe("an empty list of origins", () => {
  const own = withServer(["--origins", ""]);

  it("switches the check off", async () => {
    const { polling, websocket } = await fromOrigin(own.server, "http://one.example");
    assert.deepEqual([polling.status, websocket], [200, 101]);
  });
});

// ---- further options ----

describe("the cookie option", () => {
  const own = withServer(["--cookie", "io"]);

  it("sets a cookie with the session's id, once, on polling", async () => {
    const { headers, body } = await handshake(own.server);
    const { sid } = JSON.parse(body.slice(1));
    const [cookie, ...others] = headers["set-cookie"];
    assert.equal(others.length, 0);
    const [value, ...attributes] = cookie.split(/; */);
    assert.equal(value, `io=${sid}`);
    assert.ok(attributes.includes("Path=/"), cookie);
    assert.ok(attributes.includes("SameSite=Lax"), cookie);
    const target = `&sid=${sid}`;
    const posted = await handshake(own.server, target, { method: "POST", body: "4x" });
    assert.equal(posted.headers["set-cookie"], undefined);
    assert.equal((await handshake(own.server, target)).headers["set-cookie"], undefined);
  });
});

describe("no cookie option", () => {
  const own = withServer();

  it("sets no cookie", async () => {
    assert.equal((await handshake(own.server)).headers["set-cookie"], undefined);
  });
});

describe("the transports option", () => {
  describe("with websocket alone", () => {
    const own = withServer(["--transports", "websocket"]);

    it("refuses polling", async () => {
      assertError(await handshake(own.server), 0);
      const raw = websocket(own.server);
      await raw.until(/^0/);
      await raw.send("4x");
      assert.equal(await raw.next(), "4x");
    });
  });

  describe("with polling alone", () => {
    const own = withServer(["--transports", "polling"]);

    it("refuses WebSockets", async () => {
      const session = await Session.open(own.server);
      assert.deepEqual(session.opened.upgrades, []);
      assert.equal((await upgradeBy(own.server, `${PATH}?EIO=4&transport=websocket`)).status, 400);
      assert.equal((await upgradeBy(own.server, `${PATH}?EIO=4&transport=websocket&sid=${session.sid}`)).status, 400);
      await session.say("4x");
      assert.deepEqual(await session.hear(1), ["4x"]);
    });
  });
});

describe("allow_upgrades off", () => {
  const own = withServer(["--no-upgrades"]);

  it("keeps polling sessions on polling", async () => {
    const session = await Session.open(own.server);
    assert.deepEqual(session.opened.upgrades, []);
    await session.websocket().closed();
    await session.say("4x");
    assert.deepEqual(await session.hear(1), ["4x"]);
  });

  it("still takes WebSockets from the start", async () => {
    const raw = websocket(own.server);
    await raw.until(/^0/);
    await raw.send("4x");
    assert.equal(await raw.next(), "4x");
  });
});

describe("the connect timeout", () => {
  const own = withServer(["--connect-timeout", "0.3"]);

  it("closes a session that sends nothing", async () => {
    const session = await Session.open(own.server);
    await own.server.line(new RegExp(`^closed ${session.sid} `));
    await session.mustBeGone();
  });

  it("keeps one that has sent a message", async () => {
    const session = await Session.open(own.server);
    await session.say("4x");
    const other = await Session.open(own.server);
    await own.server.line(new RegExp(`^closed ${other.sid} `));
    assert.deepEqual(await session.hear(1), ["4x"]);
  });
});

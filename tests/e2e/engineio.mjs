// Engine.IO by hand: requests, polling sessions and WebSockets.
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { after, afterEach, before } from "node:test";
import { closeClients, RawSocket, startServer, within } from "./support.mjs";

export const PATH = "/engine.io/";
export const SHORT = ["--ping-interval", "0.3", "--ping-timeout", "0.2"];
export const SEPARATOR = "\x1e";

// ---- requests ----

// Starts a request and leaves its end to the caller.
export function start(server, target, { method = "GET", headers = {} } = {}) {
  const request = http.request({ host: "127.0.0.1", port: server.port, path: target, method, headers, agent: false });
  const answer = new Promise((resolve, reject) => {
    request.on("error", reject);
    request.on("response", (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const body = Buffer.concat(chunks).toString();
        resolve({ status: response.statusCode, headers: response.headers, body });
      });
    });
  });
  answer.catch(() => {});
  return { request, answer: () => within(answer, `the answer to ${method} ${target}`) };
}

export function send(server, target, { body, ...options } = {}) {
  const { request, answer } = start(server, target, options);
  request.end(body);
  return answer();
}

export const handshake = (server, query = "", options) => send(server, `${PATH}?EIO=4&transport=polling${query}`, options);

// A session on polling.
export class Session {
  static async open(server) {
    const { status, body } = await handshake(server);
    assert.equal(status, 200, body);
    return new Session(server, JSON.parse(body.slice(1)));
  }

  constructor(server, opened) {
    this.server = server;
    this.opened = opened;
    this.sid = opened.sid;
    this.target = `${PATH}?EIO=4&transport=polling&sid=${this.sid}`;
  }

  poll(options) {
    return send(this.server, this.target, options);
  }

  // A GET that has reached the server, which holds it as long as it has nothing to say.
  async park() {
    const started = start(this.server, this.target);
    started.request.end();
    await once(started.request, "finish");
    // Connections are served in turn: when a later one is answered, the server has read the GET.
    await handshake(this.server);
    await handshake(this.server);
    return started;
  }

  post(body, headers = { "Content-Type": "text/plain;charset=UTF-8" }) {
    return send(this.server, this.target, { method: "POST", headers, body });
  }

  async say(...packets) {
    const { status, body } = await this.post(packets.join(SEPARATOR));
    assert.equal(status, 200);
    assert.equal(body, "ok");
  }

  // The packets of polls, until there are `count` of them that are no pings (which are answered) or
  // noops.
  async hear(count) {
    const packets = [];
    while (packets.length < count) {
      const { status, body } = await this.poll();
      assert.equal(status, 200, body);
      for (const packet of body.split(SEPARATOR)) {
        if (packet === "2") await this.say("3");
        else if (packet !== "6") packets.push(packet);
      }
    }
    return packets;
  }

  // The session must be gone; closing may leave one last poll to be answered.
  async mustBeGone() {
    const { status, body } = await this.poll();
    if (status === 200) {
      assert.equal(body.split(SEPARATOR).at(-1), "1");
      return this.mustBeGone();
    }
    assertError({ status, body }, 1);
  }

  websocket(options) {
    return new RawSocket(this.server, `&sid=${this.sid}`, { path: PATH, ...options });
  }
}

export const websocket = (server, query = "", options) => new RawSocket(server, query, { path: PATH, ...options });

const MESSAGES = ["Transport unknown", "Session ID unknown", "Bad handshake method", "Bad request", "Forbidden", "Unsupported protocol version"];

export function assertError({ status, headers, body }, code) {
  assert.equal(status, code === 4 ? 403 : 400, body);
  assert.equal(JSON.parse(body).code, code, body);
  assert.equal(JSON.parse(body).message, MESSAGES[code]);
  if (headers) assert.match(headers["content-type"], /^application\/json/);
}

// Sends a WebSocket handshake by hand; resolves to the answer's status and body.
export async function upgradeBy(server, target, headers = {}) {
  const { request, answer } = start(server, target, {
    headers: {
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
      ...headers,
    },
  });
  const upgraded = once(request, "upgrade").then(([response, socket]) => {
    socket.destroy();
    return { status: response.statusCode, headers: response.headers };
  });
  upgraded.catch(() => {});
  request.end();
  return Promise.race([upgraded, answer()]);
}

// A server for the tests of the describe block in which this is called.
export function withServer(args) {
  const holder = {};
  before(async () => (holder.server = await startServer(args)));
  after(() => holder.server.stop());
  afterEach(closeClients);
  return holder;
}

// What the test files share: servers, clients, and waiting with a time limit.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { io } from "socket.io-client";
import WebSocket from "ws";

export const HERE = path.dirname(fileURLToPath(import.meta.url));
export const BUILD_DIR = path.resolve(process.env.BUILD_DIR ?? path.join(HERE, "../../build"));

// How long anything may take that is expected to happen; E2E_PATIENCE=5 for slow machines.
export const PATIENCE = 5000 * Number(process.env.E2E_PATIENCE ?? 1);

// The same promise, but rejected with a word about what was waited for when it takes too long.
export function within(promise, what, ms = PATIENCE) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

// ---- servers ----

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

// A program that was started, with its lines of output.
export class Program {
  constructor(file, args = []) {
    this.lines = [];
    this.errors = "";
    this.watchers = new Set();
    this.child = spawn(path.join(BUILD_DIR, file), args, { cwd: HERE, stdio: ["ignore", "pipe", "pipe"] });
    running.add(this.child);
    this.child.stderr.on("data", (data) => (this.errors += data));
    this.ended = new Promise((resolve, reject) => {
      this.child.on("error", reject);
      this.child.on("close", (code, signal) => resolve(signal ?? code));
    }).finally(() => running.delete(this.child));
    this.ended.catch(() => {});
    createInterface(this.child.stdout).on("line", (line) => {
      this.lines.push(line);
      for (const watcher of this.watchers) watcher(line);
    });
  }

  // The first line that fits, whether it has come already or is still to come.
  async line(pattern, what = String(pattern)) {
    const old = this.lines.map((line) => line.match(pattern)).find(Boolean);
    if (old) return old;
    let watcher;
    const found = new Promise((resolve) => {
      watcher = (line) => line.match(pattern) && resolve(line.match(pattern));
      this.watchers.add(watcher);
    });
    const ended = this.ended.then((status) => {
      throw new Error(`the program ended with ${status} before ${what}\n${this.errors}`);
    });
    try {
      return await within(Promise.race([found, ended]), `the line ${what}`);
    } finally {
      this.watchers.delete(watcher);
    }
  }

  // Ends it as an operator would; it must end well.
  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill("SIGTERM");
    const status = await within(this.ended, "the program's end", 2 * PATIENCE).catch((error) => {
      this.child.kill("SIGKILL");
      throw error;
    });
    assert.equal(status, 0, `the program ended with ${status}\n${this.errors}`);
  }
}

// The test server, ready to be connected to.
export async function startServer(args = []) {
  const server = new Program("tests/e2e_server", args);
  const [, port] = await server.line(/^listening (\d+)$/);
  server.port = Number(port);
  server.host = `127.0.0.1:${port}`;
  server.url = `http://${server.host}`;
  return server;
}

// A port that nobody listens on.
export async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}

// ---- Socket.IO clients ----

// Client options for each way a connection can go.
export const MODES = {
  polling: { transports: ["polling"] },
  websocket: { transports: ["websocket"] },
  upgrade: {}, // polling first; the tests do not wait for the WebSocket
};

const clients = new Set();

// A client of a namespace that has not connected yet. Each has a connection of its own.
export function client(server, ns = "/", options = {}) {
  const socket = io(server.url + ns, { forceNew: true, reconnection: false, ...options });
  clients.add(socket);
  return socket;
}

export async function connect(server, ns, options) {
  const socket = client(server, ns, options);
  await connected(socket);
  return socket;
}

export function connected(socket) {
  const outcome = new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("connect_error", reject);
  });
  return within(outcome, "connect");
}

// Disconnects all that were made since; for afterEach.
export function closeClients() {
  for (const socket of clients) {
    socket.io?.reconnection(false);
    socket.disconnect();
    socket.io?.engine?.close();
  }
  clients.clear();
}

// The arguments of the next such event.
export function event(emitter, name, what = `the event ${name}`) {
  return within(new Promise((resolve) => emitter.once(name, (...args) => resolve(args))), what);
}

// All events of a name from now on: the first argument of each.
export function collect(socket, name) {
  const items = [];
  const wakers = new Set();
  socket.on(name, (item) => {
    items.push(item);
    for (const waker of wakers) waker();
  });
  const until = (count) =>
    within(
      new Promise((resolve) => {
        const waker = () => items.length >= count && resolve(items);
        wakers.add(waker);
        waker();
      }),
      `${count} times ${name}`,
    );
  return { items, until };
}

// Emits and gives all arguments of the ack.
export function ask(socket, name, ...args) {
  const answer = new Promise((resolve) => socket.emit(name, ...args, (...values) => resolve(values)));
  return within(answer, `the ack of ${name}`);
}

// A round trip on each: whatever was sent to them before has arrived then.
export function settle(...sockets) {
  return Promise.all(sockets.map((socket) => ask(socket, "echo", "settle")));
}

// ---- raw WebSockets ----

// A WebSocket whose messages wait until they are asked for: text as strings, binary as buffers.
export class RawSocket {
  constructor(server, query = "", { path = "/socket.io/", headers } = {}) {
    const url = `ws://${server.host}${path}?EIO=4&transport=websocket${query}`;
    this.ws = new WebSocket(url, { headers });
    this.queue = [];
    this.wake = () => {};
    this.ws.on("message", (data, isBinary) => {
      this.queue.push(isBinary ? data : String(data));
      this.wake();
    });
    this.opened = new Promise((resolve, reject) => {
      this.ws.on("open", resolve);
      this.ws.on("error", reject);
    });
    this.opened.catch(() => {});
    this.ended = new Promise((resolve) => this.ws.on("close", resolve));
    this.ended.then(() => this.wake());
    clients.add(this);
  }

  async send(...messages) {
    await within(this.opened, "an open WebSocket");
    for (const message of messages) this.ws.send(message);
  }

  // The next message.
  async next() {
    const arrival = () => new Promise((resolve) => (this.wake = resolve));
    if (this.queue.length === 0) await within(arrival(), "a WebSocket message");
    if (this.queue.length === 0) throw new Error("the WebSocket closed before a message came");
    return this.queue.shift();
  }

  // The match of the next text that fits; what comes before is dropped.
  async until(pattern) {
    for (;;) {
      const message = await this.next();
      const match = typeof message === "string" && message.match(pattern);
      if (match) return match;
    }
  }

  // Resolves to the close code; what still came stays in the queue.
  closed() {
    return within(this.ended, "the WebSocket's end");
  }

  disconnect() {
    this.ws.terminate();
  }
}

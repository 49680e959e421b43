// The page's half of the chat: what comes from the server goes into `state`, and from there into
// the document. Text of other people only ever becomes a text node.

const FIRST_ROOM = "lobby";
const ANSWER_MS = 8000; // how long an event may wait for its ack
const LATENCY_MS = 1000; // between two measurements
const SAMPLES_MAX = 60;
const LOG_MAX = 300;
const FRAMES_MAX = 80;

const $ = (id) => document.getElementById(id);

const state = {
  name: sessionStorage.getItem("name") || makeName(),
  rooms: new Map(), // name -> { people: [], log: [], unread: 0 }
  room: null, // the name of the one that is shown
  samples: [], // round trips in ms, the newest last
};

function makeName() {
  const words = ["Amber", "Cork", "Crystal", "Dewy", "Fizzy", "Golden", "Mellow", "Misty", "Ruby"];
  const nouns = ["Badger", "Finch", "Heron", "Lynx", "Marten", "Otter", "Robin", "Swift", "Vole"];
  const pick = (list) => list[Math.floor(Math.random() * list.length)];
  return `${pick(words)} ${pick(nouns)}`;
}

// ---- small helpers ----

function make(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

function trimTo(list, max) {
  while (list.children.length > max) list.firstElementChild.remove();
}

// Appends to a list, which follows its end unless somebody has scrolled up to read.
function appendTo(list, node, max) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  list.append(node);
  trimTo(list, max);
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function hueOf(text) {
  let hash = 2166136261; // FNV-1a
  for (const char of text) hash = Math.imul(hash ^ char.codePointAt(0), 16777619) >>> 0;
  return hash % 360;
}

function avatar(sid, name) {
  const initials = name.split(/\s+/).slice(0, 2).map((word) => [...word][0] ?? "").join("");
  const node = make("span", "avatar", initials.toUpperCase());
  node.style.setProperty("--hue", hueOf(sid));
  node.setAttribute("aria-hidden", "true");
  return node;
}

function showAlert(text) {
  $("alert").textContent = text;
  $("alert").hidden = !text;
}

// ---- rooms ----

function addRoom(name) {
  if (!state.rooms.has(name)) state.rooms.set(name, { people: [], log: [], unread: 0 });
  showRoom(name);
}

function dropRoom(name) {
  state.rooms.delete(name);
  if (state.room === name) showRoom([...state.rooms.keys()].at(-1) ?? null);
  else drawRooms();
}

function showRoom(name) {
  state.room = name;
  const room = state.rooms.get(name);
  if (room) room.unread = 0;
  $("chat-title").textContent = name ?? "No room";
  $("log").replaceChildren(...(room?.log ?? []));
  $("log").scrollTop = $("log").scrollHeight;
  drawRooms();
  drawPeople();
  drawControls();
}

function drawRooms() {
  $("rooms").replaceChildren(...[...state.rooms].map(([name, room]) => {
    const button = make("button", "", make("span", "room-name", name));
    button.type = "button";
    if (room.unread) button.append(make("span", "badge", String(room.unread)));
    if (name === state.room) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => {
      showRoom(name);
      showPane("chat");
    });
    return make("li", "", button);
  }));
}

function drawPeople() {
  const people = state.rooms.get(state.room)?.people ?? [];
  $("people").replaceChildren(...people.map(({ sid, name }) => {
    const you = sid === socket.id ? make("span", "soft", "you") : "";
    return make("li", "", avatar(sid, name), make("span", "", name), you);
  }));
  $("chat-sub").textContent = describe(people.length);
}

function describe(count) {
  if (state.room === null) return "Join one to talk.";
  if (!socket.connected) return "Not connected";
  return count === 1 ? "Only you are here" : `${count} people are here`;
}

function drawControls() {
  const online = socket.connected;
  const inRoom = online && state.room !== null;
  for (const id of ["say", "leave", "close"]) $(id).disabled = !inRoom;
  for (const button of document.querySelectorAll("form button")) button.disabled = !online;
  $("say-form").querySelector("button").disabled = !inRoom;
}

// ---- the conversation ----

function addLine(roomName, node) {
  const room = state.rooms.get(roomName);
  if (!room) return;
  room.log.push(node);
  room.log.splice(0, room.log.length - LOG_MAX);
  if (roomName === state.room) {
    appendTo($("log"), node, LOG_MAX);
  } else {
    room.unread += 1;
    drawRooms();
  }
}

function addNotice(roomName, text) {
  addLine(roomName, make("li", "notice", text));
}

function addSaid({ room, sid, name, text }) {
  const now = new Date();
  const time = make("time", "", now.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = now.toISOString();
  const line = make("li", "said", avatar(sid, name), make("span", "who", name, time), make("span", "text", text));
  line.dataset.sid = sid;
  line.classList.toggle("mine", sid === socket.id);
  line.classList.toggle("more", state.rooms.get(room)?.log.at(-1)?.dataset.sid === sid);
  addLine(room, line);
}

// "broadcast" and "room" carry whatever their sender liked; this page sends { from, text }.
function addShout(label, data) {
  const text = typeof data?.text === "string" ? data.text : JSON.stringify(data) ?? "";
  const from = typeof data?.from === "string" ? data.from : "somebody";
  if (state.room) addLine(state.room, make("li", "shout", make("b", "", `${from} to ${label}: `), text));
}

// ---- the wire ----

function addFrame(way, event, args) {
  if (event === "latency") return; // one each second would hide all others
  const data = args.map((arg) => JSON.stringify(arg)).join(", ");
  const code = make("code", "", `${event} `, make("span", "data", data));
  const arrow = make("span", "way", way === "out" ? "↑" : "↓");
  arrow.setAttribute("aria-label", way === "out" ? "sent" : "received");
  arrow.setAttribute("role", "img");
  appendTo($("frames"), make("li", way, arrow, code), FRAMES_MAX);
}

function drawLatency() {
  const { samples } = state;
  if (samples.length === 0) return;
  const recent = samples.slice(-10);
  const mean = recent.reduce((sum, ms) => sum + ms, 0) / recent.length;
  $("latency").textContent = format(samples.at(-1));
  $("average").textContent = `${format(mean)} on average`;

  const top = Math.max(2, ...samples) * 1.1;
  const x = (i) => 240 - (samples.length - 1 - i) * (240 / (SAMPLES_MAX - 1));
  const y = (ms) => 54 - (ms / top) * 50;
  const line = samples.map((ms, i) => `${x(i).toFixed(1)} ${y(ms).toFixed(1)}`).join("L");
  $("spark").querySelector(".line").setAttribute("d", `M${line}`);
  $("spark").querySelector(".area").setAttribute("d", `M${line}L240 56L${x(0).toFixed(1)} 56Z`);
}

function format(ms) {
  return ms < 10 ? ms.toFixed(1) : ms.toFixed(0);
}

async function measure() {
  if (!socket.connected || document.hidden) return;
  const start = performance.now();
  try {
    await ask("latency");
  } catch {
    return; // the connection went; it is shown elsewhere
  }
  state.samples.push(performance.now() - start);
  state.samples.splice(0, state.samples.length - SAMPLES_MAX);
  drawLatency();
}

// ---- the connection ----

if (!window.io) {
  showAlert("The Socket.IO client is missing on the server: run “npm ci” in examples/chat, then start again.");
  throw new Error("no Socket.IO client");
}
const socket = window.io();

// Emits and waits for the ack; an answer { error } becomes an exception.
async function ask(event, ...args) {
  const answer = await socket.timeout(ANSWER_MS).emitWithAck(event, ...args);
  if (answer?.error) throw new Error(answer.error);
  return answer;
}

// The same for what a person asked for: failures are shown. True when it went well.
async function tryAsk(event, ...args) {
  showAlert("");
  try {
    await ask(event, ...args);
    return true;
  } catch (error) {
    showAlert(error.message);
    return false;
  }
}

async function join(room) {
  if (await tryAsk("join", { room, name: state.name })) addRoom(room);
}

function drawTransport() {
  const name = socket.io.engine?.transport.name;
  $("transport").textContent = { websocket: "WebSocket", polling: "Polling" }[name] ?? "–";
}

function setStatus(kind, text, button) {
  document.body.dataset.state = kind;
  $("status").textContent = text;
  $("link").textContent = button;
  $("link").disabled = false;
  drawControls();
}

socket.on("connect", async () => {
  setStatus("on", "Connected", "Disconnect");
  showAlert("");
  drawTransport();
  socket.io.engine.on("upgrade", drawTransport);
  // After a lost connection the server knows us no more: join again what was open.
  const shown = state.room;
  const rooms = state.rooms.size ? [...state.rooms.keys()] : [FIRST_ROOM];
  for (const room of rooms) await join(room);
  if (state.rooms.has(shown)) showRoom(shown);
  measure();
});

socket.on("disconnect", (reason) => {
  const asked = reason === "io server disconnect" || reason === "io client disconnect";
  if (asked) setStatus("off", "Disconnected, as you asked", "Connect");
  else setStatus("connecting", "Connection lost, trying again…", "Disconnect");
  for (const id of ["transport", "latency", "online"]) $(id).textContent = "–";
  for (const room of state.rooms.values()) room.people = [];
  drawPeople();
});

socket.on("connect_error", () => setStatus("connecting", "No server, trying again…", "Disconnect"));

socket.onAny((event, ...args) => addFrame("in", event, args.filter((arg) => typeof arg !== "function")));
socket.onAnyOutgoing((event, ...args) => addFrame("out", event, args.filter((arg) => typeof arg !== "function")));

// ---- what the server says ----

socket.on("people", ({ room, people }) => {
  if (!state.rooms.has(room)) return;
  state.rooms.get(room).people = people;
  if (room === state.room) drawPeople();
});
socket.on("said", addSaid);
socket.on("notice", ({ room, text }) => addNotice(room, text));
socket.on("closed", ({ room, by }) => {
  dropRoom(room);
  showAlert(`${by} closed the room ${room}.`);
});
socket.on("broadcast", (data) => addShout("everybody", data));
socket.on("room", (data) => addShout(`the room ${data?.room ?? ""}`, data));
socket.on("problem", ({ event, text }) => showAlert(`${event}: ${text}`));
socket.on("goodbye", (seen) => seen()); // the server disconnects us when it has this ack
socket.on("tick", ({ count, people }) => {
  $("ticks").textContent = count;
  $("online").textContent = people;
  document.body.classList.remove("slosh");
  requestAnimationFrame(() => document.body.classList.add("slosh"));
});

// ---- what the person does ----

function onSubmit(id, handler) {
  $(id).addEventListener("submit", (event) => {
    event.preventDefault();
    handler(event.target.elements);
  });
}

function showPane(name) {
  document.body.dataset.view = name;
  for (const tab of document.querySelectorAll("[data-show]")) {
    if (tab.dataset.show === name) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  for (const id of ["log", "frames"]) $(id).scrollTop = $(id).scrollHeight;
}

onSubmit("name-form", async ({ name }) => {
  const wanted = name.value.trim();
  if (!wanted || !(await tryAsk("rename", wanted))) return;
  state.name = name.value = wanted;
  sessionStorage.setItem("name", wanted);
  name.blur();
});

onSubmit("join-form", async ({ room }) => {
  const wanted = room.value.trim();
  if (!wanted) return;
  room.value = "";
  await join(wanted);
  showPane("chat");
});

onSubmit("say-form", async ({ say }) => {
  const text = say.value.trim();
  if (text && (await tryAsk("say", { room: state.room, text }))) say.value = "";
});

onSubmit("send-form", ({ scope, target, payload }) => {
  const text = payload.value;
  payload.value = "";
  if (scope.value === "room") {
    const room = target.value.trim() || state.room || FIRST_ROOM;
    socket.emit("room", room, { room, from: state.name, text });
  } else {
    socket.emit(scope.value, { from: state.name, text });
  }
});

$("send-form").addEventListener("change", ({ currentTarget }) => {
  $("target-field").hidden = currentTarget.elements.scope.value !== "room";
});

$("leave").addEventListener("click", async () => {
  const room = state.room;
  if (await tryAsk("leave", room)) dropRoom(room);
});

$("close").addEventListener("click", () => tryAsk("close room", state.room));

$("link").addEventListener("click", () => {
  if (socket.connected) socket.emit("disconnect me");
  else if (socket.active) {
    socket.disconnect();
    setStatus("off", "Disconnected, as you asked", "Connect");
  } else {
    socket.connect();
    setStatus("connecting", "Connecting…", "Disconnect");
  }
});

for (const tab of document.querySelectorAll("[data-show]")) {
  tab.addEventListener("click", () => showPane(tab.dataset.show));
}
document.addEventListener("visibilitychange", measure);

$("name").value = state.name;
drawControls();
setInterval(measure, LATENCY_MS);

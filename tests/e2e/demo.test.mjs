// The chat demo in a browser: two people, one at a desktop and one with a phone.
//
// CHROMIUM names the browser, /usr/bin/chromium by default. Screenshots go to
// BUILD_DIR/e2e-screenshots.
import assert from "node:assert/strict";
import { connect as connectTo } from "node:net";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { chromium } from "playwright-core";
import { BUILD_DIR, freePort, PATIENCE, Program } from "./support.mjs";

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const SCREENSHOTS = path.join(BUILD_DIR, "e2e-screenshots");
const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

// True when somebody listens on the port.
function isOpen(port) {
  return new Promise((resolve) => {
    const socket = connectTo(port, "127.0.0.1");
    socket.once("connect", () => resolve(true) || socket.destroy());
    socket.once("error", () => resolve(false));
  });
}

async function startDemo() {
  const port = await freePort();
  const demo = new Program("examples/chat", ["--port", String(port)]);
  const limit = Date.now() + PATIENCE;
  while (!(await isOpen(port))) {
    assert.ok(Date.now() < limit, `the demo does not listen\n${demo.errors}`);
  }
  demo.url = `http://127.0.0.1:${port}`;
  return demo;
}

// A person at a page of their own, with all that must not happen there.
class Person {
  static async arrive(browser, demo, options) {
    const context = await browser.newContext(options);
    const person = new Person();
    person.page = await context.newPage();
    person.page.setDefaultTimeout(PATIENCE);
    person.troubles = [];
    person.page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) person.troubles.push(message.text());
    });
    person.page.on("pageerror", (error) => person.troubles.push(String(error)));
    person.page.on("request", (request) => {
      const { protocol, origin } = new URL(request.url());
      if (protocol !== "data:" && origin !== demo.url) person.troubles.push(`request to ${origin}`);
    });
    person.page.on("websocket", (socket) => {
      if (new URL(socket.url()).host !== new URL(demo.url).host) person.troubles.push(`WebSocket to ${socket.url()}`);
    });
    await person.page.goto(demo.url);
    return person;
  }

  // On a phone one pane is visible at a time.
  async look(pane) {
    const tab = this.page.locator(`[data-show=${pane}]`);
    if (await tab.isVisible()) await tab.click();
  }

  async see(selector, text) {
    const found = this.page.locator(selector, text === undefined ? {} : { hasText: text });
    await found.last().waitFor({ state: "attached" });
    return found;
  }

  connected() {
    return this.see("body[data-state=on]");
  }

  async rename(name) {
    await this.look("people");
    await this.page.getByLabel("Your name").fill(name);
    await this.page.getByRole("button", { name: "Save" }).click();
  }

  async join(room) {
    await this.look("people");
    await this.page.getByLabel("Join a room").fill(room);
    await this.page.getByRole("button", { name: "Join", exact: true }).click();
    await this.see("#chat-title", room);
  }

  async say(text) {
    await this.look("chat");
    await this.page.getByLabel("Message", { exact: true }).fill(text);
    await this.page.locator("#say-form").getByRole("button").click();
    await this.see(".said.mine .text", text);
  }

  async sends(scope, text, room) {
    await this.look("wire");
    await this.page.getByRole("radio", { name: scope }).check();
    if (room) await this.page.locator("#target").fill(room);
    await this.page.locator("#payload").fill(text);
    await this.page.locator("#send-form").getByRole("button").click();
  }

  // Waits until exactly these people are listed, in any order.
  async sees(...names) {
    const wanted = JSON.stringify(names.sort());
    await this.page.waitForFunction(
      (list) => {
        const items = [...document.querySelectorAll("#people li")];
        return JSON.stringify(items.map((item) => item.children[1].textContent).sort()) === list;
      },
      wanted,
    );
  }

  screenshot(name) {
    return this.page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`) });
  }
}

describe("the chat demo", () => {
  let demo, browser, ann, ben;

  before(async () => {
    mkdirSync(SCREENSHOTS, { recursive: true });
    demo = await startDemo();
    // Each launch has a profile of its own, which goes away with it.
    browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
    ann = await Person.arrive(browser, demo, DESKTOP);
    ben = await Person.arrive(browser, demo, PHONE);
  });

  after(async () => {
    await browser?.close();
    await demo?.stop();
  });

  it("serves its page and files, and nothing outside", async () => {
    const page = await fetch(demo.url);
    assert.equal(page.status, 200);
    assert.match(page.headers.get("content-type"), /^text\/html/);
    assert.ok(page.headers.get("content-security-policy"));
    for (const file of ["app.css", "app.js", "icon.svg"]) assert.equal((await fetch(`${demo.url}/static/${file}`)).status, 200, file);
    for (const file of ["static/..%2fmain.c", "static/../main.c", "main.c", "package.json"]) {
      assert.ok((await fetch(`${demo.url}/${file}`)).status >= 400, file);
    }
  });

  it("connects both, and puts them into the lobby", async () => {
    for (const person of [ann, ben]) {
      await person.connected();
      await person.see("#chat-title", "lobby");
      await person.see("#transport", "WebSocket");
    }
  });

  it("shows each the other's name", async () => {
    await ann.rename("Ann");
    await ben.rename("Ben");
    await ann.sees("Ann", "Ben");
    await ben.sees("Ann", "Ben");
  });

  it("lets them chat both ways, in a room of their own", async () => {
    await ann.join("kitchen");
    await ann.sees("Ann");
    await ben.join("kitchen");
    await ann.sees("Ann", "Ben");
    await ben.sees("Ann", "Ben");
    await ann.say("Is there any coffee?");
    await ben.see(".said:not(.mine) .text", "Is there any coffee?");
    await ben.say("A whole carafe of it.");
    await ann.see(".said:not(.mine) .text", "A whole carafe of it.");
    await ann.see(".said:not(.mine) .who", "Ben");
  });

  it("shows text of others as text", async () => {
    const markup = "<img src=x onerror=alert(1)>";
    await ben.say(markup);
    await ann.see(".said:not(.mine) .text", markup);
    assert.equal(await ann.page.locator("#log img").count(), 0);
  });

  it("echoes to the sender alone", async () => {
    await ann.sends("Echo", "only me");
    await ann.see("#frames .in", /echo .*only me/);
    assert.equal(await ben.page.locator("#frames li", { hasText: "only me" }).count(), 0);
  });

  it("broadcasts to both", async () => {
    await ben.sends("Everybody", "hello everybody");
    await ben.see(".shout", "hello everybody");
    await ann.see(".shout", "Ben to everybody: hello everybody");
  });

  it("sends to a room", async () => {
    await ann.sends("A room", "to the kitchen", "kitchen");
    await ben.see(".shout", "Ann to the room kitchen: to the kitchen");
  });

  it("shows the round trip, its average and its course", async () => {
    await ann.page.waitForFunction(() => Number(document.getElementById("latency").textContent) > 0);
    await ann.see("#average", "on average");
    await ann.page.waitForFunction(() => document.querySelector("#spark .line").getAttribute("d")?.includes("L"));
  });

  it("hears from the background task", async () => {
    await ann.page.locator("#ticks", { hasText: /^\d+$/ }).waitFor({ timeout: 2 * PATIENCE });
    await ann.see("#online", /^2$/);
  });

  it("looks as it should", async () => {
    await ben.look("chat");
    for (const scheme of ["light", "dark"]) {
      await ann.page.emulateMedia({ colorScheme: scheme });
      await ben.page.emulateMedia({ colorScheme: scheme });
      await ann.screenshot(`desktop-${scheme}`);
      await ben.screenshot(`phone-${scheme}`);
    }
    for (const pane of ["people", "wire"]) {
      await ben.look(pane);
      await ben.screenshot(`phone-${pane}`);
    }
    for (const { page } of [ann, ben]) {
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(overflow <= 0, `the page is ${overflow} px too wide`);
    }
  });

  it("tells those who stay that somebody left", async () => {
    await ben.look("chat");
    await ben.page.getByRole("button", { name: "Leave" }).click();
    await ben.see("#chat-title", "lobby");
    await ann.sees("Ann");
    await ann.see(".notice", "Ben left");
    await ben.join("kitchen");
    await ann.sees("Ann", "Ben");
  });

  it("closes a room for all who are in it", async () => {
    await ann.page.getByRole("button", { name: "Close for all" }).click();
    for (const person of [ann, ben]) {
      await person.see("#alert", "Ann closed the room kitchen");
      await person.see("#chat-title", "lobby");
    }
  });

  it("refuses a name that is too long, and says so", async () => {
    await ann.page.evaluate(() => document.getElementById("name").removeAttribute("maxlength"));
    await ann.rename("x".repeat(100));
    await ann.see("#alert", "a name has 1 to 40 bytes");
    await ann.rename("Ann");
    await ann.page.locator("#alert").waitFor({ state: "hidden" });
  });

  it("disconnects on demand, which the other sees, and connects again", async () => {
    await ben.page.getByRole("button", { name: "Disconnect" }).click();
    await ben.see("#status", "Disconnected, as you asked");
    await ann.sees("Ann");
    await ann.see(".notice", "Ben went away");
    await ben.page.getByRole("button", { name: "Connect" }).click();
    await ben.connected();
    await ann.sees("Ann", "Ben");
  });

  it("notices when a page is closed", async () => {
    await ben.page.close();
    await ann.sees("Ann");
  });

  it("had no errors on its pages, and asked no other host", () => {
    assert.deepEqual(ann.troubles, []);
    assert.deepEqual(ben.troubles, []);
  });
});

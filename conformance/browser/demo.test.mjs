// The demo page of the `sockeye` binary in headless Chromium: two people, text, an image, a restart of the server.
// Pictures of what they see are left in ARTIFACTS for looking at.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { tmpdir } from "node:os";
import { after, before, describe, it } from "node:test";
import { deflateSync } from "node:zlib";
import { chromium } from "playwright-core";
import { start, until, withTimeout } from "../lib/fixture.mjs";

const ARTIFACTS = process.env.ARTIFACTS ?? join(tmpdir(), "sockeye-conformance");
const SOCKEYE = process.env.SOCKEYE;

/** Starts what users start. A server that ran before may be restarted on its port. */
function serve(port = 0) {
  return start([SOCKEYE, "--port", `${port}`, "--drain-timeout", "2"], (line) => /chat demo\s+http:\/\/127\.0\.0\.1:(\d+)\//.exec(line)?.[1]);
}

/** A PNG of one colour, made here: 64 × 64 pixels, RGB. */
function png([red, green, blue]) {
  const table = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n;
  });
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const crc = body.reduce((crc, byte) => table[(crc ^ byte) & 255] ^ (crc >>> 8), 0xffffffff) ^ 0xffffffff;
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(crc >>> 0, 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const header = Buffer.from([0, 0, 0, 64, 0, 0, 0, 64, 8, 2, 0, 0, 0]);
  const row = Buffer.concat([Buffer.from([0]), Buffer.from(Array(64).fill([red, green, blue]).flat())]);
  return Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), chunk("IHDR", header), chunk("IDAT", deflateSync(Buffer.concat(Array(64).fill(row)))), chunk("IEND", Buffer.alloc(0))]);
}

describe("the chat demo", { skip: !SOCKEYE && "no sockeye binary given" }, () => {
  let server, browser;
  const people = {};
  const trouble = [];

  before(async () => {
    mkdirSync(ARTIFACTS, { recursive: true });
    server = await serve();
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      // Containers have no room for Chromium's sandbox and little in /dev/shm. The page is our own.
      args: ["--no-sandbox", "--disable-dev-shm-usage"],
    });
    for (const name of ["Ada", "Grace"]) people[name] = await arrive(name);
  });
  after(async () => {
    await browser?.close();
    server?.signal("SIGTERM");
    if (server) assert.equal((await withTimeout(server.exited, 8000, "the end of the server"))[0], 0);
  });

  /** Opens the page as somebody: each in a context of its own, as on a computer of her own. */
  async function arrive(name, viewport = { width: 1100, height: 720 }, colorScheme = "light") {
    const context = await browser.newContext({ viewport, colorScheme });
    const page = await context.newPage();
    page.setDefaultTimeout(10_000);
    page.on("pageerror", (error) => trouble.push(`${name}: ${error.message}`));
    page.on("console", (message) => {
      // A browser reports every refused connection while the server is away.
      if (message.type() === "error" && !/ERR_CONNECTION|WebSocket connection|net::/.test(message.text())) trouble.push(`${name}: ${message.text()}`);
    });
    await page.goto(`${server.url}/`);
    await page.fill("#name", name);
    await page.click("#name-form button[type=submit]");
    await page.waitForSelector('#state[data-state="connected"]');
    return page;
  }

  const say = async (page, text) => {
    await page.fill("#text", text);
    await page.click("#send");
  };
  const shows = (page, text, from) =>
    page.waitForFunction(
      ([text, from]) => [...document.querySelectorAll("#log .entry")].some((entry) => entry.querySelector(".text")?.textContent === text && (!from || entry.querySelector(".head b").textContent === from)),
      [text, from],
    );
  const picture = (page, name) => page.screenshot({ path: join(ARTIFACTS, `${name}.png`) });

  it("upgrades to WebSocket, and shows it", async () => {
    for (const page of Object.values(people)) await page.waitForFunction(() => document.querySelector("#state-text").textContent === "websocket");
  });

  it("shows who is here", async () => {
    for (const page of Object.values(people)) {
      await page.waitForFunction(() => [...document.querySelectorAll("#people .name")].map((node) => node.textContent).sort().join() === "Ada,Grace");
    }
  });

  it("carries text both ways, and never as HTML", async () => {
    const { Ada, Grace } = people;
    await say(Ada, "Hello Grace, how are the 🐟 <b>today</b>?");
    await shows(Grace, "Hello Grace, how are the 🐟 <b>today</b>?", "Ada");
    await say(Grace, "Running upstream – “très bien” 日本");
    await shows(Ada, "Running upstream – “très bien” 日本", "Grace");
    assert.equal(await Grace.locator("#log b", { hasText: "today" }).count(), 0);
  });

  it("shows that somebody is typing", async () => {
    const { Ada, Grace } = people;
    await Ada.locator("#text").pressSequentially("hmm");
    await Grace.waitForFunction(() => document.querySelector("#typing").textContent.includes("Ada"));
    await Ada.fill("#text", "");
  });

  it("carries a pasted image as binary, whole", async () => {
    const { Ada, Grace } = people;
    const image = png([250, 90, 60]);
    const sent = [];
    Ada.context().on("weberror", ({ error }) => trouble.push(error().message));
    await Ada.evaluate((base64) => {
      const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], "salmon.png", { type: "image/png" }));
      document.querySelector("#text").dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
    }, image.toString("base64"));
    await Ada.waitForSelector("#attached img");
    await Ada.click("#send");
    const arrived = Grace.locator('#log figure img[alt="salmon.png"]');
    await arrived.waitFor();
    const seen = await arrived.evaluate(async (node) => {
      await node.decode();
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [node.naturalWidth, node.naturalHeight];
      const context = canvas.getContext("2d");
      context.drawImage(node, 0, 0);
      return { width: canvas.width, height: canvas.height, pixel: [...context.getImageData(32, 32, 1, 1).data] };
    });
    assert.deepEqual(seen, { width: 64, height: 64, pixel: [250, 90, 60, 255] });
    assert.deepEqual(sent, []);
    await picture(Ada, "chat-ada");
    await picture(Grace, "chat-grace");
  });

  it("keeps rooms apart, and private words private", async () => {
    const { Ada, Grace } = people;
    await Ada.fill("#new-room-name", "spawning grounds");
    await Ada.click("#new-room button");
    await Ada.waitForFunction(() => document.querySelector("#where").textContent === "spawning grounds");
    await say(Ada, "only here");
    await Grace.waitForSelector('#rooms button[data-key="#spawning grounds"]');
    assert.equal(await Grace.locator("#log .text", { hasText: "only here" }).count(), 0);
    await Grace.click('#rooms button[data-key="#spawning grounds"]');
    await shows(Grace, "only here", "Ada");
    await Grace.locator("#people button", { hasText: "Ada" }).click();
    await say(Grace, "between us");
    await Ada.locator("#private button", { hasText: "Grace" }).click();
    await shows(Ada, "between us", "Grace");
    for (const page of [Ada, Grace]) await page.click('#rooms button[data-key="#lobby"]');
  });

  it("comes back by itself when the connection is cut, and misses nothing", async () => {
    const { Ada, Grace } = people;
    await Grace.click("#state");
    await Grace.click("#cut");
    await say(Ada, "while you were away");
    await Grace.waitForSelector('#state[data-state="connected"]');
    await shows(Grace, "while you were away", "Ada");
    await Grace.waitForFunction(() => document.querySelector("#fact-session").textContent === "recovered");
    await picture(Grace, "chat-recovered");
    await Grace.keyboard.press("Escape");
    if (await Grace.locator("#state-card").isVisible()) await Grace.click("#state");
  });

  it("comes back when the server is restarted, and sends what was written meanwhile", async () => {
    const { Ada, Grace } = people;
    const { port } = server;
    server.signal("SIGTERM");
    const [code] = await withTimeout(server.exited, 8000, "the end of the server");
    assert.equal(code, 0);
    for (const page of [Ada, Grace]) await page.waitForSelector('#state[data-state="reconnecting"]');
    await say(Ada, "are you still there?");
    await picture(Ada, "chat-server-away");
    server = await serve(port);
    for (const page of [Ada, Grace]) await page.waitForSelector('#state[data-state="connected"]', { timeout: 20_000 });
    await shows(Grace, "are you still there?", "Ada");
    await say(Grace, "I am back");
    await shows(Ada, "I am back", "Grace");
    await picture(Ada, "chat-after-restart");
  });

  for (const [device, viewport] of Object.entries({ desktop: { width: 1100, height: 720 }, phone: { width: 390, height: 780 } })) {
    for (const colours of ["light", "dark"]) {
      it(`fits a ${device}, ${colours}`, async () => {
        const { Ada } = people;
        const name = `Radia ${device} ${colours}`;
        const page = await arrive(name, viewport, colours);
        await say(page, `from a ${device}, ${colours}`);
        await shows(Ada, `from a ${device}, ${colours}`, name);
        await say(Ada, "Seen! 🐟");
        await Ada.locator("#text").pressSequentially("and");
        await page.waitForFunction(() => document.querySelector("#typing").textContent.includes("Ada"));
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(overflow <= 0, `${overflow} pixels too wide`);
        await page.waitForFunction(() => document.querySelector("#state-text").textContent === "websocket");
        await picture(page, `demo-${device}-${colours}`);
        await page.click("#state");
        await page.waitForFunction(() => /ms$/.test(document.querySelector("#fact-latency").textContent));
        await picture(page, `demo-${device}-${colours}-state`);
        await Ada.fill("#text", "");
        await page.context().close();
        await until(async () => (await Ada.locator("#people .name").allTextContents()).length === 2, `${name} is gone`);
      });
    }
  }

  it("works with the keyboard alone", async () => {
    const { Ada, Grace } = people;
    await Ada.focus("body");
    for (let i = 0; (await Ada.evaluate(() => document.activeElement.id)) !== "text"; i++) {
      assert.ok(i < 40, "Tab never reaches the message field");
      await Ada.keyboard.press("Tab");
    }
    await Ada.keyboard.type("by keyboard");
    await Ada.keyboard.press("Enter");
    await shows(Grace, "by keyboard", "Ada");
    // The state is a button: opened, and closed by Escape.
    await Ada.focus("#state");
    await Ada.keyboard.press("Enter");
    assert.equal(await Ada.locator("#state-card").isVisible(), true);
    await Ada.keyboard.press("Escape");
    assert.equal(await Ada.locator("#state-card").isVisible(), false);
  });

  it("did all that without an error of the page", () => {
    assert.deepEqual(trouble, []);
  });
});

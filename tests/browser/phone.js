// A phone: a browser of its own that remembers, watched for whatever a page must never do.

import assert from "node:assert/strict";
import path from "node:path";
import { eventually } from "./checks.js";

// Small enough to be missed by a thumb.
const SMALLEST_TARGET = 44;

export class Phone {
  // What the browser reported, apart from what the test caused on purpose.
  complaints = [];
  foreign = [];
  // Messages that belong to the step that is on, such as a refusal that is wanted.
  expected = null;

  static async open(browser, name, { width, height, colorScheme }, origin, folder) {
    const phone = new Phone();
    const viewport = { width, height };
    phone.context = await browser.newContext({ viewport, colorScheme, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
    phone.context.setDefaultTimeout(6000);
    phone.page = await phone.context.newPage();
    Object.assign(phone, { name, width, origin, folder });
    phone.#watch();
    return phone;
  }

  #watch() {
    const complain = (text) => { if (!this.expected?.test(text)) this.complaints.push(text); };
    this.page.on("console", (message) => { if (["error", "warning"].includes(message.type())) complain(message.text()); });
    this.page.on("pageerror", (error) => complain(String(error)));
    this.context.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(`${this.origin}/`) && !url.startsWith("data:")) this.foreign.push(url);
    });
  }

  // Waits until one screen shows and no other, holds it to what every screen owes, and keeps a picture of it.
  async shows(screen, picture = screen) {
    const visible = () => this.page.locator("[data-screen]:not([hidden])").evaluateAll((all) => all.map((one) => one.dataset.screen));
    await eventually(`${this.name} shows`, visible, (screens) => screens.join() === screen);
    await this.page.screenshot({ path: path.join(this.folder, `${this.width}-${picture}.png`), fullPage: true });
    await this.holdsTheRules(screen);
  }

  async holdsTheRules(screen) {
    const { width, wide, unlabelled, small, headings } = await this.page.evaluate((smallest) => {
      const shown = (node) => node.getClientRects().length > 0;
      const named = (node) => (node.textContent || "").trim() || node.getAttribute("aria-label") || [...(node.labels || [])].some((label) => label.textContent.trim());
      const controls = [...document.querySelectorAll("input, textarea, select, button, a[href]")].filter(shown);
      const described = (node) => `${node.tagName.toLowerCase()}#${node.id || node.name}`;
      return {
        width: document.documentElement.clientWidth,
        wide: document.documentElement.scrollWidth,
        unlabelled: controls.filter((node) => !named(node)).map(described),
        small: controls.filter((node) => Math.min(node.getBoundingClientRect().width, node.getBoundingClientRect().height) < smallest).map(described),
        headings: [...document.querySelectorAll("h1")].filter(shown).length,
      };
    }, SMALLEST_TARGET);
    assert.equal(width, this.width, `${screen} is laid out for another width`);
    assert.ok(wide <= width, `${screen} is ${wide} pixels wide on ${width}`);
    assert.deepEqual(unlabelled, [], `${screen} has fields without a label`);
    assert.deepEqual(small, [], `${screen} has targets below ${SMALLEST_TARGET} pixels`);
    assert.equal(headings, 1, `${screen} has no single heading`);
  }

  text(selector) {
    return this.page.locator(selector).first().innerText();
  }

  // Goes to a control with the tabulator alone; every stop on the way has to show where it is.
  async tabTo(selector) {
    for (let stops = 0; stops < 15; stops += 1) {
      await this.page.keyboard.press("Tab");
      const { there, where, outline } = await this.page.evaluate((wanted) => {
        const node = document.activeElement;
        // A rating's circle is invisible; the box beside it is what people see.
        const drawn = node.type === "radio" ? node.nextElementSibling : node;
        const style = getComputedStyle(drawn);
        return {
          there: node.matches(wanted),
          where: node.id || node.name || node.tagName,
          outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
        };
      }, selector);
      assert.ok(where === "BODY" || outline >= 2, `the focus on ${where} cannot be seen`);
      if (there) return;
    }
    throw new Error(`the tabulator never comes to ${selector}`);
  }

  async types(text) {
    await this.page.keyboard.type(text);
  }

  async presses(...keys) {
    for (const key of keys) await this.page.keyboard.press(key);
  }

  // Waits for the small line that says how the connection is.
  async says(hoped) {
    await eventually(`${this.name} says`, () => this.page.locator("#offline").textContent(), hoped);
  }

  vote() {
    return this.page.evaluate(() => JSON.parse(localStorage.getItem("line.vote")));
  }
}

// Starts a server and a browser, plays the show on two phones, and ends both.

import { createRequire } from "node:module";
import { mkdir, mkdtemp } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { Checks } from "./checks.js";
import { Server } from "./server.js";
import { play } from "./audience.js";

const LONGEST = 85_000;
// A browser that talks to nobody but the page's server.
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

const [program, executablePath, modules] = process.argv.slice(2);
const { chromium } = createRequire(path.join(modules, "package.json"))("playwright-core");

const asked = process.env.TUBECTL_SCREENSHOTS;
const folder = asked ? path.resolve(asked) : await mkdtemp(path.join(os.tmpdir(), "tubectl-screenshots-"));
await mkdir(folder, { recursive: true });

const checks = new Checks();
// The browser has a profile of its own, which ends with it.
const browser = await chromium.launch({ executablePath, args: FLAGS });
const house = { program, server: await Server.start(program) };
const end = async () => {
  await browser.close();
  await house.server.kill();
};
const late = setTimeout(async () => {
  await checks.check(`it takes less than ${LONGEST / 1000} seconds`, () => { throw new Error("it is not done yet"); });
  await end();
  process.exit(checks.sum());
}, LONGEST);

try {
  await play({ checks, browser, house, folder });
} catch (error) {
  await checks.check("the show can be played", () => { throw error; });
} finally {
  clearTimeout(late);
  await end();
}
console.log(`screenshots are in ${folder}`);
process.exitCode = checks.sum();

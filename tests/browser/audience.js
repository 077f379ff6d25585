// The show as two phones see it, in the order in which it happens, and as late comers and lost connections see it.

import assert from "node:assert/strict";
import { eventually } from "./checks.js";
import { Phone } from "./phone.js";
import { Server } from "./server.js";

const SIZES = [
  { width: 320, height: 568, colorScheme: "light" },
  { width: 390, height: 844, colorScheme: "dark" },
];
// A flip of the mode has to show within this many milliseconds.
const FLIP = 5000;
const REFUSED = /status of 409/;
const CONNECTION = /net::ERR_|status of 5\d\d/;

export const play = async ({ checks, browser, house, folder }) => {
  const { server } = house;
  const open = (name, size) => Phone.open(browser, name, size, server.origin, folder);
  const [small, usual] = await Promise.all(SIZES.map((size) => open(`the phone of ${size.width} pixels`, size)));
  const phones = [small, usual];
  const everybody = [...phones];
  const both = (act) => Promise.all(phones.map(act));
  const check = (sentence, act) => checks.check(sentence, act);
  const command = (line) => house.server.command(line);

  await loading(check, both);
  await questions(check, both, command, small);
  await flip(check, both, command);
  await lostConnection(check, both, house, phones);
  await survey(check, both, small);
  await draw(check, both, command, small, usual);
  const late = await open("a late comer's phone", SIZES[0]);
  everybody.push(late);
  await lateComer(check, command, late, small, usual);

  await check("nothing was asked of any host but the page's own", () => {
    assert.deepEqual(everybody.flatMap((phone) => phone.foreign), []);
  });
  await check("the browsers' consoles are clean", () => {
    assert.deepEqual(everybody.flatMap((phone) => phone.complaints), []);
  });
};

const loading = (check, both) =>
  check("a page that waits for its first answer says that it loads", () =>
    both(async (phone) => {
      let release;
      const released = new Promise((resolve) => { release = resolve; });
      await phone.page.route("**/api/config", async (route) => { await released; await route.continue(); });
      await phone.page.goto(phone.origin);
      await phone.shows("loading");
      release();
      await phone.page.unroute("**/api/config", { behavior: "wait" });
      await phone.shows("question", "question-empty");
    }));

const questions = async (check, both, command, small) => {
  const LIMIT = 200;
  const QUESTION = "Why is there <b>always</b> a gap to mind? 🚇";
  // Characters are counted as people count them: the train is one.
  const length = [...QUESTION].length;

  await check("the field is reached with the keyboard, and every stop on the way can be seen", () =>
    both((phone) => phone.tabTo("#question")));

  await check("an empty question is not sent, and the page says why", () =>
    both(async (phone) => {
      await phone.presses("Enter");
      assert.equal(await phone.text("#question-error"), "Type a question first.");
    }));

  await check("the 200 characters are counted, and the 201st is refused with its text kept", () =>
    both(async (phone) => {
      await phone.types("🚇" + "a".repeat(LIMIT));
      assert.equal(await phone.text("#question-count"), "201 / 200");
      await phone.presses("Enter");
      assert.equal(await phone.text("#question-error"), "Please shorten it to 200 characters.");
      assert.equal(await phone.page.getAttribute("#question", "aria-invalid"), "true");
      await phone.shows("question", "question-too-long");
      await phone.presses("Backspace");
      assert.equal(await phone.text("#question-count"), "200 / 200");
      assert.equal(await phone.text("#question-error"), "");
    }));

  await check("the figures of the cluster are live", async () => {
    await command("stats 12 8 3 1 5");
    await both((phone) => figures(phone, ["12", "8", "1/5"], "2 more servers are on the way."));
    await command("stats 7 24 3 3 5");
    await both((phone) => figures(phone, ["7", "24", "3/5"], ""));
  });

  await check("a question is sent with the keyboard, and the page says that it is on its way", () =>
    both(async (phone) => {
      await phone.presses("Control+a");
      await phone.types(QUESTION);
      assert.equal(await phone.text("#question-count"), `${length} / 200`);
      await phone.tabTo("#question-send");
      await phone.shows("question");
      await phone.presses("Enter");
      await phone.page.locator('[data-screen="asking"]').waitFor();
    }));

  await check("the answer comes with its time, beside the question as it was typed", () =>
    both(async (phone) => {
      await phone.shows("answer");
      assert.match(await phone.text('[data-screen="answer"] .answer'), /Mind it, and mind the doors\.$/);
      assert.equal(await phone.text('[data-screen="answer"] blockquote'), QUESTION);
      assert.match(await phone.text('[data-fill="time"]'), /^answered in [0-9]\.[0-9] s$/);
      assert.match(await phone.text('[data-screen="answer"] .badges'), /sent ×50/);
      assert.equal(await phone.page.evaluate(() => document.activeElement.tagName), "H1");
    }));

  await check("a question that the model cannot answer still counts, and the page says so", async () => {
    await command("model down");
    await small.tabTo("#ask-another");
    await small.presses("Enter");
    await small.shows("question", "question-again");
    await small.types("Is anybody there?");
    await small.presses("Enter");
    await small.shows("answer", "answer-without-model");
    assert.match(await small.text('[data-screen="answer"] .answer'), /Your question is on board and still counts\.$/);
    await command("model up");
  });
};

const figures = async (phone, expected, remark) => {
  const read = () => Promise.all(["queue", "running", "pods"].map((name) => phone.text(`[data-stat="${name}"]`)));
  await eventually(`${phone.name} counts`, read, (figures) => figures.join() === expected.join(), FLIP);
  assert.equal(await phone.text("#stats-age"), remark);
};

const flip = (check, both, command) =>
  check("a flip to the survey shows within five seconds, without a reload", async () => {
    await both((phone) => phone.page.evaluate(() => { window.neverReloaded = true; }));
    await command("mode survey");
    const begun = Date.now();
    await both(async (phone) => {
      await phone.page.locator('[data-screen="survey"]').waitFor({ timeout: FLIP });
      assert.ok(Date.now() - begun < FLIP, `it took ${Date.now() - begun} ms`);
      assert.equal(await phone.page.evaluate(() => window.neverReloaded), true);
    });
    await both((phone) => phone.shows("survey", "survey-empty"));
  });

const lostConnection = async (check, both, house, phones) => {
  await check("a lost connection leaves the screen and what was typed, and the page says that it tries again", async () => {
    await both(async (phone) => {
      phone.expected = CONNECTION;
      await phone.page.fill("#feedback", "Typed before the tunnel.");
    });
    await house.server.kill();
    await both(async (phone) => {
      await phone.says((text) => text === "Connection lost, retrying…");
      // It is seen from the end of the form too, where the button is.
      await phone.page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
      const { top, bottom } = await phone.page.locator("#offline").evaluate((node) => node.getBoundingClientRect().toJSON());
      assert.ok(top >= 0 && bottom <= 60, `it is drawn from ${top} to ${bottom}`);
      await phone.page.screenshot({ path: `${phone.folder}/${phone.width}-connection-lost-scrolled.png` });
      await phone.page.evaluate(() => window.scrollTo(0, 0));
      await phone.shows("survey", "connection-lost");
    });
  });

  await check("what is sent without a connection is kept, and the page says what to do", () =>
    both(async (phone) => {
      await phone.page.focus('input[name="rating"]');
      await phone.presses("Space");
      await phone.page.focus("#survey-send");
      await phone.presses("Enter");
      const said = () => phone.text("#survey-error");
      await eventually("the form says", said, (text) => text === "That did not get through. Your text is still here: try again.");
      assert.equal(await phone.page.inputValue("#feedback"), "Typed before the tunnel.");
      await phone.shows("survey", "survey-not-sent");
    }));

  await check("a connection that is back is taken up without a touch", async () => {
    house.server = await Server.start(house.program, house.server.port, ["mode survey"]);
    await both(async (phone) => {
      await phone.says((text) => text === "");
      await phone.shows("survey", "connection-back");
      assert.equal(await phone.page.inputValue("#feedback"), "Typed before the tunnel.");
    });
    for (const phone of phones) phone.expected = null;
    await both((phone) => phone.page.reload());
    await both((phone) => phone.shows("survey", "survey-again"));
  });
};

const survey = async (check, both, small) => {
  await check("an answer without a rating is not sent, and the page says why", () =>
    both(async (phone) => {
      await phone.tabTo("#survey-send");
      await phone.presses("Enter");
      assert.equal(await phone.text("#rating-error"), "Choose a rating from 1 to 5.");
      await phone.shows("survey", "survey-without-rating");
    }));

  await check("rating, company and feedback are given with the keyboard alone", () =>
    both(async (phone) => {
      // The page has put the focus on the first rating.
      await phone.presses("Space", "ArrowRight", "ArrowRight", "ArrowRight");
      assert.equal(await phone.page.locator('input[name="rating"]:checked').inputValue(), "4");
      assert.equal(await phone.text("#rating-error"), "");
      await phone.tabTo("#company");
      await phone.types("Acton & Sons");
      await phone.tabTo("#feedback");
      await phone.types("More trains, fewer slides.");
      assert.equal(await phone.text("#feedback-count"), "26 / 500");
      await phone.shows("survey");
      await phone.tabTo("#survey-send");
      await phone.presses("Enter");
    }));

  await check("who has answered waits for the draw with a ticket", () =>
    both(async (phone) => {
      await phone.shows("waiting");
      assert.match(await phone.text('[data-screen="waiting"] .ticket strong'), /^[0-9A-Z]{3}-[0-9A-Z]{3}$/);
    }));

  await check("a second answer from the same browser is refused kindly, and the ticket stays", async () => {
    const first = await small.vote();
    small.expected = REFUSED;
    await small.page.evaluate(() => localStorage.removeItem("line.vote"));
    await small.page.reload();
    await small.shows("survey", "survey-second");
    await small.tabTo('input[name="rating"]');
    await small.presses("Space");
    await small.tabTo("#survey-send");
    await small.presses("Enter");
    await small.shows("waiting", "waiting-second");
    assert.equal((await small.vote()).id, first.id);
    assert.match(
      await small.text('[data-screen="waiting"] .lead'),
      /^This phone has already answered, and its first answer counts\. Keep this page open/,
    );
    small.expected = null;
  });
};

const draw = (check, both, command, small, usual) =>
  check("the phone that is drawn shows that it has won, and the other that it has not", async () => {
    const [winner, other] = await both((phone) => phone.vote());
    assert.notEqual(winner.id, other.id);
    await command(`winners ${winner.id}`);
    await Promise.all([small.shows("winner"), usual.shows("not-winner")]);
    const ticket = await small.text('[data-screen="winner"] .ticket strong');
    assert.equal(ticket.replace("-", "").toLowerCase(), winner.id.slice(-6));
    // The other way round, so that both screens are looked at in both sizes.
    await command(`winners ${other.id}`);
    await Promise.all([small.shows("not-winner"), usual.shows("winner")]);
    await command(`winners ${winner.id}`);
    await Promise.all([small.shows("winner"), usual.shows("not-winner")]);
  });

const lateComer = async (check, command, late, small, usual) => {
  await check("who comes after the draw is told that it is over", async () => {
    await late.page.goto(late.origin);
    await late.shows("closed", "after-the-draw");
    assert.match(await late.text('[data-fill="closed"]'), /^The draw is over\./);
  });

  await check("when the show is closed, who took part keeps the outcome to show at the stage", async () => {
    await command("mode closed");
    const told = async (phone) => (await phone.page.waitForResponse("**/api/config")).json();
    for (const phone of [small, usual]) assert.equal((await told(phone)).mode, "closed");
    await Promise.all([small.shows("winner", "winner-closed"), usual.shows("not-winner", "not-winner-closed")]);
  });

  await check("a closed session in which nobody took part has ended for everybody", async () => {
    await command("session another");
    await command("mode closed");
    await Promise.all([small, usual, late].map((phone) => phone.shows("closed")));
  });
};

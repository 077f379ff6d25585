
"use strict";
(() => {
  const MODES = ["quiz", "survey", "closed"];
  const $ = (id) => document.getElementById(id);
  const characters = (text) => [...text].length;

  // What the phone remembers; private windows may refuse, and then it remembers until it is closed.
  const memory = {};
  const remember = (name, value) => {
    memory[name] = value;
    try { localStorage.setItem("line." + name, JSON.stringify(value)); } catch { /* kept in memory */ }
  };
  const recall = (name) => {
    if (name in memory) return memory[name];
    try { return JSON.parse(localStorage.getItem("line." + name)); } catch { return null; }
  };
  const browser = () => {
    let id = recall("browser");
    if (typeof id !== "string" || !/^[0-9a-f]{32}$/.test(id)) {
      id = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      remember("browser", id);
    }
    return id;
  };

  const state = { config: null, asked: null, winners: null, screen: "loading", failures: 0 };

  const ask = async (path, body) => {
    const control = new AbortController();
    const timer = setTimeout(() => control.abort(), body ? 40000 : 8000);
    try {
      const response = await fetch(path, {
        method: body ? "POST" : "GET",
        headers: body ? { "content-type": "application/json" } : {},
        body: body && JSON.stringify(body),
        cache: "no-store",
        signal: control.signal,
      });
      return { ok: response.ok, status: response.status, reply: await response.json() };
    } finally {
      clearTimeout(timer);
    }
  };

  // Which screen follows from what is known; nothing else decides.
  const vote = () => {
    const vote = recall("vote");
    return vote && state.config && vote.session === state.config.sessionId ? vote : null;
  };
  const screen = () => {
    const { config, asked, winners } = state;
    if (!config) return "loading";
    const voted = vote();
    if (config.mode !== "quiz" && voted && config.winnersPicked) {
      if (!winners || winners.draw !== config.draw) return config.mode === "closed" ? "closed" : "waiting";
      return winners.ids.includes(voted.id) ? "winner" : "not-winner";
    }
    if (config.mode === "closed") return "closed";
    if (config.mode === "survey") return voted ? "waiting" : config.winnersPicked ? "closed" : "survey";
    return !asked ? "question" : asked.reply ? "answer" : "asking";
  };
  const stop = () => {
    const { config } = state;
    if (!config || config.mode === "quiz") return 0;
    return config.mode === "survey" && !config.winnersPicked ? (vote() ? 2 : 1) : 2;
  };

  const fill = (name, text) => document.querySelectorAll(`[data-fill="${name}"]`).forEach((node) => { node.textContent = text; });

  const draw = () => {
    const next = screen();
    document.querySelectorAll("[data-screen]").forEach((node) => { node.hidden = node.dataset.screen !== next; });
    document.querySelectorAll("#line li").forEach((node, index) => {
      node.className = index < stop() ? "past" : index === stop() && state.config ? "here" : "";
      if (node.className === "here") node.setAttribute("aria-current", "step"); else node.removeAttribute("aria-current");
    });
    const voted = vote();
    if (state.config) fill("multiplier", state.config.multiplier);
    fill("ticket", voted ? voted.id.slice(-6).toUpperCase().replace(/(...)/, "$1-") : "");
    fill("thanks", voted && voted.again ? "This phone has already answered, and its first answer counts." : "Thank you.");
    fill("closed", state.config && state.config.winnersPicked
      ? "The draw is over. Thank you for riding along."
      : "Thank you for riding along. Nothing more to do here.");
    const quiz = ["asking", "answer", "question"].includes(next);
    $("stats").hidden = !quiz;
    $("map").toggleAttribute("hidden", quiz || next === "survey");
    if (next !== state.screen) {
      const title = document.querySelector(`[data-screen="${next}"] h1`);
      document.title = `${title.textContent} \u2013 Ask the line`;
      // The reader follows, but whoever just opened the page is not moved.
      if (state.screen !== "loading") { title.focus({ preventScroll: true }); window.scrollTo(0, 0); }
      state.screen = next;
    }
  };

  // Polling: every few seconds, each phone a little off the beat, and less and less often while the line is down.
  let timer = 0;
  let polling = false;
  const schedule = () => {
    clearTimeout(timer);
    if (document.hidden) return;
    const usual = 1000 * Math.min(Math.max(Number(state.config && state.config.pollSeconds) || 3, 1), 10);
    const base = state.failures ? Math.min(1000 * 2 ** (state.failures - 1), 15000) : usual;
    timer = setTimeout(poll, base * (0.8 + 0.4 * Math.random()));
  };
  const poll = async () => {
    if (polling) return;
    polling = true;
    try {
      const { ok, reply } = await ask("/api/config");
      if (!ok || !MODES.includes(reply.mode)) throw new Error("no configuration");
      if (state.config && state.config.sessionId !== reply.sessionId) {
        state.asked = null;
        state.winners = null;
        $("survey-form").reset();
      }
      state.config = reply;
      state.failures = 0;
      if (reply.winnersPicked && vote() && (!state.winners || state.winners.draw !== reply.draw)) await readWinners(reply.draw);
      if (["asking", "answer", "question"].includes(screen())) await readStats();
    } catch {
      // What was last known stays on the screen.
      state.failures += 1;
    }
    polling = false;
    $("offline").textContent = state.failures > 1 ? "Connection lost, retrying\u2026" : "";
    draw();
    counts();
    schedule();
  };
  const readWinners = async (draw) => {
    const { ok, reply } = await ask("/api/survey/winners");
    if (ok && reply.picked && reply.sessionId === state.config.sessionId) state.winners = { draw, ids: reply.winners };
  };

  const readStats = async () => {
    const { ok, reply } = await ask("/api/stats");
    if (!ok) return;
    const set = (name, text) => { document.querySelector(`[data-stat="${name}"]`).textContent = text; };
    const known = reply.known;
    set("queue", known ? reply.queue : "\u2013");
    set("running", known ? reply.running : "\u2013");
    set("pods", known ? `${reply.podsReady}/${reply.podsMax}` : "\u2013");
    const cars = [];
    for (let car = 0; known && car < Math.min(reply.podsMax, 20); car += 1) {
      const node = document.createElement("i");
      node.className = car < reply.podsReady ? "ready" : car < reply.podsDesired ? "desired" : "";
      cars.push(node);
    }
    $("carriages").replaceChildren(...cars);
    const coming = known ? Math.max(reply.podsDesired - reply.podsReady, 0) : 0;
    $("stats-age").textContent = !known ? "No figures yet."
      : reply.stale ? `These figures are ${reply.ageSeconds} seconds old.`
      : coming ? `${coming} more ${coming === 1 ? "server is" : "servers are"} on the way.` : "";
  };

  const limits = () => state.config || { maxQuestion: 200, maxCompany: 100, maxFeedback: 500 };
  const problem = (field, text) => {
    $(field + "-error").textContent = text;
    const input = $(field);
    if (input && text) { input.setAttribute("aria-invalid", "true"); input.focus(); }
    else if (input) input.removeAttribute("aria-invalid");
  };
  const counts = () => {
    for (const [field, most] of [["question", limits().maxQuestion], ["feedback", limits().maxFeedback]]) {
      const length = characters($(field).value.trim());
      $(field + "-count").textContent = `${length} / ${most}`;
      $(field + "-count").classList.toggle("over", length > most);
    }
  };
  for (const field of ["question", "company", "feedback"]) {
    $(field).addEventListener("input", () => { problem(field, ""); counts(); });
  }

  const LOST = "That did not get through. Your text is still here: try again.";
  const busy = (button, on) => button.setAttribute("aria-disabled", on ? "true" : "false");
  const isBusy = (button) => button.getAttribute("aria-disabled") === "true";

  $("question").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); $("question-send").click(); }
  });
  $("question-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isBusy($("question-send"))) return;
    const text = $("question").value.trim();
    const most = limits().maxQuestion;
    if (!text) return problem("question", "Type a question first.");
    if (characters(text) > most) return problem("question", `Please shorten it to ${most} characters.`);
    const mine = { question: text };
    state.asked = mine;
    problem("question", "");
    busy($("question-send"), true);
    fill("question", text);
    draw();
    let lost = LOST;
    try {
      const { ok, reply } = await ask("/api/question/submit", { question: text });
      if (ok) {
        mine.reply = reply;
        fill("answer-title", reply.answer ? "Here is your answer" : "Your question is on board");
        fill("answer", reply.answer || reply.message);
        fill("time", reply.answer ? `answered in ${(reply.responseTimeMs / 1000).toFixed(1)} s` : "");
        $("question").value = "";
      } else {
        lost = reply.error;
      }
    } catch { /* said below */ }
    busy($("question-send"), false);
    if (!mine.reply && state.asked === mine) { state.asked = null; draw(); problem("question", lost); }
    draw();
    counts();
    now();
  });
  $("ask-another").addEventListener("click", () => { state.asked = null; draw(); $("question").focus(); });

  $("survey-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isBusy($("survey-send"))) return;
    const chosen = document.querySelector('input[name="rating"]:checked');
    const company = $("company").value.trim();
    const feedback = $("feedback").value.trim();
    problem("rating", chosen ? "" : "Choose a rating from 1 to 5.");
    if (!chosen) return document.querySelector('input[name="rating"]').focus();
    if (characters(company) > limits().maxCompany) return problem("company", `Please shorten it to ${limits().maxCompany} characters.`);
    if (characters(feedback) > limits().maxFeedback) return problem("feedback", `Please shorten it to ${limits().maxFeedback} characters.`);
    busy($("survey-send"), true);
    problem("survey", "");
    const session = state.config.sessionId;
    try {
      const { ok, reply } = await ask("/api/survey/submit", { rating: Number(chosen.value), company, feedback, browser: browser() });
      // A vote whose thanks got lost on the way is a vote.
      if (ok || reply.code === "already-voted") remember("vote", { session: reply.sessionId || session, id: reply.id, again: !ok });
      else problem("survey", reply.error);
    } catch {
      problem("survey", LOST);
    }
    busy($("survey-send"), false);
    draw();
    now();
  });
  document.querySelectorAll('input[name="rating"]').forEach((input) => input.addEventListener("change", () => problem("rating", "")));

  const now = () => { clearTimeout(timer); poll(); };
  document.addEventListener("visibilitychange", () => { if (!document.hidden) now(); });
  addEventListener("online", now);
  counts();
  now();
})();

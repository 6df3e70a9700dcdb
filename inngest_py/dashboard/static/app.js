// What the server cannot do: times in the viewer's zone, keys, themes, and reloading on news.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // --- times -------------------------------------------------------------------------------
  const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const zoned = new Intl.DateTimeFormat(undefined, {
    year: "numeric", month: "short", day: "numeric", weekday: "short",
    hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short",
  });
  const exact = new Intl.DateTimeFormat(undefined, {
    hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3,
  });
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  const near = new Intl.RelativeTimeFormat(undefined, { numeric: "always", style: "short" });
  const FORMATS = { clock: zoned, exact, full };
  const STEPS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

  // a virtual clock: what it showed, and when that was; null on servers with the real time
  let virtual = null;

  function readClock() {
    const node = document.getElementById("clock-state");
    virtual = node && { shown: Date.parse(node.dataset.now), at: performance.now(), stands: "stands" in node.dataset };
  }

  function now() {
    if (!virtual) return Date.now();
    return virtual.shown + (virtual.stands ? 0 : performance.now() - virtual.at);
  }

  function ago(date) {
    const seconds = (date - now()) / 1000;
    const [unit, size] = STEPS.find(([, one]) => Math.abs(seconds) >= one) || STEPS[3];
    return near.format(Math.trunc(seconds / size), unit);
  }

  function zone() {
    const parts = new Intl.DateTimeFormat("en", { timeZoneName: "longOffset" }).formatToParts();
    const offset = parts.find((part) => part.type === "timeZoneName").value.replace("GMT", "UTC");
    const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
    return timeZone === "UTC" ? timeZone : `${timeZone} (${offset})`;
  }

  function writeTimes(root) {
    for (const node of all("time[datetime]", root)) {
      const date = new Date(node.dateTime);
      const kind = node.dataset.kind;
      node.textContent = kind === "ago" ? ago(date) : (FORMATS[kind] || full).format(date);
      if (kind !== "clock") node.title = zoned.format(date);
    }
    for (const node of all("g[data-at] > title", root)) {
      const at = clock.format(new Date(node.parentNode.dataset.at));
      node.textContent = node.textContent.replace(/^\S+ UTC/, at);
    }
    for (const node of all("[data-zone]", root)) node.textContent = zone();
    for (const node of all("[data-tz]", root)) node.value = new Date().getTimezoneOffset();
  }
  // durations that go on count from when the part that shows them came
  const seen = new WeakMap();
  const UNITS = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];

  function duration(ms) {
    if (ms < 1000) return `${Math.round(ms)} ms`;
    if (ms < 60_000) return `${(ms / 1000).toFixed(1).replace(".0", "")} s`;
    let left = Math.floor(ms / 1000);
    const parts = [];
    for (const [unit, size] of UNITS) {
      if (left >= size) parts.push(`${Math.floor(left / size)}${unit}`);
      left %= size;
    }
    return parts.slice(0, 2).join(" ");
  }

  function writeElapsed() {
    for (const node of all("[data-elapsed]")) {
      if (!seen.has(node)) seen.set(node, now());
      else node.textContent = duration(Number(node.dataset.elapsed) + now() - seen.get(node));
    }
  }
  setInterval(writeElapsed, 1000);
  document.addEventListener("htmx:afterSwap", writeElapsed);
  setInterval(() => all('time[data-kind="ago"]').forEach((node) => {
    node.textContent = ago(new Date(node.dateTime));
  }), 5000);
  setInterval(() => {
    if (virtual && !virtual.stands) {
      all('#clock-state time[data-kind="clock"]').forEach((node) => { node.textContent = zoned.format(now()); });
    }
  }, 1000);

  // --- theme -------------------------------------------------------------------------------
  function switchTheme() {
    const root = document.documentElement;
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
  }

  // --- news --------------------------------------------------------------------------------
  let source = null;
  let heard = Date.now();
  const SILENCE = 45_000; // the server says something every 15 s
  const dot = document.getElementById("live-dot");

  function showState(state) {
    if (!dot || dot.dataset.state === state) return;
    dot.dataset.state = state;
    dot.title = state;
    dot.firstElementChild.textContent = `live: ${state}`;
    const stale = document.getElementById("stale");
    stale.hidden = state !== "not connected";
    if (stale.hidden) return;
    const since = zoned.format(new Date());
    stale.textContent = `Not connected since ${since}: what is shown is from before.`;
  }

  function listen() {
    const path = document.body.dataset.live;
    if (!document.querySelector('[hx-trigger*="news"]')) {
      if (dot) dot.hidden = true;
      return;
    }
    if (dot) dot.hidden = false;
    if (!path || source) return;
    source = new EventSource(path);
    source.onopen = () => {
      heard = Date.now();
      if (dot?.dataset.state === "not connected") document.body.dispatchEvent(new Event("news"));
      showState("live");
    };
    source.onerror = () => {
      showState("not connected");
      if (source.readyState === EventSource.CLOSED) {
        source = null;
        setTimeout(() => document.hidden || listen(), 5000);
      }
    };
    source.addEventListener("alive", () => { heard = Date.now(); });
    source.addEventListener("news", () => {
      heard = Date.now();
      document.body.dispatchEvent(new Event("news"));
    });
  }

  // a server that hangs, and a network that is cut, close no connection
  setInterval(() => {
    if (!source || Date.now() - heard < SILENCE) return;
    source.close();
    source = null;
    heard = Date.now(); // the next connection gets as long
    showState("not connected");
    listen();
  }, 5000);

  // a browser opens at most six connections to a server: hidden tabs close theirs
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else {
      listen();
      document.body.dispatchEvent(new Event("news"));
    }
  });

  // rows must not move while the viewer chooses some of them, or selects a text
  function isHeld(part) {
    const ticked = "hold" in part.dataset && part.querySelector("input:checked");
    return ticked || (String(getSelection()) && part.contains(getSelection().anchorNode));
  }
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (isHeld(event.detail.elt)) event.preventDefault();
  });
  // the viewer may have begun while the news were on their way
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target, requestConfig } = event.detail;
    if (requestConfig.elt === target && isHeld(target)) event.detail.shouldSwap = false;
  });
  // a part that the viewer may read, scroll or select changes only if its content does
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const { target, fragment } = event.detail;
    const fresh = fragment.querySelector("[data-version]");
    event.detail.shouldSwap = !fresh || fresh.dataset.version !== target.dataset.version;
  });
  // details that are open stay open
  let unfolded = [];
  document.addEventListener("htmx:beforeSwap", () => {
    unfolded = all("#live details[open][id]").map((node) => node.id);
  });
  document.addEventListener("htmx:afterSwap", () => unfolded.forEach((id) => {
    document.getElementById(id)?.setAttribute("open", "");
  }));
  document.addEventListener("htmx:afterSwap", () => {
    readClock();
    writeTimes(document);
  });
  document.addEventListener("part:shown", () => {
    writeTimes(document);
    writeElapsed();
    listen();
  });
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status === 401) location.reload();
  });

  // --- forms -------------------------------------------------------------------------------
  document.addEventListener("submit", (event) => {
    if ("bulk" in event.target.dataset && !event.target.querySelector("input:checked")) {
      event.preventDefault();
      alert("Choose runs first: tick them, or all that match.");
      return;
    }
    const asked = event.submitter?.dataset.confirm || event.target.dataset.confirm;
    if (asked && !confirm(asked)) event.preventDefault();
  });
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-all]")) return;
    all('input[name="run"]').forEach((box) => { box.checked = event.target.checked; });
  });

  // after a wrong value the focus is where it can be mended
  const wrong = document.querySelector("main [aria-invalid]");
  for (let part = wrong?.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
  wrong?.focus();

  // --- keys --------------------------------------------------------------------------------
  const keys = document.getElementById("keys");
  let going = false;

  function move(by) {
    const rows = all("[data-row] [data-open]");
    if (!rows.length) return;
    const here = rows.indexOf(document.activeElement);
    const next = here < 0 ? (by > 0 ? 0 : rows.length - 1) : here + by;
    rows[Math.min(rows.length - 1, Math.max(0, next))].focus();
  }

  const ACTS = {
    j: () => move(1),
    k: () => move(-1),
    t: switchTheme,
    "?": () => keys.showModal(),
    "/": () => document.querySelector("[data-search]")?.focus(),
    x: () => document.activeElement.closest("[data-row]")?.querySelector("input")?.click(),
    g: () => { going = true; setTimeout(() => { going = false; }, 1000); },
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || keys.open) return;
    if (event.target.matches("input:not([type=checkbox]), textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const page = going && document.querySelector(`nav [data-key="${CSS.escape(event.key)}"]`);
    going = false;
    if (page) page.click();
    else if (ACTS[event.key]) ACTS[event.key]();
    else return;
    event.preventDefault();
  });

  document.getElementById("theme").addEventListener("click", switchTheme);
  document.getElementById("help").addEventListener("click", () => keys.showModal());
  readClock();
  writeTimes(document);
  listen();
})();

// The page of a run: the panel changes without a page load, and the timeline is zoomed.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const SVG = "http://www.w3.org/2000/svg";
  const narrow = matchMedia("(max-width: 60rem)");

  // --- parts that the server sends -----------------------------------------------------------
  let asked = null;

  function replace(id, parsed) {
    const old = document.getElementById(id);
    const fresh = parsed.getElementById(id);
    if (!old || !fresh) throw new Error(`no #${id}`);
    old.replaceWith(document.adoptNode(fresh));
  }

  async function load(href, part, ids) {
    asked?.abort();
    asked = new AbortController();
    const { signal } = asked;
    const answered = await fetch(href, { headers: { "Run-Part": part }, signal });
    if (!answered.ok) throw new Error(String(answered.status));
    const parsed = new DOMParser().parseFromString(await answered.text(), "text/html");
    if (signal.aborted) return;
    const focused = document.activeElement?.id;
    ids.forEach((id) => replace(id, parsed));
    const again = focused && document.getElementById(focused);
    if (again && again !== document.activeElement) again.focus({ preventScroll: true });
    document.dispatchEvent(new Event("part:shown"));
  }

  function markChosen() {
    const span = document.getElementById("panel").dataset.span;
    for (const link of all(".falls a[data-open]")) {
      const chosen = link.dataset.span === span;
      link.closest("li").classList.toggle("chosen", chosen);
      if (chosen) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  // links elsewhere on the page that carry the view: it is the URL's
  function carryView() {
    const now = new URL(location.href);
    const span = now.searchParams.get("span");
    for (const link of all('#falls a[data-part="view"]')) {
      const url = new URL(link.href);
      if (span) url.searchParams.set("span", span);
      link.href = url;
    }
  }

  function follow(link) {
    const url = new URL(link.href);
    const hash = url.hash;
    url.hash = "";
    const { part } = link.dataset;
    const done = part === "panel" ? open(url, link) : load(url, part, ["falls"]).then(() => {
      history.replaceState(history.state, "", url);
      shown();
    });
    done.catch((error) => {
      if (error.name !== "AbortError") location.href = url + hash;
    });
  }

  async function open(url) {
    await load(url, "panel", ["panel"]);
    if (String(url) !== location.href) history.pushState({ run: true }, "", url);
    document.body.classList.toggle("panel-over", narrow.matches);
    shown();
  }

  addEventListener("popstate", () => {
    load(location.href, "view", ["falls", "panel"]).then(shown, () => location.reload());
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]")) {
      leavePanel();
      return;
    }
    const link = event.target.closest("a[data-part]");
    const plain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
    if (!link || !plain || event.defaultPrevented) return;
    event.preventDefault();
    follow(link);
  });

  function leavePanel() {
    document.body.classList.remove("panel-over");
    document.querySelector('.falls a[aria-current="true"]')?.focus();
  }

  // news come for what is shown now
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.target.id === "live") event.detail.path = location.pathname + location.search;
  });
  let scrolled = null;
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const { target } = event.detail;
    if (target.id === "panel") scrolled = { span: target.dataset.span, top: target.scrollTop };
  });
  document.addEventListener("htmx:oobAfterSwap", () => {
    const panel = document.getElementById("panel");
    if (scrolled && panel?.dataset.span === scrolled.span) panel.scrollTop = scrolled.top;
  });
  document.addEventListener("htmx:afterSwap", () => shown());

  // --- zoom ----------------------------------------------------------------------------------
  let from = 0;
  let to = 1;
  const LEAST = 1e-5;

  function zoomTo(begin, end) {
    const width = Math.min(1, Math.max(LEAST, end - begin));
    from = Math.min(1 - width, Math.max(0, begin));
    to = from + width;
    draw();
  }

  function zoomBy(factor) {
    const middle = (from + to) / 2;
    const half = ((to - from) * factor) / 2;
    zoomTo(middle - half, middle + half);
  }

  const ZOOMS = {
    in: () => zoomBy(0.5),
    out: () => zoomBy(2),
    whole: () => zoomTo(0, 1),
    earlier: () => zoomTo(from - (to - from) / 2, to - (to - from) / 2),
    later: () => zoomTo(from + (to - from) / 2, to + (to - from) / 2),
  };

  function draw() {
    const box = `${from * 1000} 0 ${(to - from) * 1000} 24`;
    for (const bar of all(".falls svg.fall")) bar.setAttribute("viewBox", box);
    const whole = from === 0 && to === 1;
    for (const button of all(".zoom [data-zoom]")) {
      const needs = { out: whole, whole, earlier: from === 0, later: to === 1, in: to - from <= LEAST };
      button.setAttribute("aria-disabled", String(needs[button.dataset.zoom]));
    }
    drawAxis();
  }

  // --- the axis ------------------------------------------------------------------------------
  const UNITS = [["d", 864e5], ["h", 36e5], ["min", 6e4], ["s", 1e3], ["ms", 1], ["µs", 1e-3]];
  const NICE = [
    ...[1e-3, 1e-2, 0.1, 1, 10, 100, 1e3].flatMap((size) => [size, 2 * size, 5 * size]),
    1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 108e5, 216e5, 432e5, 864e5, 1728e5, 6048e5,
  ].sort((a, b) => a - b);
  const APART = 78; // pixels between two ticks
  const toSecond = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const toMs = new Intl.DateTimeFormat(undefined, {
    hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3,
  });
  const withDay = new Intl.DateTimeFormat(undefined, {
    month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
  });

  function written(ms) {
    const [unit, size] = UNITS.find(([, one]) => ms >= one * 0.9999) || UNITS[UNITS.length - 1];
    const value = ms / size;
    const rest = UNITS[UNITS.findIndex(([name]) => name === unit) + 1];
    const left = rest && size >= 6e4 ? Math.round((value % 1) * (size / rest[1])) : 0;
    if (left && left * rest[1] < size) return `${Math.floor(value)} ${unit} ${left} ${rest[0]}`;
    return `${Number(value.toPrecision(4))} ${unit}`;
  }

  function add(parent, name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  function drawAxis() {
    const axis = document.getElementById("time-axis");
    if (!axis) return;
    const width = axis.getBoundingClientRect().width;
    axis.replaceChildren();
    if (!width) return;
    const place = (x) => ((x - from) / (to - from)) * width;
    const pieces = JSON.parse(axis.dataset.pieces);
    const taken = { top: -1e9, ticks: -1e9, day: new Date(pieces[0][2]).toDateString() };
    for (const piece of pieces) {
      const [x0, x1] = [place(piece[0]), place(piece[1])];
      if (x1 >= 0 && x0 <= width) drawPiece(axis, piece, x0, x1, width, taken);
    }
  }

  function drawPiece(axis, [, , stamp, ms, cut], x0, x1, width, taken) {
    if (cut) {
      const shown = [Math.max(0, x0), Math.min(width, x1)];
      const mark = add(axis, "rect", { class: "cut", x: shown[0], y: 20, width: Math.max(shown[1] - shown[0], 1), height: 12 });
      add(mark, "title", {}, `${written(ms)} in which nothing ran`);
      const label = written(ms);
      const room = label.length * 6.4;
      if (shown[1] - shown[0] > room) add(axis, "text", { class: "of-cut", x: (shown[0] + shown[1]) / 2, y: 30, "text-anchor": "middle" }, label);
      return;
    }
    const perPixel = ms / (x1 - x0);
    const step = NICE.find((one) => one / perPixel >= APART) || NICE[NICE.length - 1];
    const begin = Date.parse(stamp);
    const first = Math.max(0, Math.floor((-x0 * perPixel) / step));
    for (let number = first; number * step <= ms; number += 1) {
      const x = x0 + (number * step) / perPixel;
      if (x > width) break;
      if (x < -0.5) continue;
      add(axis, "line", { x1: x, x2: x, y1: number ? 26 : 16, y2: 34 });
      const label = number ? `+${written(number * step)}` : "";
      const room = label.length * 6.4;
      if (label && x - 4 > taken.ticks && x + room < width) {
        add(axis, "text", { x: x + 3, y: 31 }, label);
        taken.ticks = x + room;
      }
    }
    const days = ms >= 864e5 || new Date(begin).toDateString() !== taken.day;
    const clock = (days ? withDay : perPixel < 20 ? toMs : toSecond).format(begin);
    const at = Math.max(x0, 0);
    const text = x0 < -0.5 ? `… ${clock}` : clock;
    const room = text.length * 6.6;
    if (at > taken.top && (at + room < width || taken.top < 0)) {
      add(axis, "text", { class: "of-piece", x: at + 2, y: 12 }, text);
      taken.top = at + room;
    }
  }

  // drag over the axis to zoom in
  let drag = null;
  const share = (event) => {
    const box = document.getElementById("time-axis").getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  document.addEventListener("pointerdown", (event) => {
    const axis = event.target.closest?.("#time-axis");
    if (!axis || event.button) return;
    const mark = add(axis, "rect", { class: "drag", x: 0, y: 0, width: 0, height: 34 });
    drag = { begin: share(event), mark };
    event.preventDefault();
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [a, b] = [drag.begin, share(event)].sort((x, y) => x - y);
    drag.mark.setAttribute("x", `${a * 100}%`);
    drag.mark.setAttribute("width", `${(b - a) * 100}%`);
  });
  document.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const [a, b] = [drag.begin, share(event)].sort((x, y) => x - y);
    drag = null;
    const width = to - from;
    if (b - a > 0.01) zoomTo(from + a * width, from + b * width);
    else draw();
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-zoom]");
    if (button && button.getAttribute("aria-disabled") !== "true") ZOOMS[button.dataset.zoom]();
  });
  addEventListener("resize", drawAxis);

  // --- keys ----------------------------------------------------------------------------------
  const KEYS = { "+": "in", "=": "in", "-": "out", 0: "whole", "[": "earlier", "]": "later" };

  function moveRow(by) {
    const rows = all(".falls a[data-open]");
    const next = rows.indexOf(document.activeElement.closest("li")?.querySelector("a[data-open]")) + by;
    rows[Math.min(rows.length - 1, Math.max(0, next))]?.focus();
  }

  function fold(wanted) {
    const toggle = document.activeElement.closest("li")?.querySelector("a.fold");
    if (toggle && toggle.getAttribute("aria-expanded") !== wanted) follow(toggle);
  }

  const IN_ROWS = {
    ArrowDown: () => moveRow(1),
    ArrowUp: () => moveRow(-1),
    ArrowRight: () => fold("true"),
    ArrowLeft: () => fold("false"),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.matches("input, textarea, select") || document.querySelector("dialog[open]")) return;
    const link = event.target.closest('a[role="button"]');
    if (link && event.key === " ") follow(link);
    else if (KEYS[event.key]) ZOOMS[KEYS[event.key]]();
    else if (IN_ROWS[event.key] && event.target.closest(".falls")) IN_ROWS[event.key]();
    else if (event.key === "Escape" && (event.target.closest("#panel") || document.body.matches(".panel-over"))) leavePanel();
    else return;
    event.preventDefault();
  });

  function shown() {
    for (const node of all(".zoom, #panel [data-close]")) node.hidden = false;
    markChosen();
    carryView();
    draw();
  }
  shown();
})();

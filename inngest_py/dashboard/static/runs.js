// The list of runs: chips and a plot that filter at once, without a page load.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const PARTS = ["found", "exports", "clear"];
  const form = document.querySelector("form.filters");
  let asked = null;

  // the URL that the form would lead to, without fields that are empty
  function wanted() {
    const url = new URL(form.action);
    for (const [name, value] of new FormData(form)) {
      if (value !== "" && name !== "tz") url.searchParams.append(name, value);
    }
    if (form.elements.from.value || form.elements.until.value) {
      url.searchParams.append("tz", form.elements.tz.value);
    }
    return url;
  }

  async function show(url) {
    asked?.abort();
    asked = new AbortController();
    const { signal } = asked;
    const answered = await fetch(url, { signal });
    if (!answered.ok) throw new Error(String(answered.status));
    const parsed = new DOMParser().parseFromString(await answered.text(), "text/html");
    if (signal.aborted) return;
    const focused = document.activeElement?.id;
    for (const id of PARTS) {
      const fresh = document.adoptNode(parsed.getElementById(id));
      document.getElementById(id).replaceWith(fresh);
      htmx.process(fresh);
    }
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    document.dispatchEvent(new Event("part:shown"));
  }

  // a filter that is refused, or a server that does not answer: as without this script
  function follow(url) {
    show(url).catch((error) => {
      if (error.name !== "AbortError") location.assign(url);
    });
  }

  function refresh() {
    const url = wanted();
    if (document.querySelector(".problem:not([hidden])")) return location.assign(url);
    if (String(url) !== location.href) history.pushState({ runs: true }, "", url);
    return follow(url);
  }

  addEventListener("popstate", () => {
    const { searchParams } = new URL(location.href);
    for (const one of form.elements) {
      if (one.type === "checkbox") one.checked = searchParams.getAll(one.name).includes(one.value);
      else if (one.name && one.name !== "tz") one.value = searchParams.get(one.name) ?? "";
    }
    follow(location.href);
  });

  form.addEventListener("change", (event) => {
    if (event.target.closest(".chips")) refresh();
  });

  // --- the plot: a span of time is chosen by dragging, by a touch, or by its two sliders -------
  const LEAST = 4; // pixels: less is a click, which chooses a bar
  const zoned = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  let drag = null;

  const edges = () => document.querySelector("[data-brush]").dataset.edges.split(" ").map(Number);

  // as the fields of the form have it: a time of the viewer's zone, to which `tz` belongs
  function local(ms) {
    return new Date(ms - form.elements.tz.value * 60_000).toISOString().slice(0, 19);
  }

  function mark(span) {
    const node = document.querySelector(".brush-span");
    node.hidden = !span;
    if (!span) return;
    const bars = edges().length - 1;
    node.style.left = `${(span[0] / bars) * 100}%`;
    node.style.right = `${(1 - span[1] / bars) * 100}%`;
  }

  // the first and the last edge are those of the filter, which stay as they are
  function choose([from, until]) {
    const ends = edges();
    if (from > 0) {
      form.elements.from.value = local(ends[from]);
      form.elements.since.value = "";
    }
    if (until < ends.length - 1) form.elements.until.value = local(ends[until]);
    form.querySelector("details").open = true;
    refresh();
  }

  function spanOf(brush, from, until) {
    const box = brush.getBoundingClientRect();
    const bars = edges().length - 1;
    const place = (x) => Math.min(Math.max((x - box.left) / box.width, 0), 1) * bars;
    const first = Math.min(Math.floor(place(Math.min(from, until))), bars - 1);
    return [first, Math.max(Math.ceil(place(Math.max(from, until))), first + 1)];
  }

  document.addEventListener("pointerdown", (event) => {
    const brush = event.target.closest?.("[data-brush]");
    if (!brush || event.button !== 0) return;
    drag = { brush, from: event.clientX };
    brush.setPointerCapture(event.pointerId);
  });
  document.addEventListener("pointermove", (event) => {
    if (drag) mark(spanOf(drag.brush, drag.from, event.clientX));
  });
  document.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const moved = Math.abs(event.clientX - drag.from) >= LEAST;
    const span = spanOf(drag.brush, drag.from, moved ? event.clientX : drag.from);
    drag = null;
    mark(span);
    choose(span);
  });
  document.addEventListener("pointercancel", () => {
    if (drag) mark(null);
    drag = null;
  });

  const slider = (name) => document.getElementById(`plot-${name}`);

  function tell() {
    const ends = edges();
    for (const name of ["from", "until"]) {
      slider(name).setAttribute("aria-valuetext", zoned.format(ends[slider(name).value]));
    }
    const span = [Number(slider("from").value), Number(slider("until").value)];
    document.querySelector("[data-said]").textContent = span.map((at) => zoned.format(ends[at])).join(" – ");
    return span;
  }

  document.addEventListener("input", (event) => {
    if (!event.target.matches?.("#plot-from, #plot-until")) return;
    const [from, until] = tell();
    // each end pushes the other before itself
    if (from >= until && event.target.id === "plot-from") {
      slider("from").value = Math.min(from, slider("from").max - 1);
      slider("until").value = Number(slider("from").value) + 1;
    } else if (from >= until) {
      slider("until").value = Math.max(until, 1);
      slider("from").value = slider("until").value - 1;
    }
    mark(tell());
  });
  document.addEventListener("keydown", (event) => {
    if (!event.target.matches?.("#plot-from, #plot-until")) return;
    if (event.key === "Enter") choose(tell());
    else if (event.key === "Escape") mark(null);
  });
  document.addEventListener("click", (event) => {
    if (event.target.id === "plot-show") choose(tell());
  });

  function prepare() {
    const ends = document.querySelector(".brush-ends");
    if (!ends) return;
    ends.hidden = false;
    tell();
  }
  document.addEventListener("part:shown", prepare);
  document.addEventListener("htmx:afterSwap", prepare);
  // the plot does not change under the hand that chooses in it
  function isChosenIn(part) {
    if (part.id !== "plot" || !slider("from")) return false;
    const isMoved = slider("from").value > 0 || slider("until").value < Number(slider("until").max);
    return drag || isMoved;
  }
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (isChosenIn(event.detail.elt)) event.preventDefault();
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (isChosenIn(event.detail.target)) event.detail.shouldSwap = false;
  });
  prepare();
})();

// The list of runs: chips that filter at once, without a page load.
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
})();

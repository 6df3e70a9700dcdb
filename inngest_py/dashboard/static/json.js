// A viewer of stored JSON: folding, search, copies of values and paths, and the whole value on
// demand. Only what is unfolded is drawn, a hundred entries at a time, so a value may be large.
(() => {
  "use strict";
  const PAGE = 100; // entries that are drawn at once
  const MOST_TEXT = 500; // characters of a text that are drawn at first, and then ten times as many
  const LEAST_SEARCHED = 200; // characters of a value that has a search
  const MOST_HITS = 1000;
  const MOST_OPEN = 12; // entries of a value that is unfolded from the beginning

  function make(name, properties = {}, ...children) {
    const node = Object.assign(document.createElement(name), properties);
    node.append(...children);
    return node;
  }

  // --- reading -------------------------------------------------------------------------------
  // a number that a double would change is kept as it is written
  class Exact {
    constructor(source) { this.source = source; }
  }

  // numbers that may be such: asking for the source of each takes ten times as long as the parsing
  const LONG = /(?<=[:[,]\s*)-?(?:\d{16,}|\d+\.\d{16,}|\d+\.\d*0(?=[,\]}\s])|\d+(?:\.\d+)?[eE])/;

  function read(text) {
    if (!LONG.test(text)) return JSON.parse(text);
    return JSON.parse(text, (key, value, context) => (
      typeof value === "number" && context?.source !== undefined && String(value) !== context.source
        ? new Exact(context.source) : value));
  }

  const isTree = (value) => value !== null && typeof value === "object" && !(value instanceof Exact);
  const keysOf = (value) => (Array.isArray(value) ? value.length : Object.keys(value).length);

  function write(value, indent) {
    const raw = [];
    const text = JSON.stringify(value, (key, one) => {
      if (!(one instanceof Exact)) return one;
      raw.push(one.source);
      return `\u0000${raw.length - 1}\u0000`;
    }, indent);
    return raw.length ? text.replace(/"\\u0000(\d+)\\u0000"/g, (_, n) => raw[n]) : text;
  }

  function pathText(path) {
    return path.reduce((made, key) => {
      if (typeof key === "number") return `${made}[${key}]`;
      return /^[A-Za-z_$][\w$]*$/.test(key) ? `${made}.${key}` : `${made}[${JSON.stringify(key)}]`;
    }, "$");
  }

  async function clip(text) {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return;
    }
    // over plain HTTP there is no clipboard but this
    const box = make("textarea", { value: text });
    const before = document.activeElement;
    document.body.append(box);
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    before?.focus({ preventScroll: true });
    if (!done) throw new Error("refused");
  }

  // --- drawing -------------------------------------------------------------------------------
  function leaf(value) {
    if (value instanceof Exact) return make("span", { className: "j-number", textContent: value.source });
    if (typeof value === "string") return longText(value);
    const kind = value === null ? "null" : typeof value;
    return make("span", { className: `j-${kind}`, textContent: String(value) });
  }

  function longText(value) {
    const text = JSON.stringify(value);
    if (text.length <= MOST_TEXT) return make("span", { className: "j-string", textContent: text });
    const span = make("span", { className: "j-string" });
    const shown = document.createTextNode(text.slice(0, MOST_TEXT));
    const more = make("button", { type: "button", className: "j-more" });
    let end = MOST_TEXT;
    const name = () => { more.textContent = `${(text.length - end).toLocaleString("en")} more characters`; };
    more.addEventListener("click", () => {
      end = Math.min(text.length, end + 10 * MOST_TEXT);
      shown.data = text.slice(0, end);
      if (end === text.length) more.remove();
      else name();
    });
    name();
    span.append(shown, more);
    return span;
  }

  class Viewer {
    constructor(box, text) {
      this.box = box;
      const value = read(text);
      // what wraps a step's result in storage
      const isWrapped = "wrapped" in box.dataset && isTree(value) && Object.keys(value).join() === "data";
      this.value = isWrapped ? value.data : value;
      this.rows = new Map(); // path as text → its row
      this.hits = [];
      this.hit = -1;
      this.status = make("span", { className: "small quiet" });
      this.status.setAttribute("role", "status");
      this.tree = make("div", { className: "j-tree", tabIndex: 0 });
      this.tree.setAttribute("role", "group");
      this.tree.setAttribute("aria-label", `${box.dataset.title}, as a tree`);
      const root = make("ul");
      this.tree.append(root);
      root.append(this.row([], this.value, isTree(this.value)));
      this.box.replaceChildren(this.tools(text.length > LEAST_SEARCHED), this.tree);
    }

    tools(isLong) {
      const search = make("input", { type: "search", placeholder: "Search", spellcheck: false });
      search.setAttribute("aria-label", `Search in ${this.box.dataset.title}`);
      search.addEventListener("input", () => {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.search(search.value), 200);
      });
      search.addEventListener("keydown", (event) => {
        if (event.key === "Enter") {
          event.preventDefault();
          clearTimeout(this.timer);
          if (this.searched !== search.value) this.search(search.value);
          else this.next(event.shiftKey ? -1 : 1);
        }
      });
      const tools = make("div", { className: "j-tools" });
      if (isLong) tools.append(search);
      tools.append(this.status);
      if (isLong && isTree(this.value)) tools.append(this.button("Fold", () => this.foldAll()));
      tools.append(this.button("Copy", () => this.copy(write(this.value, 2), "the value")));
      return tools;
    }

    button(text, act) {
      const made = make("button", { type: "button", textContent: text });
      made.addEventListener("click", act);
      return made;
    }

    row(path, value, isOpen = false) {
      const key = path[path.length - 1];
      const line = make("div", { className: "j-line" });
      const item = make("li", {}, line);
      this.rows.set(pathText(path), item);
      const name = key === undefined ? [] : [make("span", { className: "j-key", textContent: typeof key === "number" ? key : JSON.stringify(key) }), ": "];
      if (!isTree(value)) {
        line.append(...name, leaf(value), this.acts(path, value));
        return item;
      }
      const size = keysOf(value);
      const [open, close] = Array.isArray(value) ? "[]" : "{}";
      const summary = make("span", { className: "quiet", textContent: `${open} ${size.toLocaleString("en")} ${close}` });
      if (!size) {
        line.append(...name, `${open}${close}`, this.acts(path, value));
        return item;
      }
      const toggle = make("button", { type: "button", className: "j-toggle" }, ...name, summary);
      toggle.setAttribute("aria-expanded", "false");
      toggle.addEventListener("click", () => this.fold(item, toggle.getAttribute("aria-expanded") !== "true"));
      line.append(toggle, this.acts(path, value));
      item.unfold = () => this.entries(path, value);
      if (isOpen) this.fold(item, true);
      return item;
    }

    acts(path, value) {
      const acts = make("span", { className: "j-acts" });
      const at = pathText(path);
      const value_ = this.button("copy", () => this.copy(typeof value === "string" ? value : write(value, 2), at));
      const path_ = this.button("path", () => this.copy(at, "the path"));
      value_.setAttribute("aria-label", `Copy the value of ${at}`);
      path_.setAttribute("aria-label", `Copy the path ${at}`);
      acts.append(value_, path_);
      return acts;
    }

    entries(path, value) {
      const list = make("ul");
      this.more(list, path, value, 0);
      return list;
    }

    more(list, path, value, from) {
      const size = keysOf(value);
      const keys = Array.isArray(value) ? null : Object.keys(value);
      const few = size <= MOST_OPEN && path.length < 2;
      for (let number = from; number < Math.min(size, from + PAGE); number += 1) {
        const key = keys ? keys[number] : number;
        list.append(this.row([...path, key], value[key], few));
      }
      list.drawn = Math.min(size, from + PAGE);
      if (list.drawn === size) return;
      const left = size - list.drawn;
      const button = this.button(`${Math.min(left, PAGE)} of ${left.toLocaleString("en")} more`, () => {
        button.parentNode.remove();
        this.more(list, path, value, list.drawn);
      });
      button.className = "j-more";
      list.append(make("li", { className: "j-rest" }, button));
    }

    fold(item, open) {
      const toggle = item.querySelector(".j-toggle");
      toggle?.setAttribute("aria-expanded", String(open));
      const list = item.querySelector(":scope > ul");
      if (open && !list) item.append(item.unfold());
      else if (list) list.hidden = !open;
    }

    foldAll() {
      for (const item of this.tree.querySelectorAll("li li")) {
        if (item.unfold) this.fold(item, false);
      }
    }

    async copy(text, what) {
      try {
        await clip(text);
        this.status.textContent = `Copied ${what}`;
      } catch {
        this.status.textContent = "The browser does not let the page copy";
      }
    }

    // --- search ------------------------------------------------------------------------------
    search(text) {
      this.searched = text;
      this.hits = [];
      this.hit = -1;
      this.mark(null);
      if (!text) {
        this.status.textContent = "";
        return;
      }
      const wanted = text.toLowerCase();
      const left = [[[], this.value]];
      while (left.length && this.hits.length < MOST_HITS) {
        const [path, value] = left.pop();
        if (this.matches(path, value, wanted)) this.hits.push(path);
        if (!isTree(value)) continue;
        const keys = Array.isArray(value) ? value.keys() : Object.keys(value);
        for (const key of [...keys].reverse()) left.push([[...path, key], value[key]]);
      }
      if (this.hits.length) this.next(1);
      else this.status.textContent = "Not found";
    }

    matches(path, value, wanted) {
      const key = path[path.length - 1];
      if (typeof key === "string" && key.toLowerCase().includes(wanted)) return true;
      if (isTree(value)) return false;
      const text = value instanceof Exact ? value.source : String(value);
      return text.toLowerCase().includes(wanted);
    }

    next(by) {
      if (!this.hits.length) return;
      this.hit = (this.hit + by + this.hits.length) % this.hits.length;
      const most = this.hits.length === MOST_HITS ? "+" : "";
      this.status.textContent = `${this.hit + 1} of ${this.hits.length}${most}, Enter for the next`;
      this.mark(this.reveal(this.hits[this.hit]));
    }

    reveal(path) {
      let value = this.value;
      for (let depth = 0; depth < path.length; depth += 1) {
        const item = this.rows.get(pathText(path.slice(0, depth)));
        this.fold(item, true);
        const list = item.querySelector(":scope > ul");
        const at = pathText(path.slice(0, depth + 1));
        const number = Array.isArray(value) ? path[depth] : Object.keys(value).indexOf(path[depth]);
        if (!this.rows.has(at)) this.skipTo(list, path.slice(0, depth), value, number);
        value = value[path[depth]];
      }
      return this.rows.get(pathText(path));
    }

    // draw the page that holds an entry alone: those before it come when they are asked for
    skipTo(list, path, value, number) {
      const from = number - (number % PAGE);
      this.clear(list, path);
      if (from) {
        const button = this.button(`from the beginning, ${from.toLocaleString("en")} before this`, () => {
          this.clear(list, path);
          this.more(list, path, value, 0);
        });
        button.className = "j-more";
        list.append(make("li", {}, button));
      }
      this.more(list, path, value, from);
    }

    clear(list, path) {
      const at = pathText(path);
      for (const known of [...this.rows.keys()]) {
        if (known !== at && known.startsWith(at) && /^[.[]/.test(known.slice(at.length))) this.rows.delete(known);
      }
      list.replaceChildren();
    }

    mark(item) {
      this.box.querySelector(".j-hit")?.classList.remove("j-hit");
      if (!item) return;
      item.firstElementChild.classList.add("j-hit");
      const box = this.tree.getBoundingClientRect();
      const line = item.firstElementChild.getBoundingClientRect();
      this.tree.scrollTop += line.top - box.top - box.height / 3;
    }
  }

  // --- the page ------------------------------------------------------------------------------
  function view(box, text) {
    try {
      new Viewer(box, text);
    } catch {
      box.dataset.failed = "1"; // no JSON: the text stays as it is
    }
  }

  async function whole(box, button) {
    button.disabled = true;
    button.textContent = "Loading …";
    try {
      const answered = await fetch(box.dataset.href);
      if (!answered.ok) throw new Error(String(answered.status));
      view(box, await answered.text());
    } catch {
      button.disabled = false;
      button.textContent = "It could not be loaded: try again";
    }
  }

  function begin() {
    for (const box of document.querySelectorAll(".json:not([data-seen])")) {
      box.dataset.seen = "1";
      if (!("cut" in box.dataset)) {
        view(box, box.querySelector("pre").textContent);
        continue;
      }
      const button = make("button", { type: "button", textContent: `Show the whole value, ${box.dataset.size}` });
      button.addEventListener("click", () => whole(box, button));
      box.prepend(make("p", { className: "j-tools" }, button));
    }
  }

  document.addEventListener("part:shown", begin);
  document.addEventListener("htmx:afterSwap", begin);
  document.addEventListener("htmx:oobAfterSwap", begin);
  begin();
})();

"use strict";
// The page of pymonik. Texts of users go into the document as text only (`el`), never as markup.
// A frozen page has its data in the block #data; a live one asks for them, below its own address.
(() => {
  const FROZEN = JSON.parse(document.getElementById("data").textContent);
  const WORDS = { p: "pending", r: "running", o: "ok", f: "failed", c: "cancelled" };
  const ORDER = ["ok", "failed", "cancelled", "running", "pending"];
  const TONES = { ok: "good", failed: "bad", cancelled: "halted", running: "busy", pending: "quiet" };
  const WORST = "fcrop"; // what a tile of several calls shows: a failure must not be hidden
  const DATE = { dateStyle: "medium", timeStyle: "medium", hour12: false };
  const PAGE = 100; // rows of the table
  const MOST_TILES = 6000; // of more calls, a tile is several
  const main = document.getElementById("main");
  const drawer = document.getElementById("drawer");
  const tip = document.getElementById("tip");

  // -- elements -------------------------------------------------------------------------------

  function el(name, attributes, ...children) {
    const space = ["svg", "g", "rect", "path", "text", "title", "line"].includes(name) ? "http://www.w3.org/2000/svg" : null;
    const node = space ? document.createElementNS(space, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (key === "style") Object.assign(node.style, value);
      else node.setAttribute(key, value === true ? "" : value);
    }
    node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== ""));
    return node;
  }

  // Replaces what stands in a node, but only if it is told something else than the last time; the
  // focus stays at what has the same `data-focus`.
  function fill(node, told, make) {
    const text = JSON.stringify(told);
    if (node._told === text) return;
    node._told = text;
    const focus = node.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    node.replaceChildren(...[make()].flat(3).filter(Boolean));
    if (focus) node.querySelector(`[data-focus="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
  }

  function say(text) { document.getElementById("told").textContent = text; }

  function showTip(event, text) {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(6, Math.min(event.clientX + 14, innerWidth - box.width - 8))}px`;
    tip.style.top = `${event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 12 : event.clientY + 18}px`;
  }
  function hideTip() { tip.hidden = true; }

  function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim(); }

  // -- words ----------------------------------------------------------------------------------

  function span(seconds) {
    if (seconds === null || seconds === undefined) return "";
    if (seconds < 0.001) return `${(seconds * 1e6).toFixed(0)} µs`;
    if (seconds < 1) return `${Number((seconds * 1000).toPrecision(3))} ms`;
    if (seconds < 60) return `${Number(seconds.toPrecision(3))} s`;
    const whole = Math.round(seconds);
    for (const [large, small, size, part] of [["d", "h", 86400, 3600], ["h", "min", 3600, 60], ["min", "s", 60, 1]]) {
      if (whole >= size) {
        const rest = Math.floor((whole % size) / part);
        return `${Math.floor(whole / size)} ${large}${rest ? ` ${rest} ${small}` : ""}`;
      }
    }
    return `${whole} s`;
  }
  function size(bytes) {
    let left = bytes;
    for (const unit of ["B", "KiB", "MiB", "GiB", "TiB"]) {
      if (left < 1000 || unit === "TiB") return `${Number(left.toPrecision(3))} ${unit}`;
      left /= 1024;
    }
    return "";
  }
  function count(number, noun) { return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`; }
  function clock(instant) { return new Date(instant * 1000).toLocaleTimeString([], { hour12: false }); }
  function ago(instant, now) {
    const passed = Math.max(0, now - instant);
    return passed < 2 ? "now" : `${span(Math.round(passed))} ago`;
  }
  function plain(number) { return number.toLocaleString("en"); }
  function stateOf(status) { return el("span", { class: `state ${status}` }, status); }

  // -- data: asked for, or frozen -------------------------------------------------------------

  async function ask(what, given) {
    const query = new URLSearchParams(given || {}).toString();
    const answer = await fetch(query ? `${what}?${query}` : what, { cache: "no-store" });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error || answer.statusText);
    return told;
  }
  async function act(what, given, question) {
    if (question && !confirm(question)) return;
    try {
      const answer = await fetch(what, { method: "POST", headers: { "X-Pymonik": "1", "Content-Type": "application/json" }, body: JSON.stringify(given) });
      const told = await answer.json();
      if (!answer.ok) throw new Error(told.error || answer.statusText);
      say(told.done);
    } catch (error) { trouble(error.message); say(error.message); }
    await refresh();
  }

  function marksOf(text) { // "o980f1" to one letter for each call
    let marks = "";
    for (const [, mark, number] of text.matchAll(/([a-z])(\d+)/g)) marks += mark.repeat(Number(number));
    return marks;
  }

  const frozenColumns = (key) => FROZEN.detail[key];
  function frozenRow(run, place) {
    const at = (column) => (Array.isArray(column) ? column[place] : column === "places" ? place : column);
    return {
      place, index: at(run.index), arguments: run.arguments[place], seconds: run.seconds[place],
      attempt: at(run.attempt), worker: run.workers[at(run.worker)] || "", error: run.errors[place] || "",
      status: WORDS[run.letters[place]],
    };
  }
  function frozenRows(key, given) {
    const run = frozenColumns(key);
    run.letters ??= marksOf(run.marks);
    const letter = Object.keys(WORDS).find((one) => WORDS[one] === given.status);
    const text = (given.text || "").toLowerCase();
    const found = [];
    for (let place = 0; place < run.letters.length; place += 1) {
      if (letter && run.letters[place] !== letter) continue;
      if (text) {
        const row = frozenRow(run, place);
        if (!`${row.index} ${row.arguments} ${row.error} ${row.worker}`.toLowerCase().includes(text)) continue;
      }
      found.push(place);
    }
    const first = Number(given.from || 0);
    return { total: found.length, is_whole: true, rows: found.slice(first, first + PAGE).map((place) => frozenRow(run, place)) };
  }
  const source = FROZEN ? {
    state: async () => FROZEN,
    run: async (key) => frozenColumns(key),
    rows: async (key, given) => frozenRows(key, given),
    call: async (key, place) => {
      const run = frozenColumns(key);
      run.letters ??= marksOf(run.marks);
      return run.details[place] || { ...frozenRow(run, place), attempts: [], is_short: true };
    },
    graph: async (key) => frozenColumns(key).graph,
    reports: async (key) => ({ reports: frozenColumns(key).reports || [] }),
    worker: async (partition, host) => FROZEN.history?.[`${partition}/${host}`] || { tasks: [] },
  } : {
    state: () => ask("state"),
    run: (key) => ask("run", { key }),
    rows: (key, given) => ask("rows", { key, ...given, count: PAGE }),
    call: (key, place) => ask("call", { key, place }),
    graph: (key) => ask("graph", { key }),
    reports: (key) => ask("reports", { key }),
    worker: (partition, host) => ask("worker", { partition, host }),
  };

  // -- what is shown --------------------------------------------------------------------------

  const shown = { state: null, view: "", key: "", tab: "calls", run: null, status: "", text: "", from: 0, rows: null, graph: null, reports: null };

  function meter(counts, total) {
    return el("div", { class: "meter", "aria-hidden": "true" }, ORDER.slice(0, 4).map((word) =>
      counts[word] ? el("i", { style: { width: `${(100 * counts[word]) / Math.max(1, total)}%`, background: `var(--${word})` } }) : null));
  }
  function inWords(run) {
    const parts = [el("span", { class: "good" }, `${plain(run.counts.ok)} of ${plain(run.total)} ok`)];
    for (const word of ["failed", "cancelled", "running"]) {
      if (run.counts[word]) parts.push(el("span", { class: TONES[word] }, `${plain(run.counts[word])} ${word}`));
    }
    if (run.eta !== null) parts.push(el("span", {}, `ETA ${span(run.eta)}`));
    return parts;
  }
  function name(run) {
    return [el("strong", {}, run.function), run.label && run.label !== run.function ? el("span", { class: "label" }, ` · ${run.label}`) : null];
  }
  function listItem(run, now) {
    const told = [run.counts, run.total, run.eta === null ? null : span(run.eta), run.key === shown.key, ago(run.started, now)];
    const link = el("a", { class: "run", href: `#/run/${encodeURIComponent(run.key)}`, "data-focus": run.key, "aria-current": run.key === shown.key ? "true" : null },
      el("span", { class: "when" }, ago(run.started, now)), name(run), meter(run.counts, run.total), el("div", { class: "what number" }, inWords(run)));
    return [told, link];
  }

  function showRuns(state) {
    if (!state.runs.length) { showEmpty(); return; }
    let list = main.querySelector(".list");
    if (!list) {
      list = el("section", { class: "list", "aria-label": "Runs" });
      const detail = el("section", { class: "detail", "aria-label": "Run" });
      main.replaceChildren(el("div", { class: "runs" }, state.runs.length > 1 || !FROZEN ? list : null, detail));
      if (!list.isConnected) main.querySelector(".runs").style.gridTemplateColumns = "minmax(0, 1fr)";
      main._list = list;
    }
    list = main._list;
    const items = state.runs.map((run) => [run.key, ...listItem(run, state.at)]);
    fill(list, items.map(([key, told]) => [key, told]), () => items.map((item) => item[2]));
    showRun(state.runs.find((run) => run.key === shown.key));
  }
  function showEmpty() {
    fill(main, "empty", () => el("div", { class: "empty" }, el("h1", {}, "No run yet"),
      el("p", {}, "What map_invoke and invoke start is shown here, as soon as it was sent."),
      el("pre", {}, "m = simulate.map_invoke(cases, label=\"mesh-study\")")));
  }

  function section(parent, id, make) { // a part of the run that is made once, and then filled
    let node = parent.querySelector(`:scope > [data-part="${id}"]`);
    if (!node) { node = make(); node.dataset.part = id; parent.append(node); }
    return node;
  }

  function showRun(run) {
    const detail = main.querySelector(".detail");
    if (detail._key !== run.key) { detail.replaceChildren(); detail._key = run.key; }
    const live = run.counts.pending + run.counts.running;
    const failed = run.counts.failed + run.counts.cancelled;
    fill(section(detail, "head", () => el("div", { class: "head" })), [run.key, live > 0, failed, shown.state.may_act], () => [
      el("div", {}, el("h1", {}, name(run)), el("p", { class: "sub" },
        `started ${new Date(run.started * 1000).toLocaleString([], DATE)}`, run.session ? [" · session ", el("code", {}, run.session)] : null)),
      shown.state.may_act && (live || failed) ? el("div", { class: "acts" },
        failed && run.may_rerun ? el("button", { type: "button", "data-focus": "rerun", onclick: () => act("rerun", { key: run.key }, `Run ${count(failed, "call")} again that failed or were cancelled?`) }, "Run failed again") : null,
        !live ? null : el("button", { type: "button", class: "danger", "data-focus": "cancel", onclick: () => act("cancel", { key: run.key }, `Cancel what has not ended of ${run.line.split("   ")[0]}?`) }, "Cancel run")) : null,
    ]);
    fill(section(detail, "stats", () => el("div", { class: "card" })), [run.counts, run.rate.toFixed(1), span(run.elapsed), run.eta && span(run.eta), run.median, run.peak], () => [
      el("h2", { class: "visually-hidden" }, "Numbers"), el("div", { class: "stats" }, stats(run, live)), meter(run.counts, run.total)]);
    showTiles(detail, run);
    const why = section(detail, "why", () => el("div", { class: "card" }));
    why.hidden = !run.why;
    fill(why, run.why, () => [el("h2", {}, "Why it does not go on"), el("div", { class: "why" }, run.why)]);
    const faults = section(detail, "errors", () => el("div", { class: "card" }));
    faults.hidden = !run.errors.length;
    fill(faults, run.errors, () => errorsOf(run));
    showTabs(section(detail, "tabs", () => el("div", { class: "card" })), run);
  }
  function stats(run, live) {
    const one = (value, what, tone) => el("div", { class: "stat" }, el("b", { class: tone || "" }, value), el("span", {}, what));
    const found = [one(plain(run.counts.ok), `of ${count(run.total, run.unit)} ok`, "good")];
    for (const word of ["failed", "cancelled", "running", "pending"]) {
      if (run.counts[word]) found.push(one(plain(run.counts[word]), word, TONES[word]));
    }
    found.push(one(span(run.elapsed), live ? "so far" : "in all"));
    if (run.eta !== null) found.push(one(span(run.eta), "left, about"));
    if (live && run.rate) found.push(one(`${Number(run.rate.toPrecision(3))} /s`, "lately"));
    if (run.median) found.push(one(span(run.median), `the median ${run.unit}`));
    if (run.slowest) found.push(one(span(run.slowest[1]), `the slowest, ${run.slowest[0]}`));
    if (run.peak) found.push(one(size(run.peak), "memory at most"));
    return found;
  }
  function errorsOf(run) {
    return [el("h2", {}, `${count(run.errors.length, "kind")} of errors`), el("ul", { class: "faults" }, run.errors.map((fault, place) =>
      el("li", {}, el("button", { type: "button", "data-focus": `fault-${place}`, onclick: () => filter("failed", alike(fault)) },
        el("b", {}, `${fault.kind}${fault.count > 1 ? ` ×${plain(fault.count)}` : ""}`), el("span", {}, fault.text),
        el("small", {}, `${fault.items.length === 1 ? run.unit : `${run.unit}s`} ${fault.items.join(", ")}${fault.count > fault.items.length ? " …" : ""}`)))))];
  }
  // Errors that differ in numbers only are one group: what stands before the first number finds them all.
  function alike(fault) { return `${fault.kind}: ${fault.text.split(/\d/)[0]}`.slice(0, 60).replace(/:? +$/, ""); }
  function filter(status, text) {
    shown.tab = "calls"; shown.status = status; shown.text = text; shown.from = 0; shown.rows = null;
    const box = main.querySelector("input[type=search]");
    if (box) box.value = text;
    loadTab().then(() => main.querySelector("[data-part=tabs]").scrollIntoView({ block: "nearest" }));
  }

  // -- tiles ----------------------------------------------------------------------------------

  function showTiles(detail, run) {
    const card = section(detail, "tiles", () => {
      const canvas = el("canvas", { tabindex: "0", role: "img", "data-focus": "tiles",
        onmousemove: (event) => { const tile = tileAt(canvas, event); canvas.style.cursor = tile < 0 ? "" : "pointer"; if (tile < 0) hideTip(); else showTip(event, tileText(canvas, tile)); },
        onmouseleave: hideTip, onclick: (event) => openTile(canvas, tileAt(canvas, event)), onkeydown: (event) => tileKey(canvas, event),
        onblur: () => { canvas._at = -1; drawTiles(canvas); } });
      canvas._at = -1;
      new ResizeObserver(() => drawTiles(canvas)).observe(canvas);
      return el("div", { class: "card" }, el("h2", {}), canvas, el("div", { class: "legend" }));
    });
    const canvas = card.querySelector("canvas");
    if (!shown.run || shown.run.run.key !== run.key) { card.hidden = true; return; }
    card.hidden = false;
    if (canvas._marks === shown.run.marks && canvas._key === run.key) return;
    canvas._key = run.key;
    canvas._marks = shown.run.marks;
    canvas._letters = marksOf(shown.run.marks);
    canvas._unit = run.unit;
    const each = Math.ceil(canvas._letters.length / MOST_TILES);
    canvas._each = Math.max(1, each);
    card.querySelector("h2").textContent = (canvas._each > 1 ? `A tile is ${canvas._each} ${run.unit}s` : `A tile is a ${run.unit}`) + (run.note ? `: ${run.note}` : "");
    canvas.setAttribute("aria-label", `${run.line}. Arrow keys go through the tiles, Enter opens one.`);
    fill(card.querySelector(".legend"), ORDER.filter((word) => run.counts[word]), () => ORDER.filter((word) => run.counts[word]).map((word) =>
      el("span", {}, el("i", { style: { background: `var(--${word})` } }), word)));
    drawTiles(canvas);
  }
  function layout(canvas) {
    const tiles = Math.ceil((canvas._letters || "").length / canvas._each);
    const width = canvas.clientWidth || 600;
    const pitch = tiles <= 60 ? 20 : tiles <= 400 ? 16 : tiles <= 2000 ? 12 : tiles <= 3500 ? 10 : 8;
    const columns = Math.max(1, Math.floor((width + 2) / pitch));
    return { tiles, pitch, columns, rows: Math.ceil(tiles / columns), width };
  }
  function letterOf(canvas, tile) {
    if (canvas._each === 1) return canvas._letters[tile];
    const part = canvas._letters.slice(tile * canvas._each, (tile + 1) * canvas._each);
    for (const letter of WORST) if (part.includes(letter)) return letter;
    return "p";
  }
  function drawTiles(canvas) {
    if (!canvas._letters) return;
    const { tiles, pitch, columns, rows, width } = layout(canvas);
    const scale = devicePixelRatio || 1;
    const height = Math.max(pitch, rows * pitch);
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const colours = {};
    for (const [letter, word] of Object.entries(WORDS)) colours[letter] = colour(word);
    const paper = colour("card");
    const side = pitch - (pitch > 10 ? 3 : 2);
    const round = pitch > 10 ? 2.5 : 1;
    for (let tile = 0; tile < tiles; tile += 1) {
      const letter = letterOf(canvas, tile);
      const x = (tile % columns) * pitch, y = Math.floor(tile / columns) * pitch;
      pen.fillStyle = colours[letter];
      pen.beginPath();
      pen.roundRect(x, y, side, side, letter === "f" ? 0 : round);
      pen.fill();
      if (letter === "f" && pitch > 8) { // also without colours: a hole in the middle
        pen.fillStyle = paper;
        pen.fillRect(x + side / 2 - 1, y + side / 2 - 1, 2, 2);
      } else if (letter === "r" && pitch > 8) {
        pen.fillStyle = paper;
        pen.globalAlpha = 0.5;
        pen.fillRect(x, y + side / 2, side, side / 2);
        pen.globalAlpha = 1;
      }
      if (tile === canvas._at) {
        pen.strokeStyle = colour("ink");
        pen.lineWidth = 2;
        pen.strokeRect(x - 0.5, y - 0.5, side + 1, side + 1);
      }
    }
  }
  function tileAt(canvas, event) {
    const box = canvas.getBoundingClientRect();
    const { tiles, pitch, columns } = layout(canvas);
    const column = Math.floor((event.clientX - box.left) / pitch);
    if (column >= columns) return -1;
    const tile = Math.floor((event.clientY - box.top) / pitch) * columns + column;
    return tile >= 0 && tile < tiles ? tile : -1;
  }
  function tileText(canvas, tile) {
    const first = tile * canvas._each;
    if (canvas._each === 1) {
      const row = FROZEN ? frozenRow(Object.assign(frozenColumns(canvas._key), { letters: canvas._letters }), tile) : shown.rows?.rows.find((one) => one.place === tile);
      const more = row ? [row.arguments, span(row.seconds), row.error].filter(Boolean).join(" · ") : "";
      return `${canvas._unit} ${first}: ${WORDS[canvas._letters[first]]}${more ? ` · ${more}` : ""}`;
    }
    const part = canvas._letters.slice(first, first + canvas._each);
    const counted = [...WORST].map((letter) => [part.split(letter).length - 1, WORDS[letter]]).filter(([number]) => number);
    return `${first} to ${first + part.length - 1}: ${counted.map(([number, word]) => `${number} ${word}`).join(", ")}`;
  }
  function tileKey(canvas, event) {
    const { tiles, columns } = layout(canvas);
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
    if (event.key === "Enter" && canvas._at >= 0) { openTile(canvas, canvas._at); return; }
    if (!(event.key in steps) && event.key !== "Home" && event.key !== "End") return;
    event.preventDefault();
    const next = event.key === "Home" ? 0 : event.key === "End" ? tiles - 1 : canvas._at < 0 ? 0 : canvas._at + steps[event.key];
    canvas._at = Math.max(0, Math.min(tiles - 1, next));
    drawTiles(canvas);
    say(tileText(canvas, canvas._at));
  }
  function openTile(canvas, tile) {
    if (tile < 0) return;
    const first = tile * canvas._each;
    const failed = canvas._letters.slice(first, first + canvas._each).indexOf("f");
    openCall(canvas._key, first + Math.max(0, failed));
  }

  // -- tabs -----------------------------------------------------------------------------------

  const TABS = [["calls", "Calls"], ["timeline", "Timeline"], ["durations", "Durations"], ["graph", "What waits for what"], ["reports", "Reports"]];

  function showTabs(card, run) {
    if (!card._made) {
      card._made = true;
      const tabs = el("div", { class: "tabs", role: "tablist", "aria-label": "Of this run", onkeydown: tabKey }, TABS.map(([id, text]) =>
        el("button", { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": "panel", onclick: () => chooseTab(id) },
          id === "calls" && run.unit === "task" ? "Tasks" : text)));
      card.append(tabs, el("div", { id: "panel", role: "tabpanel", tabindex: "-1" }));
    }
    for (const [id] of TABS) {
      const tab = card.querySelector(`#tab-${id}`);
      tab.setAttribute("aria-selected", String(id === shown.tab));
      tab.tabIndex = id === shown.tab ? 0 : -1;
    }
    const panel = card.querySelector("#panel");
    panel.setAttribute("aria-labelledby", `tab-${shown.tab}`);
    if (panel._tab !== shown.tab) { panel.replaceChildren(); panel._told = null; panel._tab = shown.tab; panel._made = false; }
    ({ calls: showCalls, timeline: showTimeline, durations: showDurations, graph: showGraph, reports: showReports })[shown.tab](panel, run);
  }
  function chooseTab(id) { shown.tab = id; loadTab(); }
  function tabKey(event) {
    const place = TABS.findIndex(([id]) => id === shown.tab);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = TABS[(place + step + TABS.length) % TABS.length][0];
    chooseTab(next);
    document.getElementById(`tab-${next}`).focus();
  }
  async function loadTab() {
    const key = shown.key;
    try {
      if (shown.tab === "calls") {
        const rows = await source.rows(key, { status: shown.status, text: shown.text, from: shown.from });
        if (key === shown.key && !rows.gone) shown.rows = rows;
      } else if (shown.tab === "graph") {
        const graph = await source.graph(key);
        if (key === shown.key && !graph.gone) shown.graph = graph;
      } else if (shown.tab === "reports") {
        const told = await source.reports(key);
        if (key === shown.key && !told.gone) shown.reports = told.reports;
      }
    } catch (error) { trouble(error.message); }
    paint();
  }

  function showCalls(panel, run) {
    if (!panel._made) {
      panel._made = true;
      const box = el("input", { type: "search", placeholder: "Arguments, error, worker", "aria-label": "Only with this text", value: shown.text });
      let soon = 0;
      box.addEventListener("input", () => { clearTimeout(soon); soon = setTimeout(() => { shown.text = box.value; shown.from = 0; loadTab(); }, 200); });
      panel.append(el("div", { class: "filters" }, el("fieldset", { class: "chips" }), box), el("div", { class: "scroll" }), el("div", { class: "pages" }));
    }
    const words = ["", ...ORDER.filter((word) => run.counts[word] || word === shown.status)];
    fill(panel.querySelector(".chips"), [words.map((word) => [word, run.counts[word]]), shown.status, run.total], () => [el("legend", { class: "visually-hidden" }, "Only with this status"), words.map((word) =>
      el("label", {}, el("input", { type: "radio", name: "status", value: word, checked: word === shown.status, "data-focus": `status-${word}`,
        onchange: () => { shown.status = word; shown.from = 0; loadTab(); } }), word ? `${word} ${plain(run.counts[word] || 0)}` : `all ${plain(run.total)}`))]);
    const told = shown.rows;
    fill(panel.querySelector(".scroll"), told, () => !told ? el("p", { class: "quiet" }, "…") : told.rows.length ? tableOf(run, told.rows) : el("p", { class: "quiet" }, `No ${run.unit} is like that.`));
    fill(panel.querySelector(".pages"), told && [told.total, told.is_whole, shown.from], () => told && told.total > PAGE ? [
      el("button", { type: "button", "data-focus": "before", disabled: shown.from === 0, onclick: () => { shown.from = Math.max(0, shown.from - PAGE); loadTab(); } }, "Before"),
      el("span", { class: "number" }, `${plain(shown.from + 1)} to ${plain(Math.min(told.total, shown.from + PAGE))} of ${plain(told.total)}`),
      el("button", { type: "button", "data-focus": "next", disabled: shown.from + PAGE >= told.total, onclick: () => { shown.from += PAGE; loadTab(); } }, "Next"),
      told.is_whole ? null : el("span", {}, "not all were searched")] : told && !told.is_whole ? el("span", {}, "not all were searched") : []);
  }
  function tableOf(run, rows) {
    return el("table", {}, el("thead", {}, el("tr", {}, [["", "#"], ["", "status"], ["", run.unit === "call" ? "arguments" : "task"], ["right", "time"], ["", "worker"], ["", "error"]].map(([kind, text]) =>
      el("th", { class: kind, scope: "col" }, text)))), el("tbody", {}, rows.map((row) =>
      el("tr", { class: "open", onclick: () => openCall(run.key, row.place) },
        el("td", { class: "tight number" }, el("button", { type: "button", class: "link", "data-focus": `row-${row.place}`, "aria-label": `${run.unit} ${row.index}`, onclick: (event) => { event.stopPropagation(); openCall(run.key, row.place); } }, String(row.index))),
        el("td", { class: "tight" }, stateOf(row.status)), el("td", {}, el("span", { class: "mono" }, row.arguments)),
        el("td", { class: "tight right number" }, span(row.seconds)), el("td", { class: "tight" }, row.worker, row.attempt > 1 ? ` (attempt ${row.attempt})` : ""),
        el("td", { class: "bad" }, row.error)))));
  }

  function showTimeline(panel) {
    const lanes = shown.run?.timeline || [];
    fill(panel, lanes, () => {
      if (!lanes.length) return el("p", { class: "quiet" }, "No worker has had a task of it, or the tasks are forgotten.");
      const bars = lanes.flatMap((lane) => lane.bars);
      const first = Math.min(...bars.map((bar) => bar[0]));
      const last = Math.max(...bars.map((bar) => bar[1]), first + 0.001);
      return el("div", { class: "lanes" }, el("p", { class: "visually-hidden" }, `${count(lanes.length, "worker")} in ${span(last - first)}.`),
        lanes.map((lane) => laneOf(lane, first, last)), el("div", { class: "axis" }, el("span", {}, clock(first)), el("span", {}, span(last - first)), el("span", {}, clock(last))));
    });
  }
  function laneOf(lane, first, last) {
    const busy = lane.busy / (last - first);
    const tasks = lane.bars.reduce((sum, bar) => sum + bar[3], 0);
    const canvas = el("canvas", { role: "img", "aria-label": `${count(tasks, "task")}, busy ${Math.round(100 * Math.min(1, busy))} % of the time`,
      onmousemove: (event) => {
        const box = canvas.getBoundingClientRect();
        const at = first + ((event.clientX - box.left) / box.width) * (last - first);
        const near = (last - first) * 0.004;
        const bar = lane.bars.find((one) => one[0] - near <= at && at <= one[1] + near);
        if (bar) showTip(event, `${bar[4]}: ${bar[3] > 1 ? `${bar[3]} tasks, ` : ""}${bar[2]}, ${span(bar[1] - bar[0])} from ${clock(bar[0])}`); else hideTip();
      }, onmouseleave: hideTip });
    const draw = () => {
      const scale = devicePixelRatio || 1, width = canvas.clientWidth;
      if (!width) return;
      canvas.width = width * scale; canvas.height = 18 * scale;
      const pen = canvas.getContext("2d");
      pen.scale(scale, scale);
      pen.fillStyle = colour("shade"); pen.fillRect(0, 0, width, 18);
      for (const [start, end, outcome] of lane.bars) {
        const x = ((start - first) / (last - first)) * width;
        const wide = Math.max(1, ((end - start) / (last - first)) * width - 0.6);
        pen.fillStyle = colour(outcome === "retried" ? "cancelled" : outcome);
        pen.fillRect(x, outcome === "failed" ? 0 : 2, wide, outcome === "failed" ? 18 : 14);
      }
    };
    new ResizeObserver(draw).observe(canvas);
    return el("div", { class: "lane" }, el("span", { class: "name", title: lane.worker }, lane.worker), el("span", { class: "share" }, `${Math.round(100 * Math.min(1, busy))} %`), canvas);
  }

  function showDurations(panel, run) {
    const told = shown.run?.histogram;
    fill(panel, told, () => {
      if (!told || !told.bins.length) return el("p", { class: "quiet" }, "Nothing has ended, or nobody measured it.");
      const most = Math.max(...told.bins), wide = 22, high = 150;
      const edge = (place) => told.from * (told.to / told.from) ** (place / told.bins.length);
      return el("svg", { viewBox: `0 0 ${told.bins.length * wide} ${high + 26}`, role: "img", "aria-label": `Durations from ${span(told.from)} to ${span(told.to)}, median ${span(run.median)}` },
        told.bins.map((number, place) => {
          const tall = number ? Math.max(2, (number / most) * high) : 0;
          return el("rect", { x: place * wide + 1, y: high - tall, width: wide - 2, height: tall, rx: 2, fill: "var(--ok)" }, el("title", {}, `${span(edge(place))} to ${span(edge(place + 1))}: ${plain(number)}`));
        }),
        [0, 0.25, 0.5, 0.75, 1].map((part) => el("text", { class: "soft", x: part * told.bins.length * wide, y: high + 20, "text-anchor": part === 0 ? "start" : part === 1 ? "end" : "middle" }, span(edge(part * told.bins.length)))));
    });
  }

  function showGraph(panel) {
    const told = shown.graph;
    fill(panel, told, () => {
      if (!told) return el("p", { class: "quiet" }, "…");
      if (!told.edges.length) return el("p", { class: "quiet" }, "No call of the session's newest tasks waits for another.");
      return el("div", { class: "scroll" }, drawGraph(told));
    });
  }
  function drawGraph(told) {
    const depth = told.nodes.map(() => 0);
    for (let round = 0; round < told.nodes.length; round += 1) {
      let changed = false;
      for (const [source_, target] of told.edges) {
        if (depth[target] < depth[source_] + 1 && depth[source_] < told.nodes.length) { depth[target] = depth[source_] + 1; changed = true; }
      }
      if (!changed) break;
    }
    const joined = new Set(told.edges.flatMap(([source_, target]) => [source_, target]));
    const wide = 190, high = 50, right = 90, below = 22;
    const columns = [];
    told.nodes.forEach((_, place) => { if (joined.has(place)) (columns[Math.min(depth[place], 40)] ||= []).push(place); });
    const filled = columns.filter(Boolean);
    const tallest = Math.max(...filled.map((column) => column.length));
    const spot = {};
    filled.forEach((column, x) => column.forEach((place, y) => {
      spot[place] = [x * (wide + right), (y + (tallest - column.length) / 2) * (high + below)];
    }));
    const total = [filled.length * (wide + right) - right, tallest * (high + below) - below];
    return el("svg", { viewBox: `-2 -2 ${total[0] + 4} ${total[1] + 4}`, width: total[0] + 4, height: total[1] + 4, role: "img",
      "aria-label": told.edges.map(([source_, target, number]) => `${told.nodes[target].function} needs ${count(number, "result")} of ${told.nodes[source_].function}`).join("; ") },
      told.edges.filter(([source_, target]) => spot[source_] && spot[target]).map(([source_, target, number]) => {
        const [x, y] = spot[source_], [u, v] = spot[target];
        const middle = (x + wide + u) / 2;
        return el("g", {}, el("path", { class: "edge", d: `M${x + wide} ${y + high / 2} C${middle} ${y + high / 2} ${middle} ${v + high / 2} ${u} ${v + high / 2}` }),
          el("text", { class: "soft", x: middle, y: (y + v) / 2 + high / 2 - 5, "text-anchor": "middle" }, plain(number)));
      }),
      Object.entries(spot).map(([place, [x, y]]) => {
        const node = told.nodes[place];
        const total_ = Object.values(node.counts).reduce((sum, number) => sum + number, 0);
        const words = Object.entries(node.counts).map(([word, number]) => `${plain(number)} ${word}`).join(", ") || "data";
        let at = 0;
        return el("g", {}, el("rect", { class: "node", x, y, width: wide, height: high, rx: 8 }),
          el("text", { x: x + 12, y: y + 20 }, short(node.label && node.label !== node.function ? `${node.function} · ${node.label}` : node.function, 24)),
          el("text", { class: "soft", x: x + 12, y: y + 36 }, short(words, 28)),
          ORDER.map((word) => {
            const share = ((node.counts[word] || 0) / Math.max(1, total_)) * (wide - 16);
            const bar = el("rect", { x: x + 8 + at, y: y + high - 6, width: share, height: 3, fill: `var(--${word})` });
            at += share;
            return share ? bar : null;
          }), el("title", {}, `${node.function}: ${words}`));
      }));
  }
  function showReports(panel) {
    const told = shown.reports;
    fill(panel, told, () => {
      if (!told) return el("p", { class: "quiet" }, "…");
      if (!told.length) return el("p", { class: "quiet" }, "Nothing was reported by ctx.report or ctx.progress, or it was read and deleted.");
      return reportsOf(told);
    });
  }
  function reportsOf(reports) {
    return table(["time", "number", "task", "what"], reports.map((one) => [clock(one.at), one.count, el("code", {}, one.task.slice(0, 8)),
      Object.entries(one.fields).map(([key, value]) => el("span", { class: "field" }, el("b", {}, key), ` ${typeof value === "string" ? value : JSON.stringify(value)}`))]));
  }
  function short(text, longest) { return text.length <= longest ? text : `${text.slice(0, longest - 1)}…`; }

  // -- one call, one worker -------------------------------------------------------------------

  function part(title, ...content) { return el("section", {}, el("h2", {}, title), content); }
  function fact(term, value) { return value === null || value === undefined || value === "" ? null : [el("dt", {}, term), el("dd", {}, value)]; }
  function openDrawer(children) {
    hideTip();
    drawer.replaceChildren(el("div", { class: "inside" }, children));
    if (!drawer.open) drawer.showModal();
    drawer.scrollTop = 0;
  }
  function drawerHead(title, ...acts) {
    return el("div", { class: "head" }, el("h1", { id: "drawer-title" }, title), el("div", { class: "acts" }, acts,
      el("button", { type: "button", autofocus: true, onclick: () => drawer.close() }, "Close")));
  }
  async function openCall(key, place) {
    const run = shown.state.runs.find((one) => one.key === key);
    let call;
    try { call = await source.call(key, place); } catch (error) { trouble(error.message); return; }
    if (call.gone) return;
    const ended = !["pending", "running"].includes(call.status);
    openDrawer([
      drawerHead([`${run.function} `, el("span", { class: "quiet number" }, `${run.unit} ${call.index}`)],
        shown.state.may_act && run.may_rerun && ended ? el("button", { type: "button", onclick: async () => { drawer.close(); await act("rerun", { key, place: String(place) }, `Run ${run.unit} ${call.index} again?`); } }, "Run again") : null,
        shown.state.may_act && !ended ? el("button", { type: "button", class: "danger", onclick: async () => { drawer.close(); await act("cancel", { key, place: String(place) }, `Cancel ${run.unit} ${call.index}?`); } }, "Cancel") : null),
      el("dl", { class: "facts" }, fact("status", stateOf(call.status)), fact("time", span(call.seconds)), fact("worker", call.worker), fact("attempt", call.attempt),
        fact("started", call.started ? new Date(call.started * 1000).toLocaleString([], DATE) : ""), fact("partition", call.partition), fact("task", call.task ? el("code", {}, call.task) : ""), fact("result", call.result ? el("code", {}, call.result) : "")),
      call.arguments ? part("Arguments", el("pre", {}, call.arguments)) : null,
      call.traceback ? part("Error", el("pre", { class: "trace", tabindex: "0" }, call.traceback)) : call.error ? part("Error", el("pre", { class: "trace" }, call.error)) : null,
      call.output ? part("Output", el("pre", { tabindex: "0" }, call.output)) : null,
      call.reports && call.reports.length ? part("Reports", reportsOf(call.reports)) : null,
      call.attempts && call.attempts.length ? part("Attempts", historyOf(call.attempts, false)) : null,
      call.before && call.before.length ? part("Before it was run again", historyOf(call.before, true)) : null,
      call.is_short ? el("p", { class: "quiet" }, "A frozen page tells no more of this one.") : null,
    ]);
  }
  function historyOf(tasks, withFunction) {
    return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, [withFunction ? "function" : "attempt", "status", "time", "worker", "error"].map((text) => el("th", { scope: "col" }, text)))),
      el("tbody", {}, tasks.map((task) => el("tr", {}, el("td", {}, withFunction ? [task.function || task.task, task.label ? el("span", { class: "quiet" }, ` · ${task.label}`) : null] : String(task.attempt)),
        el("td", { class: "tight" }, stateOf(task.status)), el("td", { class: "tight number" }, span(task.seconds)), el("td", { class: "tight" }, task.worker),
        el("td", { class: "bad" }, short((task.error || "").trim().split("\n").pop(), 160)))))));
  }
  async function openWorker(worker) {
    let told;
    try { told = await source.worker(worker.partition, worker.host); } catch (error) { trouble(error.message); return; }
    openDrawer([drawerHead([worker.host, el("span", { class: "quiet" }, ` · ${worker.partition}`)]),
      told.tasks.length ? part("Latest tasks", historyOf(told.tasks, true)) : el("p", { class: "quiet" }, "None of the tasks that are known were here.")]);
  }

  // -- workers, cluster -----------------------------------------------------------------------

  function showWorkers(state) {
    const tasks = state.workers.map((worker) => [worker, ago(worker.last_seen || 0, state.at)]);
    fill(main, ["workers", tasks.map(([worker, seen]) => [{ ...worker, last_seen: 0 }, seen]), state.may_act], () => {
      const lost = state.workers.filter((worker) => worker.state === "lost").length;
      if (!state.workers.length) return el("div", { class: "empty" }, el("h1", {}, "No worker has shown itself"), el("p", {}, "A worker does with its first task."));
      return [el("div", { class: "bar" }, el("h1", {}, count(state.workers.length, "worker")), state.may_act && lost ? el("button", { type: "button", "data-focus": "forget-all", onclick: () => act("forget-worker", {}, `Forget ${count(lost, "worker")} that are lost?`) }, "Forget all that are lost") : null),
        el("div", { class: "grid" }, tasks.map(([worker, seen]) => workerCard(worker, seen, state.may_act)))];
    });
  }
  function workerCard(worker, seen, mayAct) {
    const tone = { active: "good", idle: "halted", lost: "bad" }[worker.state];
    const gpus = worker.gpus.length ? worker.gpus.map((gpu) => `${gpu.name}${gpu.memory ? ` ${size(gpu.memory)}` : ""}`).join(", ") : "none";
    const id = `${worker.partition}/${worker.host}`;
    const runs = Object.entries(worker.functions).map(([function_, number]) => (number > 1 ? `${function_} ×${number}` : function_)).join(", ");
    return el("article", { class: `card worker ${worker.state}`, "aria-label": `${worker.host}, ${worker.state}` },
      el("div", { class: "top-line" }, el("h2", {}, worker.host), el("span", { class: `pill ${tone}` }, worker.state)),
      el("div", { class: "three" }, [[worker.running, "running", "busy"], [worker.done, "done", "good"], [worker.failed, "failed", worker.failed ? "bad" : "quiet"]].map(([number, word, kind]) => el("div", {}, el("b", { class: kind }, plain(number)), " ", el("span", {}, word)))),
      el("dl", {}, fact("partition", worker.partition), runs ? fact("runs", runs) : null, fact("hardware", worker.cpus ? `${count(worker.cpus, "CPU")} · ${size(worker.memory || 0)}` : "not said"), worker.cpus ? fact("GPUs", gpus) : null,
        fact("software", worker.python ? `Python ${worker.python} · pymonik ${worker.pymonik}` : "not said"), fact("image", worker.image), fact("connected", worker.connected ? new Date(worker.connected * 1000).toLocaleString([], DATE) : ""), fact("last seen", worker.last_seen ? seen : "never")),
      el("div", { class: "acts" }, el("button", { type: "button", "data-focus": `history-${id}`, onclick: () => openWorker(worker) }, "History"),
        mayAct && worker.state === "lost" ? el("button", { type: "button", "data-focus": `forget-${id}`, onclick: () => act("forget-worker", { partition: worker.partition, host: worker.host }, `Forget ${worker.host}?`) }, "Forget") : null));
  }
  function table(heads, rows) {
    return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))), el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell) => el("td", { class: "number" }, typeof cell === "number" ? plain(cell) : cell)))))));
  }
  function showCluster(state) {
    const sessions = state.sessions.map((one) => {
      const runs = state.runs.filter((run) => run.session === one.session);
      return [one, runs.length, runs.reduce((sum, run) => sum + run.counts.pending + run.counts.running, 0)];
    });
    const old = state.sessions.filter((one) => one.has_ended && !one.name && state.at - one.created > 86400).length;
    fill(main, ["cluster", state.partitions, state.environments, sessions, old, state.may_act], () => el("div", { class: "stack" },
      el("section", { class: "card" }, el("h2", {}, "Partitions"), state.partitions.length ? table(["name", "pods at most", "running", "waiting"], state.partitions.map((one) => [one.name, one.pods_max, one.running, one.pending])) : el("p", { class: "quiet" }, "Not known.")),
      el("section", { class: "card" }, el("h2", {}, "Environments being made, or waited for"), state.environments.length ? table(["environment", "state", "packages", "tasks that wait"], state.environments.map((one) => [el("code", {}, one.name), one.state || "not known here", one.asked.join(", "), one.tasks])) : el("p", { class: "quiet" }, "None.")),
      el("section", { class: "card" }, el("div", { class: "bar" }, el("h2", {}, "Sessions"), state.may_act && old ? el("button", { type: "button", "data-focus": "delete-old", onclick: () => act("delete-session", {}, `Delete ${count(old, "session")} without a name that ended, with their results?`) }, "Delete all that are older than a day") : null),
        sessions.length ? table(["session", "status", "opened", "by", "runs", "not ended", ""], sessions.map(([one, runs, live]) => [[one.name ? el("b", {}, `${one.name} `) : null, el("code", {}, one.session)], one.status, one.created ? new Date(one.created * 1000).toLocaleString([], DATE) : "", one.client, runs, live,
          state.may_act && live ? el("button", { type: "button", class: "danger", "data-focus": `session-${one.session}`, onclick: () => act("cancel-session", { session: one.session }, "Cancel everything in this session?") }, "Cancel") :
            state.may_act && one.has_ended ? el("button", { type: "button", "data-focus": `session-${one.session}`, onclick: () => act("delete-session", { session: one.session }, "Delete this session with its results?") }, "Delete") : ""])) : el("p", { class: "quiet" }, "None."))));
  }

  // -- going on -------------------------------------------------------------------------------

  function trouble(text) {
    const box = document.getElementById("trouble");
    box.textContent = text || "";
    box.hidden = !text;
  }
  function forgetRun() { Object.assign(shown, { run: null, rows: null, graph: null, reports: null, from: 0, status: "", text: "" }); }
  function readAddress() {
    const [, view, key] = location.hash.split("/");
    const wanted = view === "workers" || view === "cluster" ? view : "runs";
    if (wanted !== shown.view) { main.replaceChildren(); main._told = null; shown.view = wanted; }
    if (wanted === "runs" && key && decodeURIComponent(key) !== shown.key) { shown.key = decodeURIComponent(key); forgetRun(); }
    for (const link of document.querySelectorAll(".top nav a")) {
      if (link.dataset.view === wanted) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
    }
  }
  function paint() {
    const state = shown.state;
    if (!state) return;
    document.getElementById("endpoint").textContent = state.endpoint;
    document.getElementById("workers-count").textContent = state.workers.length ? String(state.workers.length) : "";
    const time = document.getElementById("clock");
    time.textContent = FROZEN ? `as of ${new Date(state.at * 1000).toLocaleString([], DATE)}` : clock(state.at);
    time.classList.toggle("live", !FROZEN && !state.trouble);
    ({ runs: showRuns, workers: showWorkers, cluster: showCluster })[shown.view](state);
  }
  function first(runs) { // the largest of those that go on, else the newest
    const live = runs.filter((run) => run.counts.pending + run.counts.running);
    return live.length ? live.reduce((one, other) => (other.total > one.total ? other : one)) : runs[0];
  }
  async function refresh() {
    try {
      const state = await source.state();
      shown.state = state;
      if (shown.view === "runs" && state.runs.length) {
        if (!state.runs.some((run) => run.key === shown.key)) { shown.key = first(state.runs).key; forgetRun(); }
        const key = shown.key;
        const run = await source.run(key);
        if (run.gone) return; // the next state has another one
        if (key === shown.key) shown.run = run;
        if (shown.tab === "calls" && !shown.rows) await loadTab();
        else if (shown.tab === "calls" && !FROZEN) await loadTab();
        else if (shown.tab === "graph" && !shown.graph) await loadTab();
        else if (shown.tab === "reports" && (!FROZEN || !shown.reports)) await loadTab();
      }
      trouble(state.trouble);
      paint();
    } catch (error) {
      document.getElementById("clock").classList.remove("live");
      trouble(error instanceof TypeError ? "The program or command that shows this page has ended, or cannot be reached." : error.message);
    }
  }
  async function follow() {
    if (!document.hidden) await refresh();
    setTimeout(follow, 1000);
  }
  addEventListener("hashchange", () => { readAddress(); refresh(); main.focus({ preventScroll: true }); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !FROZEN) refresh(); });
  drawer.addEventListener("click", (event) => { if (event.target === drawer) drawer.close(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { for (const canvas of document.querySelectorAll("canvas")) if (canvas._letters) drawTiles(canvas); });
  readAddress();
  if (FROZEN) refresh(); else follow();
})();

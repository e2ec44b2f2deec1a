/* The evening's page: selects, moves, follows what others do, and works by mouse, keyboard and touch.
   Every step is a link or a form that works without this, too: here they change parts of the page instead of all of it. */
const POLL_MS = 3000;
const FLASH_SECONDS = 120;
const PIXELS_OF_A_DRAG = 6;
const ROUND_SECONDS = 300;
const PLAN_STEP = 4;
const NUDGE_MS = 600;
const SENDING_MS = 400; // After that the page says that a form is being sent.
const PANEL = ["booking", "to", "table", "zone", "closure", "panel"]; // The parameters that say what the panel shows.
// What is drawn anew stays where the reader has scrolled to.
const SCROLLED = [".evening-scroll", ".plan-scroll", "#evening-line > .evening-waiting:last-of-type", ".evening-where", ".evening-tools"];

const root = document.getElementById("evening");
if (root) start();

function start() {
  const byId = (id) => document.getElementById(id);
  const panel = () => byId("evening-panel");
  const page = document.querySelector(".evening-body") || document.body;
  const folded = new Set(JSON.parse(sessionStorage.getItem("evening-folded") || "[]"));
  let tag = root.dataset.tag;
  let unsent = null; // A form whose answer was lost: sent again as it was, it acts once.
  let isSending = false;
  let sendingTimer = null;
  let drag = null;
  let waitingParts = null;
  let wanted = 0;
  let isTold = false; // The poll says once that it is refused.

  // Parts of the page

  /** ``sender``: the form that was sent. What was typed in its part has been said, and is not kept. */
  function show(html, sender = null) {
    const parts = new DOMParser().parseFromString(html, "text/html").getElementById("evening-parts");
    if (!parts) return false;
    if (drag && drag.moved) {
      waitingParts = html;
      return true;
    }
    // Where forms are sent says what the page shows: a zoom, the open lane, the plan.
    for (const name of ["live", "extend", "reclose"]) if (parts.dataset[name]) root.dataset[name] = parts.dataset[name];
    const places = SCROLLED.map((each) => {
      const box = document.querySelector(each);
      return box && [box.scrollLeft, box.scrollTop];
    });
    const focus = focusKey();
    let isWhole = Boolean(parts.querySelector('[data-part="evening-grid"]'));
    for (const part of parts.querySelectorAll("[data-part]")) {
      const target = byId(part.dataset.part);
      const isKept = target && isTypingIn(target) && !(sender && target.contains(sender));
      if (isKept) isWhole = false;
      if (!target || isKept) continue;
      const open = [...target.querySelectorAll("details[id][open]")].map((each) => each.id);
      target.replaceChildren(...part.childNodes);
      for (const id of open) if (byId(id)) byId(id).open = true;
    }
    // Who adopts the version of what is not on the page would never be told of it.
    if (isWhole) tag = parts.dataset.tag || tag;
    for (const [at, each] of SCROLLED.entries()) {
      const box = document.querySelector(each);
      if (box && places[at]) [box.scrollLeft, box.scrollTop] = places[at];
    }
    if (parts.querySelector('[data-part="evening-panel"]')) noteAddress();
    keepPlacing();
    dress();
    refocus(focus);
    return true;
  }

  /** Has the address say what the panel shows, so that a reload shows the same. */
  function noteAddress() {
    const url = new URL(location.href);
    const box = panel().firstElementChild;
    const booking = selected();
    const hasPreview = panel().querySelector(".evening-preview") && url.searchParams.get("booking") === booking;
    const closure = box && box.dataset.closure;
    if (!box || booking || closure) for (const name of PANEL) if (name !== "to" || !hasPreview) url.searchParams.delete(name);
    if (booking) url.searchParams.set("booking", booking);
    if (closure) url.searchParams.set("closure", closure);
    history.replaceState(null, "", url);
  }

  function isTypingIn(target) {
    const active = document.activeElement;
    return target.contains(active) && active.matches("input:not([type=hidden]), textarea, select");
  }

  /** Whether somebody has filled in something there that is not sent yet. */
  function hasChanges(target) {
    const isTyped = (each) => each.value !== each.defaultValue;
    const first = (list) => Math.max(0, [...list.options].findIndex((each) => each.defaultSelected));
    return (
      [...target.querySelectorAll("input:not([type=hidden]), textarea")].some(isTyped) ||
      [...target.querySelectorAll("select")].some((each) => each.selectedIndex !== first(each))
    );
  }

  function focusKey() {
    const active = document.activeElement;
    if (!active || active === document.body) return null;
    if (active.dataset && active.dataset.focus) return { key: active.dataset.focus };
    const inside = ["evening-panel", "evening-said", "evening-line", "evening-tools"].find((id) => byId(id) && byId(id).contains(active));
    return inside ? { inside, text: active.textContent } : null;
  }

  function refocus(focus) {
    if (!focus || (document.activeElement && document.activeElement !== document.body)) return;
    if (focus.key) {
      const again = root.querySelector(`[data-focus="${CSS.escape(focus.key)}"]`) || sameBooking(focus.key);
      if (again) again.focus({ preventScroll: true });
    } else {
      const place = byId(focus.inside);
      const same = [...place.querySelectorAll("a, button, h2")].find((each) => each.textContent === focus.text);
      (same || byId("evening-panel-title") || root.querySelector(".evening-bar") || page).focus({ preventScroll: true });
    }
  }

  function sameBooking(key) {
    const [kind, booking] = key.split(":");
    return kind === "bar" ? root.querySelector(`.evening-bar[data-booking="${CSS.escape(booking)}"]`) : null;
  }

  /** What the server does not draw: one tab stop, folded zones, the selected bar, and which tables would do. */
  function dress() {
    const box = panel().firstElementChild;
    const selected = box && box.dataset.booking;
    root.classList.toggle("evening-has-panel", Boolean(box));
    const bars = [...root.querySelectorAll(".evening-bar")];
    for (const bar of bars) {
      bar.setAttribute("tabindex", "-1");
      const isClosure = Boolean(box && box.dataset.closure) && bar.dataset.closure === box.dataset.closure;
      bar.classList.toggle("evening-selected", isClosure || (Boolean(selected) && bar.dataset.booking === selected));
    }
    for (const table of root.querySelectorAll("a.evening-table")) table.setAttribute("tabindex", "-1");
    const stop = bars.find((bar) => bar.classList.contains("evening-selected")) || bars[0] || root.querySelector("a.evening-table");
    if (stop) stop.setAttribute("tabindex", "0");
    for (const body of root.querySelectorAll("tbody[data-zone]")) {
      const button = body.querySelector(".evening-fold");
      button.hidden = false;
      body.querySelector(".evening-zone-name").hidden = true;
      const isFolded = folded.has(body.dataset.zone);
      button.setAttribute("aria-expanded", String(!isFolded));
      for (const row of body.querySelectorAll(".evening-row")) row.hidden = isFolded;
    }
    const places = new Map([...panel().querySelectorAll("li[data-ref]")].map((each) => [each.dataset.ref, each]));
    for (const row of root.querySelectorAll(".evening-row")) {
      const place = places.get(row.dataset.table);
      const why = row.querySelector(".evening-why");
      if (place) row.dataset.fit = place.dataset.fit;
      else delete row.dataset.fit;
      why.textContent = place ? place.querySelector(".evening-place-why").textContent : "";
      why.title = why.textContent;
    }
    allow();
    tick();
  }

  // Asking and sending

  /** Throws if there is no answer in time, too: a dead connection does not say that it is dead. */
  async function ask(url, options = {}) {
    const signal = AbortSignal.timeout(Number(root.dataset.patience));
    const answer = await fetch(url, { credentials: "same-origin", cache: "no-store", signal, ...options });
    online(true);
    return answer;
  }

  /** While it is unknown whether a form was carried out, no other is sent. */
  function online(isThere) {
    const isLost = Boolean(unsent) && !isSending;
    const isOff = !isThere || isLost;
    page.classList.toggle("evening-is-offline", isOff);
    byId("evening-offline").hidden = !isOff;
    byId("evening-again").hidden = !isLost;
    allow();
  }

  /** A button that is waited for keeps the focus. */
  function allow() {
    for (const button of document.querySelectorAll("form.evening-form button[type=submit]")) {
      button.disabled = page.classList.contains("evening-is-offline");
      if (isSending) button.setAttribute("aria-disabled", "true");
      else button.removeAttribute("aria-disabled");
    }
  }

  function noteSending(isIt) {
    isSending = isIt;
    clearTimeout(sendingTimer);
    if (isIt) sendingTimer = setTimeout(saySending, SENDING_MS);
    else byId("evening-sending").hidden = true;
    allow();
  }

  function saySending() {
    byId("evening-sending").hidden = false;
  }

  function say(text, level = "error") {
    const box = document.createElement("div");
    const line = document.createElement("p");
    box.className = `evening-message evening-${level}`;
    line.textContent = text;
    box.append(line);
    byId("evening-said").replaceChildren(box);
  }

  /** Says why an answer is not the page's. A form or a part is never redirected, except to where one signs in. */
  function sayFailed(answer) {
    say(answer.redirected ? root.dataset.expired : root.dataset.failed);
  }

  async function load(href, part, { focus = false, keepsMessage = false } = {}) {
    const mine = ++wanted;
    if (!keepsMessage) byId("evening-said").replaceChildren();
    const url = new URL(href, location.href);
    const before = location.href;
    const asked = new URL(url);
    asked.searchParams.set("part", part);
    try {
      const answer = await ask(asked);
      const html = await answer.text();
      if (mine !== wanted) return false;
      if (answer.ok) history.replaceState(null, "", url);
      if (!answer.ok || !show(html)) {
        history.replaceState(null, "", before);
        sayFailed(answer);
        return false;
      }
    } catch {
      online(false);
      return false;
    }
    if (focus && byId("evening-panel-title")) byId("evening-panel-title").focus({ preventScroll: true });
    return true;
  }

  /** Sends a form. Returns false if it was not even tried: another one is under way, or nobody knows what became of it. */
  async function send(url, data, sender = null) {
    if (isSending) saySending();
    if (isSending || (unsent && unsent.data !== data)) return false;
    noteSending(true);
    unsent = { url, data };
    ++wanted;
    try {
      const answer = await ask(url, { method: "POST", body: data, headers: { "X-Evening": "1" } });
      const html = await answer.text();
      unsent = null;
      noteSending(false);
      online(true);
      if (!answer.ok || !show(html, sender)) sayFailed(answer);
    } catch {
      noteSending(false);
      online(false);
    }
    return true;
  }

  async function poll() {
    if (!document.hidden && !isSending) {
      const url = new URL(root.dataset.live, location.href);
      for (const name of ["service", "zoom", "waiting", "view", "at"]) {
        const value = new URL(location.href).searchParams.get(name);
        if (value) url.searchParams.set(name, value);
        else url.searchParams.delete(name);
      }
      const before = wanted;
      url.searchParams.set("part", "live");
      try {
        const answer = await ask(url, { headers: { "If-None-Match": tag } });
        if (answer.status === 304) isTold = false;
        else if (answer.ok && !answer.redirected) {
          isTold = false;
          const html = await answer.text();
          if (before === wanted && !isSending && show(html)) await refreshPanel();
        } else if (!isTold) {
          isTold = true;
          sayFailed(answer);
        }
      } catch {
        online(false);
      }
    }
    setTimeout(poll, POLL_MS);
  }

  async function refreshPanel() {
    const box = panel().firstElementChild;
    const isOfOne = box && ["booking", "closure"].includes(box.dataset.kind);
    if (isOfOne && !isTypingIn(panel()) && !hasChanges(panel())) await load(location.href, "panel", { keepsMessage: true });
  }

  /** Ages what others did from when it was shown: this device's clock may be wrong. */
  function tick() {
    for (const each of root.querySelectorAll("[data-age]")) {
      const now = performance.now() / 1000;
      if (!each.dataset.shown) each.dataset.shown = String(now);
      const seconds = Math.round(Number(each.dataset.age) + now - Number(each.dataset.shown));
      if (seconds < 60) each.textContent = each.dataset.ago.replace("N", String(seconds));
      each.closest("p").hidden = seconds > FLASH_SECONDS;
    }
  }

  // Choosing a table for the selected booking

  const selected = () => panel().firstElementChild && panel().firstElementChild.dataset.booking;

  async function target(ref) {
    const form = panel().querySelector(`form[data-to="${CSS.escape(ref)}"]`);
    if (form) return send(form.action, new FormData(form));
    const link = panel().querySelector(`a[data-to-link="${CSS.escape(ref)}"]`);
    if (link) {
      await load(link.href, "panel");
      const first = panel().querySelector(".evening-preview button");
      if (first) first.focus({ preventScroll: true });
      return undefined;
    }
    const place = panel().querySelector(`li[data-ref="${CSS.escape(ref)}"] .evening-place-why`);
    if (place) say(place.textContent, "warning");
    return undefined;
  }

  function closeMore() {
    if (byId("evening-more")) byId("evening-more").open = false;
  }

  function closePanel() {
    const booking = selected();
    const closure = panel().firstElementChild && panel().firstElementChild.dataset.closure;
    ++wanted;
    panel().replaceChildren();
    const url = new URL(location.href);
    for (const name of PANEL) url.searchParams.delete(name);
    history.replaceState(null, "", url);
    dress();
    const key = booking ? `[data-booking="${CSS.escape(booking)}"]` : `[data-closure="${CSS.escape(closure || "")}"]`;
    const bar = root.querySelector(`.evening-bar${key}`);
    const stop = bar || root.querySelector(".evening-bar");
    if (stop) stop.focus({ preventScroll: true });
  }

  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    // What is chosen from "More", or pressed beside it, closes it: it lies over the panel.
    if (!event.target.closest("#evening-more") || event.target.closest("#evening-more a, #evening-more button")) closeMore();
    const fold = event.target.closest(".evening-fold");
    if (fold) {
      const key = fold.closest("tbody").dataset.zone;
      if (!folded.delete(key)) folded.add(key);
      sessionStorage.setItem("evening-folded", JSON.stringify([...folded]));
      dress();
      return;
    }
    const link = event.target.closest("a");
    const row = event.target.closest(".evening-row");
    const isBar = link && link.classList.contains("evening-bar");
    if (row && selected() && row.dataset.fit && (!link || link.classList.contains("evening-table"))) {
      event.preventDefault();
      target(row.dataset.table);
    } else if (link && link.matches("[data-close]")) {
      event.preventDefault();
      closePanel();
    } else if (link && (link.matches("[data-panel]") || link.classList.contains("evening-table"))) {
      event.preventDefault();
      load(hrefOf(link), "panel", { focus: !isBar });
    } else if (link && link.matches("[data-all]")) {
      event.preventDefault();
      load(hrefOf(link), "all");
    }
  });

  const hrefOf = (link) => link.getAttribute("href");

  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form.evening-form");
    if (!form) return;
    event.preventDefault();
    if (!page.classList.contains("evening-is-offline")) send(form.action, new FormData(form), form);
  });

  byId("evening-again").addEventListener("click", () => unsent && send(unsent.url, unsent.data));

  // Keyboard

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const active = document.activeElement;
    const isTyping = active && active.matches("input, textarea, select");
    if (event.key === "Escape" && byId("evening-more").open) {
      event.preventDefault();
      closeMore();
      byId("evening-more").querySelector("summary").focus();
      return;
    }
    const isHere = active && (root.contains(active) || active === document.body);
    if (!isHere) return;
    if (event.key === "Escape") {
      if (active.classList.contains("evening-table") && selected()) {
        event.preventDefault();
        (root.querySelector(".evening-bar.evening-selected") || active).focus();
      } else if (panel().firstElementChild) {
        event.preventDefault();
        closePanel();
      }
      return;
    }
    if (isTyping) return;
    if (event.key.startsWith("Arrow") && go(active, event.key)) {
      event.preventDefault();
      return;
    }
    if (event.key === "?") {
      byId("evening-more").open = true;
      byId("evening-keys").scrollIntoView({ block: "nearest" });
    } else if (event.key === "w") {
      const link = document.querySelector('[data-shortcut="w"]');
      if (link) load(link.href, "panel", { focus: true }).then(() => byId("evening-party") && byId("evening-party").select());
    } else if (event.key === "/") {
      const link = document.querySelector('[data-shortcut="/"]');
      if (link) location.assign(link.href);
    } else if (event.key === "m" && selected()) {
      const rows = [...root.querySelectorAll(".evening-row:not([hidden])")];
      const row = rows.find((each) => ["fits", "joined"].includes(each.dataset.fit)) || rows[0];
      if (row) row.querySelector("a.evening-table").focus();
    } else {
      const key = `button[data-key="${CSS.escape(event.key)}"]`;
      // What was just done comes first: to undo means that.
      const button = byId("evening-said").querySelector(key) || panel().querySelector(key);
      if (!button || button.disabled) return;
      button.form.requestSubmit(button);
    }
    event.preventDefault();
  });

  function go(active, key) {
    const row = active.closest(".evening-row");
    if (!row) return false;
    if (plan()) return plan().dataset.place ? nudge(row, key) : goOnPlan(active, row, key);
    const rows = [...root.querySelectorAll(".evening-row:not([hidden])")];
    if (active.classList.contains("evening-table")) {
      if (key === "ArrowRight") return focusBar(row.querySelector(".evening-bar"));
      const next = rows[rows.indexOf(row) + (key === "ArrowDown" ? 1 : key === "ArrowUp" ? -1 : 0)];
      if (next && next !== row) next.querySelector("a.evening-table").focus();
      return true;
    }
    const inRow = [...row.querySelectorAll(".evening-bar")];
    const at = inRow.indexOf(active);
    if (at < 0) return false;
    if (key === "ArrowRight") return focusBar(inRow[at + 1]);
    if (key === "ArrowLeft") return at ? focusBar(inRow[at - 1]) : (row.querySelector("a.evening-table").focus(), true);
    const step = key === "ArrowDown" ? 1 : -1;
    const x = active.getBoundingClientRect().left;
    for (let place = rows.indexOf(row) + step; rows[place]; place += step) {
      const bars = [...rows[place].querySelectorAll(".evening-bar")];
      if (bars.length) {
        const distance = (bar) => Math.abs(bar.getBoundingClientRect().left - x);
        return focusBar(bars.reduce((best, bar) => (distance(bar) < distance(best) ? bar : best)));
      }
    }
    return true;
  }

  // The floor plan: the next table in a direction, and where tables stand

  const plan = () => root.querySelector(".evening-plan");
  const SIDE = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  function goOnPlan(active, row, key) {
    const [dx, dy] = SIDE[key];
    const place = (each) => [Number(each.dataset.x), Number(each.dataset.y)];
    const [x, y] = place(row);
    let best = null;
    let least = Infinity;
    for (const other of root.querySelectorAll(".plan-row")) {
      const [left, top] = place(other);
      const ahead = (left - x) * dx + (top - y) * dy;
      const beside = Math.abs((left - x) * dy) + Math.abs((top - y) * dx);
      if (ahead > 0 && ahead + 3 * beside < least) [best, least] = [other, ahead + 3 * beside];
    }
    if (!best) return true;
    const isChoosing = active.classList.contains("evening-table") && selected();
    const next = (!isChoosing && best.querySelector(".evening-bar")) || best.querySelector(".evening-table");
    for (const each of root.querySelectorAll('.evening-plan [tabindex="0"]')) each.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
    next.scrollIntoView({ block: "nearest", inline: "nearest" });
    return true;
  }

  const placing = new Map(); // By table: its row, and the timer after which it is said where the table stands.

  function nudge(row, key) {
    const [dx, dy] = SIDE[key];
    shift(row, dx * PLAN_STEP, dy * PLAN_STEP);
    placeSoon(row);
    return true;
  }

  function placeSoon(row) {
    const ref = row.dataset.table;
    clearTimeout(placing.has(ref) ? placing.get(ref).timer : null);
    const timer = setTimeout(() => {
      const latest = placing.get(ref).row;
      placing.delete(ref);
      place(latest);
    }, NUDGE_MS);
    placing.set(ref, { row, timer });
  }

  /** Tables that were moved, and not yet said to be, stay where they were moved when the plan is drawn anew. */
  function keepPlacing() {
    for (const [ref, each] of placing) {
      const row = root.querySelector(`.plan-row[data-table="${CSS.escape(ref)}"]`);
      if (!row || row === each.row) continue;
      const by = (name) => Number(each.row.dataset[name]) + Number(each.row.dataset[`d${name}`] || 0) - Number(row.dataset[name]);
      shift(row, by("x"), by("y"));
      each.row = row;
    }
  }

  function shift(row, dx, dy) {
    row.dataset.dx = Number(row.dataset.dx || 0) + dx;
    row.dataset.dy = Number(row.dataset.dy || 0) + dy;
    row.setAttribute("transform", `translate(${row.dataset.dx} ${row.dataset.dy})`);
  }

  /** Puts a table back to where it is known to stand. */
  function unshift(row) {
    delete row.dataset.dx;
    delete row.dataset.dy;
    row.removeAttribute("transform");
  }

  /** Says where a table stands by now: soon, if another form is under way. */
  async function place(row) {
    if (isSending) return placeSoon(row);
    const token = document.querySelector("input[name=csrfmiddlewaretoken]");
    if (!token || !plan() || !plan().dataset.place) return undefined;
    const at = (name, most) => {
      const value = Number(row.dataset[name]) + Number(row.dataset[`d${name}`] || 0);
      return String(Math.min(most, Math.max(0, Math.round(value / PLAN_STEP) * PLAN_STEP)));
    };
    const data = new FormData();
    data.set("csrfmiddlewaretoken", token.value);
    data.set("form", newId());
    data.set("tables", row.dataset.table);
    data.set("seen", row.dataset.seen || "");
    data.set("x", at("x", Number(plan().dataset.mostX)));
    data.set("y", at("y", Number(plan().dataset.mostY)));
    if (!(await send(plan().dataset.place, data))) unshift(row);
    return undefined;
  }

  function focusBar(bar) {
    if (bar) {
      for (const each of root.querySelectorAll('.evening-bar[tabindex="0"]')) each.setAttribute("tabindex", "-1");
      bar.setAttribute("tabindex", "0");
      bar.focus();
      bar.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    return true;
  }

  // Dragging, with a mouse or a pen: a bar to another table, or its end to another time; a closure's end, or its start
  // while that is to come. Fingers scroll, and tap.

  root.addEventListener("dragstart", (event) => event.preventDefault());
  root.addEventListener("pointerdown", (event) => {
    const isGrip = event.target.classList.contains("evening-grip");
    const isStart = event.target.classList.contains("evening-grip-start");
    const what = isGrip ? ".evening-bar" : ".evening-bar[data-booking]";
    const bar = event.target.closest && event.target.closest(what);
    const table = plan() && plan().dataset.place && event.target.closest(".plan-row");
    if (table && !event.button) {
      drag = { bar: table, table, x: event.clientX, y: event.clientY, moved: false, loaded: Promise.resolve() };
      return;
    }
    if (!bar || event.button || event.pointerType === "touch") return;
    drag = { bar, x: event.clientX, y: event.clientY, isEnd: isGrip, isStart, moved: false };
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const far = Math.hypot(event.clientX - drag.x, event.clientY - drag.y);
    if (!drag.moved && far > PIXELS_OF_A_DRAG) {
      drag.moved = true;
      document.body.classList.add("evening-dragging");
      if (drag.bar.dataset.closure) drag.loaded = Promise.resolve();
      else if (!drag.table) drag.loaded = load(hrefOf(drag.bar), "panel", {}).then(() => true);
    }
    if (!drag.moved) return;
    if (drag.isEnd) {
      const box = drag.bar.querySelector(".timeline-box");
      const width = drag.width || (drag.width = Number(box.getAttribute("width")));
      const left = drag.left || (drag.left = Number(box.getAttribute("x")));
      const by = event.clientX - drag.x;
      if (drag.isStart) box.setAttribute("x", Math.min(left + width - 10, left + by));
      box.setAttribute("width", Math.max(10, drag.isStart ? width - by : width + by));
      return;
    }
    drag.bar.setAttribute("transform", `translate(${plan() ? event.clientX - drag.x : 0} ${event.clientY - drag.y})`);
    if (drag.table) return;
    for (const row of root.querySelectorAll(".evening-over")) row.classList.remove("evening-over");
    const row = rowAt(event);
    if (row) row.classList.add("evening-over");
  });
  document.addEventListener("pointerup", (event) => endDrag(event));
  document.addEventListener("pointercancel", () => endDrag(null));

  function rowAt(event) {
    return [...root.querySelectorAll(".evening-row:not([hidden])")].find((row) => {
      const box = row.getBoundingClientRect();
      const isBeside = plan() && (event.clientX < box.left || event.clientX >= box.right);
      return !isBeside && box.top <= event.clientY && event.clientY < box.bottom;
    });
  }

  /** The end of a drag is no click. */
  function swallowClick() {
    window.addEventListener("click", (click) => (click.preventDefault(), click.stopPropagation()), { capture: true, once: true });
    setTimeout(() => window.dispatchEvent(new Event("click")), 0);
  }

  async function endDrag(event) {
    const done = drag;
    drag = null;
    if (!done || !done.moved) return;
    document.body.classList.remove("evening-dragging");
    for (const row of root.querySelectorAll(".evening-over")) row.classList.remove("evening-over");
    if (done.table && event) {
      shift(done.table, event.clientX - done.x, event.clientY - done.y);
      swallowClick();
      await place(done.table);
      return;
    }
    done.bar.removeAttribute("transform");
    if (done.width) {
      done.bar.querySelector(".timeline-box").setAttribute("width", done.width);
      done.bar.querySelector(".timeline-box").setAttribute("x", done.left);
    }
    swallowClick();
    const row = event && rowAt(event);
    const own = done.bar.closest(".evening-row");
    await done.loaded;
    if (waitingParts) {
      const html = waitingParts;
      waitingParts = null;
      show(html);
    }
    if (!event) return;
    if (done.bar.dataset.closure) return void (await recloseTo(done, event));
    // What follows is sent from the panel: it has to be this booking's.
    const isShown = () => selected() === done.bar.dataset.booking;
    if (!isShown()) await load(hrefOf(done.bar), "panel");
    if (!isShown()) return;
    if (done.isEnd) await extendTo(done, event);
    else if (row && own && row.dataset.table !== own.dataset.table) await target(row.dataset.table);
  }

  async function extendTo(done, event) {
    const box = panel().firstElementChild;
    if (!box || box.dataset.booking !== done.bar.dataset.booking) return;
    const url = new URL(root.dataset.extend, location.href);
    url.searchParams.set("booking", box.dataset.booking);
    await sendTimes(url, { version: box.dataset.version, until: dragged(done, event, done.bar.dataset.ends) });
  }

  async function recloseTo(done, event) {
    const { closure, version, starts, ends } = done.bar.dataset;
    const url = new URL(root.dataset.reclose, location.href);
    url.searchParams.set("closure", closure);
    const times = done.isStart ? { starts_at: dragged(done, event, starts) } : { ends_at: dragged(done, event, ends) };
    await sendTimes(url, { closure, closure_version: version, ...times });
  }

  /** The seconds since 1970 to which a moment was dragged. */
  function dragged(done, event, from) {
    const scale = Number(root.querySelector("[data-scale]").dataset.scale);
    const seconds = ((event.clientX - done.x) / scale) * 60;
    return String(Math.round((Number(from) + seconds) / ROUND_SECONDS) * ROUND_SECONDS);
  }

  async function sendTimes(url, values) {
    const token = document.querySelector("input[name=csrfmiddlewaretoken]");
    if (!token) return;
    const data = new FormData();
    data.set("csrfmiddlewaretoken", token.value);
    data.set("form", newId());
    for (const [name, value] of Object.entries(values)) data.set(name, value);
    await send(url, data);
  }

  function newId() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  // Begin

  const scroll = document.querySelector(".evening-scroll");
  if (scroll) {
    const name = scroll.querySelector(".timeline-name");
    const room = scroll.clientWidth - (name ? name.offsetWidth : 0);
    if (Number(scroll.dataset.scrollTo) > room / 2) scroll.scrollLeft = Number(scroll.dataset.scrollTo) - room / 4;
  }
  dress();
  setInterval(tick, 1000);
  setTimeout(poll, POLL_MS);
  window.addEventListener("offline", () => online(false));
  root.dataset.ready = "1";
}

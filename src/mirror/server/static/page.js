// The page is whole without this: it adds copy buttons, a clock for what is running, and live updates.
"use strict";

const LONGEST_LOG = 5000;
const announce = (text) => { document.getElementById("announcement").textContent = text; };

function elapsed(since) {
  const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(since)) / 1000));
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 600) return `for ${seconds} s`;
  if (seconds < 3600) return `for ${Math.floor(seconds / 60)} min`;
  return `for ${Math.floor(seconds / 3600)} h ${Math.floor(seconds % 3600 / 60)} min`;
}

function tick() {
  for (const time of document.querySelectorAll("time[data-since]")) {
    const text = elapsed(time.dateTime);
    if (text && time.textContent !== text) time.textContent = text;
  }
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  let done = false;
  try {
    await navigator.clipboard.writeText(source.textContent);
    done = true;
  } catch {  // only https and this machine have that clipboard
    const range = document.createRange();
    range.selectNodeContents(source);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    done = document.execCommand("copy");
  }
  button.textContent = done ? "Copied" : "Selected: press Ctrl-C";
  announce(button.textContent);
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

function say(text) {
  const live = document.getElementById("live");
  if (!live) return;
  live.hidden = !text;
  live.textContent = text;
}

// A stream while this page is looked at; where the server has none free, a question now and then.
function watch(address, name, take, ask) {
  let source = null, timer = null;
  function open() {
    clearTimeout(timer);
    source = new EventSource(address());
    source.addEventListener("open", () => say("live"));
    source.addEventListener(name, (event) => { if (take(JSON.parse(event.data))) stop(); });
    source.addEventListener("error", () => {
      close();
      ask().then((over) => over ? stop() : later(), later);
    });
  }
  function later() { say("every 5 seconds"); timer = setTimeout(open, 5000); }
  function close() { if (source) source.close(); source = null; }
  function seen() { clearTimeout(timer); close(); if (!document.hidden) open(); }
  function stop() { clearTimeout(timer); close(); document.removeEventListener("visibilitychange", seen); say(""); }
  document.addEventListener("visibilitychange", seen);
  if (!document.hidden) open();
}

function follow(region) {
  const titles = () => [...region.querySelectorAll("h3")].map((title) => title.textContent.trim()).join(", ");
  let before = titles();
  function show(html) {
    const focused = region.contains(document.activeElement) ? document.activeElement.id : "";
    region.innerHTML = html;  // made and escaped by the same template as the page
    for (const tail of region.querySelectorAll(".tail")) tail.scrollTop = tail.scrollHeight;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    tick();
    const now = titles();
    if (now !== before) announce(now ? `Building now: ${now}` : "Nothing is being compiled");
    before = now;
  }
  async function ask() {
    const answer = await fetch(region.dataset.poll);
    if (answer.ok) show((await answer.json()).html);
    return false;
  }
  for (const tail of region.querySelectorAll(".tail")) tail.scrollTop = tail.scrollHeight;
  watch(() => region.dataset.live, "now", (html) => { show(html); return false; }, ask);
}

function followLog(log) {
  let from = Number(log.dataset.from);
  function take(piece) {
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 40;
    for (const text of piece.lines) {
      const line = document.createElement("span");
      line.className = "line";
      line.textContent = text;
      log.append(line);
    }
    while (log.childElementCount > LONGEST_LOG) log.firstElementChild.remove();
    from = piece.next;
    if (atEnd) log.scrollTop = log.scrollHeight;
    if (piece.over) { announce("The compile has ended"); location.reload(); }
    return piece.over;
  }
  async function ask() {
    const answer = await fetch(`${log.dataset.poll}?from=${from}`);
    return answer.ok ? take(await answer.json()) : false;
  }
  log.scrollTop = log.scrollHeight;
  watch(() => `${log.dataset.live}?from=${from}`, "lines", take, ask);
}

for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}
tick();
setInterval(tick, 1000);
const region = document.querySelector("#now[data-live]");
if (region) follow(region);
const log = document.querySelector("#log[data-live]");
if (log) followLog(log);

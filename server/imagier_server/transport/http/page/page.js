// SPDX-License-Identifier: Apache-2.0
// The page: takes a picture, has it read, shows the answer. Holds the only state; the other modules draw it.
import { annotate, Cancelled, catalog, Failure, grpcAddress, keepKey, key } from "./annotate.js";
import * as calls from "./calls.js";
import { byId } from "./elements.js";
import * as options from "./options.js";
import * as overlay from "./overlay.js";
import * as picture from "./picture.js";
import * as results from "./results.js";
import * as troubles from "./troubles.js";
import * as words from "./words.js";

const PATIENCE_MS = 2000; // between questions to a server that does not answer

const state = {
  catalog: null,
  grpc: null,
  file: null,
  previewed: false,
  request: null, // of the answer shown
  answer: null,
  wall: 0,
  trouble: null, // arguments of troubles.show
  working: null, // AbortController
  waiting: false, // a picture, for the catalogue
  asking: false, // for the catalogue
  lost: false,
};

async function take(file) {
  if (!file) return fail("offline", { act: () => location.reload() });
  state.working?.abort();
  state.file = file;
  state.answer = state.request = null;
  document.body.dataset.state = "chosen";
  overlay.clear(byId("overlay"));
  byId("results").hidden = byId("calls").hidden = byId("switch").hidden = true;
  byId("picture").hidden = byId("bar").hidden = false;
  if (byId("drop").contains(document.activeElement)) byId("again").focus();
  byId("drop").hidden = true;
  state.previewed = await picture.preview(file);
  if (state.file !== file) return undefined;
  describe();
  return read();
}

async function read() {
  const { file } = state;
  const limit = Number(state.catalog?.limits?.imageBytes ?? Infinity);
  state.working?.abort();
  if (!file) return;
  if (!state.catalog) {
    state.waiting = true; // until there is a catalogue
    return reconnect();
  }
  const request = options.request();
  if (file.size > limit) return fail("too_large", { facts: { size: words.size(file.size), limit: words.size(limit) } });
  if (!request) return void (byId("options").open = true);
  const working = new AbortController();
  state.working = working;
  trouble(null);
  busy(true);
  const began = performance.now();
  try {
    const answer = await annotate(file, request, { signal: working.signal, onSent });
    byId("server").textContent = "";
    Object.assign(state, { answer, request, wall: (performance.now() - began) / 1000, working: null });
    busy(false);
    if (!document.body.dataset.answered) byId("options").open = false;
    document.body.dataset.answered = "yes";
    render();
    announce(words.say("work.done", { what: results.summary(answer) }));
  } catch (error) {
    if (state.working === working) {
      state.working = null;
      busy(false);
    }
    if (error instanceof Cancelled) return;
    if (!(error instanceof Failure)) throw error;
    refuse(error);
  }
}

function refuse(failure) {
  const kind = troubles.kindOf(failure);
  const facts = { formats: formats(), size: words.size(state.file.size), limit: words.size(Number(state.catalog.limits.imageBytes)) };
  const detail = ["invalid", "not_picture", "forbidden", "used_up"].includes(kind) ? failure.message : "";
  if (kind === "too_large" && state.file.size <= Number(state.catalog.limits.imageBytes)) delete facts.size; // too many pixels
  if (kind === "key") return askForKey(read);
  fail(kind, { facts, detail, retryAfter: failure.retryAfter, act: read });
  if (kind === "offline") reconnect();
}

function fail(kind, given = {}) {
  if (kind === "not_picture" && !state.previewed) {
    state.file = null; // nothing to look at, nothing to try again
    byId("picture").hidden = true;
    byId("drop").hidden = false;
  }
  byId("bar").hidden = !state.file;
  document.body.dataset.state = state.answer ? "answered" : "failed";
  trouble([kind, given]);
}

function trouble(given) {
  state.trouble = given;
  if (given) troubles.show(...given);
  else troubles.clear();
}

function busy(working) {
  const focused = document.activeElement;
  document.body.dataset.state = working ? "working" : state.answer ? "answered" : "chosen";
  byId("work").hidden = byId("scan").hidden = !working;
  byId("bar").hidden = working || !state.file;
  // What is hidden loses the focus: a keyboard goes on at what takes its place.
  if (focused && focused !== document.body && !focused.checkVisibility()) byId(working ? "cancel" : "again").focus({ preventScroll: true });
  if (working) onSent(0);
}

function onSent(share) {
  const progress = byId("progress");
  if (share < 1) progress.value = share;
  else progress.removeAttribute("value"); // how long reading takes, nobody knows
  const text = words.say(share < 1 ? "work.uploading" : "work.reading");
  if (byId("work-text").textContent !== text) {
    byId("work-text").textContent = text;
    announce(text);
  }
}

function cancel() {
  state.working?.abort();
  announce(words.say("work.cancelled"));
  byId("again").focus();
}

/** Draws the answer, in the present language. */
function render() {
  const { answer, file, request } = state;
  if (!answer) return;
  if (!state.previewed) picture.shape(answer.width, answer.height);
  let marks = null;
  const onLine = (index) => {
    marks.highlight(index);
    results.pointOut(index);
  };
  marks = overlay.draw(byId("overlay"), answer, onLine);
  results.show(answer, state.wall, onLine, () => {
    options.tick("caption", "include_guesses");
    byId("again").focus({ preventScroll: true }); // the button goes with the answer
    read();
  });
  byId("switch").hidden = !answer.ocr?.lines?.length;
  calls.show(request, file.name || "picture.jpg", state.grpc, answer);
  describe();
}

/** What the picture is, beneath it. */
function describe() {
  const { answer, file, previewed } = state;
  const name = file.name || words.say("picture.pasted");
  const shape = answer
    ? [answer.width, answer.height]
    : previewed ? [byId("shown").naturalWidth, byId("shown").naturalHeight] : null;
  const parts = [name, words.size(file.size)];
  if (shape) parts.push(words.say("picture.size", { width: words.number(shape[0]), height: words.number(shape[1]) }));
  byId("about").textContent = parts.join(" · ");
  byId("shown").alt = words.say("picture.alt", { name });
  byId("blank").dataset.note = words.say(answer ? "picture.blank" : "picture.no.preview");
  byId("picture").dataset.blank = String(!previewed);
}

const announce = (text) => (byId("status").textContent = text);

const formats = () => words.list(state.catalog.formats.map((type) => {
  const name = type.split("/")[1];
  return { bmp: "BMP", webp: "WebP", jp2: "JPEG 2000" }[name] ?? name.toUpperCase();
}));

/** Sets every word of the page; what was chosen and read stays. */
function speak(language) {
  words.speak(language);
  byId("language").lang = words.other();
  keyChanged();
  if (state.catalog) {
    byId("limits").textContent = words.say("drop.limits", { formats: formats(), size: words.size(Number(state.catalog.limits.imageBytes)) });
    options.build(state.catalog, () => {});
  }
  if (state.lost) byId("server").textContent = words.say("server.lost");
  if (state.file) describe();
  render();
  if (state.trouble) troubles.show(...state.trouble);
}

function keyChanged() {
  byId("key-summary").textContent = words.say(key() ? "key.set" : "key.open");
}

/** Asks for the catalogue until the server answers; then reads the picture that waits for it. */
async function reconnect() {
  if (state.asking) return;
  state.asking = true;
  while (!(await connected())) await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
  state.asking = false;
}

/** Whether there is no need to ask again. */
async function connected() {
  try {
    state.catalog = await catalog();
  } catch (failure) {
    if (troubles.kindOf(failure) === "key") {
      askForKey(reconnect);
      return true;
    }
    state.lost = true;
    byId("server").textContent = words.say("server.lost");
    return false;
  }
  state.grpc ??= await grpcAddress();
  byId("server").textContent = state.lost ? words.say("server.back") : "";
  state.lost = false;
  if (!state.file) trouble(null);
  speak(words.current());
  if (state.waiting) {
    state.waiting = false;
    read();
  }
  return true;
}

function askForKey(act) {
  fail("key", { act });
  byId("key-panel").open = true;
  byId("key").focus();
}

words.speak(words.firstLanguage());
speak(words.current());
picture.listen(take, () => fail("not_file"));
picture.showExamples(take);
byId("again").addEventListener("click", read);
byId("cancel").addEventListener("click", cancel);
byId("boxes").addEventListener("change", ({ target }) => byId("overlay").classList.toggle("off", !target.checked));
byId("another").addEventListener("click", () => byId("file").click());
byId("language").addEventListener("click", () => {
  words.remember(words.other());
  speak(words.other());
});
byId("key").value = key();
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  byId("key-panel").open = false;
  byId("key-summary").focus();
  if (state.trouble?.[0] === "key") state.trouble[1].act();
});
byId("key").addEventListener("input", ({ target }) => {
  keepKey(target.value.trim());
  keyChanged();
  if (state.answer) render();
});
new ResizeObserver(() => state.answer && overlay.fit(byId("overlay"), state.answer.width)).observe(byId("overlay"));
if (matchMedia("(min-width: 60rem)").matches) byId("options").open = true;
reconnect();

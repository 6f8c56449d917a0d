// SPDX-License-Identifier: Apache-2.0
// Shows an answer: caption, tags as chips, lines of text, time and cost.
import { byId, copy, el } from "./elements.js";
import * as words from "./words.js";

const UNIMPLEMENTED = 12;

/**
 * Shows the answer. `wall` is the time of the whole call here, in seconds; `onLine(index | null)` follows the pointer, `guess()` asks
 * for the captions that were left out.
 */
export function show(answer, wall, onLine, guess) {
  const cards = [
    answer.caption && card("caption", answer.caption, (result) => caption(result, guess)),
    answer.tags && card("tags", answer.tags, tags),
    answer.ocr && card("ocr", answer.ocr, (result) => text(result, onLine)),
    time(answer, wall),
  ];
  byId("results").replaceChildren(...cards.filter(Boolean));
  byId("results").hidden = false;
}

/** Points out one line in the list of lines; null for none. */
export function pointOut(index) {
  byId("results").querySelectorAll(".lines li").forEach((line, i) => line.classList.toggle("on", i === index));
}

/** What there is, in a few words: "3 tags, 1 caption and 12 lines of text". */
export function summary({ tags: tagged, caption: captioned, ocr }) {
  return words.list([
    tagged && words.count("count.tags", tagged.tags?.length ?? 0),
    captioned && words.count("count.captions", captioned.captions?.length ?? 0),
    ocr && words.count("count.lines", ocr.lines?.length ?? 0),
  ].filter(Boolean));
}

function card(task, result, body) {
  const failed = result.status?.code;
  const children = failed ? [failure(result.status)] : [body(result), ...languages(result), ...terms(result)];
  return el("section", { className: `card result ${task}`, dataset: { task } },
    el("h2", {}, words.say(`task.${task}`)), ...children.filter(Boolean).flat());
}

function failure({ code, message = "" }) {
  const why = code === UNIMPLEMENTED ? words.say("task.not.ready") : null;
  return el("p", { className: "failed" },
    ...(why ? [words.say("task.failed", { text: why })] : [words.say("task.failed", { text: "" }), el("span", { lang: "en" }, message)]));
}

function caption({ captions = [], title, guessesLeftOut = 0 }, guess) {
  if (!captions.length && !guessesLeftOut) return el("p", { className: "none" }, words.say("caption.none"));
  if (!captions.length) {
    const button = el("button", { id: "guess", className: "quiet", type: "button", onclick: guess }, words.count("caption.show", guessesLeftOut));
    return [el("p", { className: "none" }, words.count("caption.left.out", guessesLeftOut)), el("p", { className: "after" }, button)];
  }
  const [first, ...others] = captions.map(({ text: sentence, language, score, guess }) => el("span", {},
    el("span", { className: "sentence", lang: language }, sentence),
    " ", el("span", { className: "score" },
      score ? words.say("caption.sure", { percent: words.percent(score) }) : "", guess ? ` · ${words.say("caption.guess")}` : "")));
  return [
    el("blockquote", {}, first),
    others.length ? el("ul", { className: "others" }, ...others.map((other) => el("li", {}, other))) : null,
    title ? el("p", { className: "note" }, words.say("caption.title", { title })) : null,
  ].filter(Boolean);
}

function tags({ tags: found = [] }) {
  if (!found.length) return el("p", { className: "none" }, words.say("tags.none"));
  return el("ul", { className: "chips" }, ...found.map(tag));
}

function tag({ names, score = 0 }) {
  const own = words.current() in names ? words.current() : Object.keys(names)[0];
  const others = Object.keys(names).filter((language) => language !== own && names[language] !== names[own]).sort();
  const chip = el("li", { className: "chip tag" },
    el("span", { className: "tag-name", lang: own }, names[own]),
    el("span", { className: "score", title: words.say("tags.score", { percent: words.percent(score) }) }, words.percent(score)),
    ...others.map((language) => el("span", { className: "tag-other", lang: language }, names[language])));
  chip.style.setProperty("--score", score);
  return chip;
}

function text({ lines = [], text: whole }, onLine) {
  if (!lines.length) return el("p", { className: "none" }, words.say("ocr.none"));
  const list = el("ol", { className: "lines", tabIndex: 0, "aria-label": words.say("task.ocr") }, ...lines.map((line, index) => {
    const row = el("li", {}, el("span", { className: "words" }, line.text),
      el("span", { className: "score", title: words.say("ocr.confidence", { percent: words.percent(line.confidence ?? 0) }) },
        words.percent(line.confidence ?? 0)));
    row.addEventListener("pointerenter", () => onLine(index));
    row.addEventListener("pointerleave", () => onLine(null));
    return row;
  }));
  const button = el("button", { className: "quiet copy", type: "button" }, words.say("ocr.copy"));
  button.addEventListener("click", async () => {
    if (await copy(whole ?? "", list)) button.textContent = words.say("call.copied");
  });
  return [list, el("p", { className: "after" }, button, el("span", { className: "note" }, words.say("ocr.select")))];
}

function languages({ unknownLanguages = [] }) {
  if (!unknownLanguages.length) return [];
  const names = words.list(unknownLanguages.map(words.nameOf));
  return [el("p", { className: "note" }, words.say("unknown.languages", { languages: names }))];
}

function terms({ models = [] }) {
  return models.filter((model) => model.researchOnly)
    .map(({ version }) => el("p", { className: "note" }, words.say("research.only", { model: version })));
}

function time({ timings = {}, cost = 0 }, wall) {
  const total = duration(timings.total);
  const stages = timings.stages ?? [];
  const rows = [...new Set(stages.map((stage) => stage.task ?? ""))].map((task) => {
    const own = stages.filter((stage) => (stage.task ?? "") === task);
    return { task, own, sum: own.reduce((sum, stage) => sum + duration(stage.duration), 0) };
  });
  const longest = Math.max(...rows.map((row) => row.sum), 1e-9);
  return el("section", { className: "card time" },
    el("h2", {}, words.say("time.title")),
    el("dl", { className: "totals" },
      pair("time.total", words.seconds(total)),
      pair("time.way", words.seconds(Math.max(0, wall - total))),
      pair("time.cost", words.count("price", cost))),
    el("table", { className: "stages" },
      el("thead", { className: "unseen" }, el("tr", {},
        el("th", { scope: "col" }, words.say("time.column.task")), el("th", { scope: "col" }, words.say("time.column.time")))),
      el("tbody", {}, ...rows.map((row) => timeRow(row, longest)))),
    el("ul", { className: "legend" }, ...[...new Set(stages.map(({ stage }) => stage))].filter((stage) => words.knows(`time.${stage}`)).map((stage) =>
      el("li", {}, el("span", { className: `part ${stage}`, "aria-hidden": "true" }), words.say(`time.${stage}`)))),
    rows.length > 2 ? el("p", { className: "note" }, words.say("time.note")) : "");
}

function timeRow({ task, own, sum }, longest) {
  const parts = own.map((stage) => {
    const part = el("span", { className: `part ${stage.stage}` });
    part.style.setProperty("--part", duration(stage.duration) / longest);
    return part;
  });
  const title = words.knows(`task.${task || "other"}`) ? words.say(`task.${task || "other"}`) : task;
  return el("tr", {}, el("th", { scope: "row" }, title),
    el("td", {}, el("div", { className: "meter", "aria-hidden": "true" }, ...parts),
      el("span", { className: "sum" }, words.seconds(sum))));
}

const pair = (key, value) => el("div", {}, el("dt", {}, words.say(key)), el("dd", {}, value));

/** Seconds of protobuf's JSON of a Duration: "0.042s". */
const duration = (text) => Number.parseFloat(text ?? "0") || 0;

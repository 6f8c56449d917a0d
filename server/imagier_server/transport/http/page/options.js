// SPDX-License-Identifier: Apache-2.0
// The form of tasks, languages and options. What there is, the catalogue says; only the words are ours.
import { byId, el } from "./elements.js";
import * as words from "./words.js";

const TASKS = ["tags", "caption", "ocr"];
const LISTS = new Set(["allow", "deny", "existing_tags"]);
const CHOICES = { "ocr.effort": ["EFFORT_FAST", "EFFORT_BALANCED", "EFFORT_THOROUGH"] };
const OF_OBJECTS = new Set(["tags.candidates", "tags.taught"]); // for programs: a form has no room for a vocabulary

let catalog = null;
const choice = { tasks: null, languages: null, values: {} }; // languages: null while they follow the page's own

/** Builds the form for a catalogue, or for its new language; what was chosen stays. */
export function build(given, onChange) {
  catalog = given;
  const tasks = TASKS.map((name) => catalog.tasks.find((task) => task.name === name)).filter(Boolean);
  choice.tasks ??= new Set(tasks.filter((task) => task.ready).map((task) => task.name));
  byId("form").replaceChildren(
    el("fieldset", { className: "tasks" }, el("legend", {}, words.say("options.tasks")), ...tasks.map(card)),
    el("fieldset", { className: "languages" }, el("legend", {}, words.say("options.languages")), ...offered().map(chip)),
    el("details", { className: "fine", open: byId("form").querySelector(".fine")?.open ?? false },
      el("summary", {}, words.say("options.fine")), ...tasks.map(tuning)),
    el("p", { id: "price", className: "price" }),
  );
  byId("form").oninput = ({ target }) => {
    if (target.name === "language") choice.languages ??= new Set();
    read();
    summarise();
    onChange();
  };
  summarise();
}

/** AnnotateRequest as protobuf's JSON, without the picture; null if no task is chosen. */
export function request() {
  const tasks = TASKS.filter((name) => choice.tasks.has(name));
  if (!tasks.length) return null;
  const languages = offered().filter(chosen);
  languages.sort((a, b) => (b === words.current()) - (a === words.current()));
  return { languages, ...Object.fromEntries(tasks.map((name) => [name, { ...choice.values[name] }])) };
}

/** Asks for what an option that is ticked or not gives. */
export function tick(task, option) {
  byId("form").querySelector(`[data-task=${task}][data-option=${option}]`).checked = true;
  read();
}

/** English beside the reader's own: some models speak nothing else. */
const chosen = (tag) => choice.languages?.has(tag) ?? (tag === words.current() || tag === "en");

function offered() {
  const speaking = catalog.tasks.filter((task) => task.name === "tags" || task.name === "caption");
  return [...new Set(speaking.flatMap((task) => task.languages ?? []))];
}

function card(task) {
  const id = `task-${task.name}`;
  return el("label", { className: "task" },
    el("input", { id, type: "checkbox", name: "task", value: task.name, checked: choice.tasks.has(task.name), disabled: !task.ready }),
    el("span", { className: "task-name" }, words.say(`task.${task.name}`)),
    el("span", { className: "task-price" }, task.ready ? words.count("price", task.price ?? 0) : words.say("task.not.ready")),
    el("span", { className: "task-what" }, words.say(`task.${task.name}.what`)));
}

function chip(tag) {
  return el("label", { className: "chip choice" },
    el("input", { type: "checkbox", name: "language", value: tag, checked: chosen(tag) }),
    el("span", {}, words.nameOf(tag)));
}

function tuning(task) {
  return el("fieldset", { className: "tuning" },
    el("legend", {}, words.say(`task.${task.name}`)),
    ...(task.options ?? []).filter(({ name }) => !OF_OBJECTS.has(`${task.name}.${name}`)).map((option) => field(task.name, option)));
}

function field(task, option) {
  const key = `option.${task}.${option.name}`;
  const label = words.knows(key) ? words.say(key) : option.name;
  const value = choice.values[task]?.[camel(option.name)];
  const dataset = { task, option: option.name };
  if (option.defaultValue === "true" || option.defaultValue === "false") {
    const checked = value ?? option.defaultValue === "true";
    return el("label", { className: "option check" }, el("input", { type: "checkbox", checked, dataset }), el("span", {}, label));
  }
  if (CHOICES[`${task}.${option.name}`]) {
    const entries = CHOICES[`${task}.${option.name}`].map((name) =>
      el("option", { value: name, selected: name === (value ?? option.defaultValue) }, words.say(`choice.${name}`)));
    return el("label", { className: "option" }, el("span", {}, label), el("select", { dataset: { ...dataset, standard: option.defaultValue } }, ...entries));
  }
  if (LISTS.has(option.name)) {
    return el("label", { className: "option wide" }, el("span", {}, label),
      el("input", { type: "text", value: (value ?? []).join(", "), placeholder: words.say("options.list"), dataset }));
  }
  const step = option.maximum <= 1 ? 0.05 : 1;
  return el("label", { className: "option" }, el("span", {}, label),
    el("input", { type: "number", min: option.minimum, max: option.maximum, step, value: value ?? "",
      placeholder: words.say("options.default", { value: standard(option.defaultValue) }), dataset }));
}

const standard = (text) => (text === "" || Number.isNaN(Number(text)) ? text : words.number(Number(text)));

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());

function read() {
  const form = byId("form");
  const checked = (name) => new Set([...form.querySelectorAll(`input[name=${name}]:checked`)].map((input) => input.value));
  choice.tasks = checked("task");
  if (choice.languages) choice.languages = checked("language");
  choice.values = {};
  for (const input of form.querySelectorAll("[data-option]")) {
    const { task, option } = input.dataset;
    const value = entered(input, option);
    if (value !== undefined) (choice.values[task] ??= {})[camel(option)] = value;
  }
}

/** What an input says, or undefined where it leaves the server's default. */
function entered(input, option) {
  if (input.type === "checkbox") return input.checked || undefined;
  if (input.type === "number") return Number.isFinite(input.valueAsNumber) ? input.valueAsNumber : undefined;
  if (input.type === "select-one") return input.value === input.dataset.standard ? undefined : input.value;
  if (!LISTS.has(option)) return input.value.trim() || undefined;
  const entries = input.value.split(",").map((entry) => entry.trim()).filter(Boolean);
  return entries.length ? entries : undefined;
}

function summarise() {
  const asked = request();
  byId("form").querySelector(".languages").disabled = !(asked?.tags || asked?.caption);
  if (!asked) {
    byId("chosen").textContent = byId("price").textContent = words.say("options.none");
    return;
  }
  const tasks = TASKS.filter((name) => name in asked);
  const names = words.list(tasks.map((name) => words.say(`task.${name}`)));
  const speaking = (asked.tags || asked.caption) && asked.languages.length;
  byId("chosen").textContent = speaking
    ? words.say("options.in", { tasks: names, languages: words.list(asked.languages.map(words.nameOf)) })
    : names;
  const price = tasks.reduce((sum, name) => sum + (catalog.tasks.find((task) => task.name === name).price ?? 0), 0);
  byId("price").textContent = words.count("price.picture", price);
}

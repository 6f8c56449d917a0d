// SPDX-License-Identifier: Apache-2.0
// The page's language: the browser's, or the one chosen in this tab. Numbers, sizes and names of languages follow it.
import en from "./strings/en.js";
import fr from "./strings/fr.js";

const STRINGS = { en, fr };
const CHOICE = "imagier.language";

let language = "en";

/** Chosen in this tab before, or the first of the browser's that we have. */
export function firstLanguage() {
  const chosen = sessionStorage.getItem(CHOICE);
  if (chosen in STRINGS) return chosen;
  return navigator.languages.map((tag) => tag.split("-")[0]).find((tag) => tag in STRINGS) ?? "en";
}

export const current = () => language;
export const other = () => (language === "en" ? "fr" : "en");

export function remember(tag) {
  sessionStorage.setItem(CHOICE, tag);
}

/** Sets the language, and the words of every element that names its own. */
export function speak(tag) {
  language = tag;
  document.documentElement.lang = tag;
  document.title = say("page.title");
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", say(element.dataset.label));
}

export const knows = (key) => key in STRINGS[language];

/** The string, with {name} filled in. */
export function say(key, values = {}) {
  return STRINGS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** The string `key.one` or `key.other`, as the number asks for. */
export function count(key, n) {
  const form = new Intl.PluralRules(language).select(n) === "one" ? "one" : "other";
  return say(`${key}.${form}`, { n: number(n) });
}

export const number = (value, options = {}) => new Intl.NumberFormat(language, options).format(value);
export const percent = (share) => number(share, { style: "percent", maximumFractionDigits: 0 });
export const list = (words) => new Intl.ListFormat(language, { type: "conjunction" }).format(words);

/** 12 MB, 340 kB: in steps of 1 024, as limits are set. */
export function size(bytes) {
  const [value, unit] = bytes < 2 ** 20 ? [Math.max(1, bytes / 2 ** 10), "kilobyte"] : [bytes / 2 ** 20, "megabyte"];
  return number(value, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: value < 10 ? 1 : 0 });
}

/** 42 ms, 1.3 s. */
export function seconds(value) {
  if (value < 0.9995) return say("time.milliseconds", { n: number(value * 1000, { maximumFractionDigits: 0 }) });
  return say("time.seconds", { n: number(value, { maximumFractionDigits: value < 10 ? 1 : 0 }) });
}

/** The time of day, and if need be the day, so many seconds from now. */
export function after(value) {
  const [now, then] = [new Date(), new Date(Date.now() + value * 1000)];
  const day = now.toDateString() === then.toDateString() ? {} : { dateStyle: "medium" };
  return new Intl.DateTimeFormat(language, { timeStyle: "short", ...day }).format(then);
}

/** A language's own place in this one: "French", "français". */
export function nameOf(tag) {
  try {
    return new Intl.DisplayNames(language, { type: "language" }).of(tag) ?? tag;
  } catch {
    return tag;
  }
}

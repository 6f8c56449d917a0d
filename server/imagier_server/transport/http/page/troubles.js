// SPDX-License-Identifier: Apache-2.0
// Says plainly what went wrong, and what to do next.
import { byId, el } from "./elements.js";
import * as words from "./words.js";

// By the server's reason, where it is more exact than its status.
const REASONS = { IMAGE_TOO_LARGE: "too_large", INVALID_IMAGE: "not_picture" };
const STATUSES = {
  0: "offline", 400: "invalid", 401: "key", 402: "used_up", 403: "forbidden", 408: "offline", 413: "too_large", 415: "not_picture",
  422: "invalid", 429: "busy", 499: "offline", 502: "unavailable", 503: "unavailable", 504: "deadline",
};
const RETRY = new Set(["busy", "unavailable", "offline", "deadline", "internal", "key", "used_up"]);

const PATIENCE = 120; // seconds

let ticking = 0;

/** The kind of a failure: a key of the strings `error.*`. */
export function kindOf(failure) {
  const kind = REASONS[failure.problem?.reason] ?? STATUSES[failure.status] ?? (failure.status >= 500 ? "internal" : "invalid");
  // Patience helps only if there is a time to try again, and it is near.
  return kind === "busy" && !(failure.retryAfter <= PATIENCE) ? "used_up" : kind;
}

/** Shows a trouble; `act` is what it offers to do again. `facts` fill in its sentences. */
export function show(kind, { facts = {}, detail = "", retryAfter = null, act = null } = {}) {
  clear();
  const remedy = kind === "too_large" && !facts.size ? "error.refused_size.do" : `error.${kind}.do`;
  const place = byId("trouble");
  place.dataset.kind = kind;
  place.replaceChildren(
    el("h2", {}, words.say(`error.${kind}`)),
    el("p", {}, words.say(remedy, facts), retryAfter > PATIENCE ? ` ${words.say("error.when", { time: words.after(retryAfter) })}` : ""),
    // The server speaks English.
    detail ? el("p", { className: "note" }, words.say("error.says"), " ", el("span", { lang: "en" }, detail)) : "",
  );
  if (act && RETRY.has(kind)) place.append(again(retryAfter > PATIENCE ? 0 : retryAfter, act));
}

export function clear() {
  clearInterval(ticking);
  byId("trouble").replaceChildren();
  delete byId("trouble").dataset.kind;
}

/** A button that waits as long as the server asked for; the wait is not announced second by second. */
function again(retryAfter, act) {
  const button = el("button", { id: "retry", className: "button", type: "button", onclick: act });
  let left = Math.ceil(retryAfter ?? 0);
  const tick = () => {
    button.disabled = left > 0;
    button.textContent = left > 0 ? words.count("error.again.in", left) : words.say("error.again");
    if (left <= 0) clearInterval(ticking);
    left -= 1;
  };
  if (left > 0) ticking = setInterval(tick, 1000);
  tick();
  return button;
}

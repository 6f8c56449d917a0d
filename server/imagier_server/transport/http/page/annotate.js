// SPDX-License-Identifier: Apache-2.0
// Calls the server that served this page. Paths are relative, so that it may lie under a prefix behind a proxy.

const KEY = "imagier.key";

/** The API key: in this tab's memory only, and never part of an address. */
export const key = () => sessionStorage.getItem(KEY) ?? "";

export function keepKey(text) {
  if (text) sessionStorage.setItem(KEY, text);
  else sessionStorage.removeItem(KEY);
}

export const address = (path) => new URL(path, document.baseURI).href;

/** A call that failed. `status` is 0 without a connection; `problem` the server's own account of it; `retryAfter` in seconds. */
export class Failure extends Error {
  constructor(status, problem = {}, retryAfter = null) {
    super(problem.detail ?? "");
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

export class Cancelled extends Error {}

/** The catalogue. Throws Failure. */
export async function catalog() {
  let answer;
  try {
    answer = await fetch(address("v1/catalog"), { headers: authorization(), cache: "no-store", credentials: "omit" });
  } catch {
    throw new Failure(0);
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Failure(answer.status, body, Number(answer.headers.get("retry-after")) || null);
  return body;
}

/** Where the same server speaks gRPC, as HOST:PORT, for the calls to copy. */
export async function grpcAddress() {
  const { grpcPort } = await fetch(address("page/server.json")).then((answer) => answer.json()).catch(() => ({}));
  return grpcPort ? `${location.hostname}:${grpcPort}` : "HOST:PORT";
}

/**
 * Annotates a picture; `request` is AnnotateRequest as protobuf's JSON, without the picture.
 *
 * `onSent(share)` says how much of it has been sent. Throws Failure, and Cancelled once `signal` is aborted. fetch() does not tell
 * how far an upload is; XMLHttpRequest does.
 */
export function annotate(picture, request, { signal, onSent }) {
  const form = new FormData();
  for (const [name, value] of fields(request)) form.append(name, value);
  form.append("image", picture, "picture"); // its name is nobody's business
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    call.open("POST", address("v1/annotate"));
    call.responseType = "text";
    for (const [name, value] of Object.entries(authorization())) call.setRequestHeader(name, value);
    call.upload.onprogress = ({ lengthComputable, loaded, total }) => onSent(lengthComputable ? loaded / total : 0);
    call.upload.onload = () => onSent(1);
    call.onload = () => {
      const body = parsed(call.responseText);
      if (call.status === 200 && body) resolve(body);
      else reject(new Failure(call.status, body ?? {}, Number(call.getResponseHeader("retry-after")) || null));
    };
    call.onerror = () => reject(new Failure(0));
    call.onabort = () => reject(new Cancelled());
    signal.addEventListener("abort", () => call.abort(), { once: true });
    call.send(form);
  });
}

/** The form's fields beside the picture, as [name, value]: tasks, languages, and each option as task.option. */
export function fields({ languages, ...tasks }) {
  const options = Object.entries(tasks).flatMap(([task, values]) =>
    Object.entries(values).flatMap(([option, value]) => [value].flat().map((each) => [`${task}.${snake(option)}`, String(each)])));
  return [["tasks", Object.keys(tasks).join()], ...(languages.length ? [["languages", languages.join()]] : []), ...options];
}

/** maxTags → max_tags */
export const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function authorization() {
  return key() ? { authorization: `Bearer ${key()}` } : {};
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

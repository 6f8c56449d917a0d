// SPDX-License-Identifier: Apache-2.0
// The call that was made, for the shell, Python and gRPC, and its answer. The API key is a variable's name: it never stands in a text to copy.
import { address, fields, key, snake } from "./annotate.js";
import { byId, copy, el } from "./elements.js";
import * as words from "./words.js";

const KINDS = ["curl", "python", "grpcurl", "answer"];
const METHOD = "imagier.v1.AnnotatorService/Annotate";

let shown = "curl";

/** Shows the calls and their answer; `file` is the picture's name, `grpc` where the same server speaks gRPC (HOST:PORT). */
export function show(request, file, grpc, answer) {
  const text = {
    curl: curl(request, file),
    python: python(request, file, grpc),
    grpcurl: grpcurl(request, file, grpc),
    answer: JSON.stringify(answer, null, 2),
  };
  const panels = KINDS.map((kind) => panel(kind, text[kind]));
  const tabs = KINDS.map((kind) => el("button", {
    id: `tab-${kind}`, type: "button", role: "tab", "aria-controls": `call-${kind}`, onclick: () => choose(kind) }, words.say(`call.${kind}`)));
  const row = el("div", { className: "tabs", role: "tablist", "aria-labelledby": "calls-title" }, ...tabs);
  row.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    choose(KINDS[(KINDS.indexOf(shown) + step + KINDS.length) % KINDS.length]);
    byId(`tab-${shown}`).focus();
  });
  byId("calls").replaceChildren(el("h2", { id: "calls-title" }, words.say("call.title")), row, ...panels);
  byId("calls").hidden = false;
  choose(shown);
}

function panel(kind, text) {
  const code = el("pre", { tabIndex: 0, role: "region", "aria-label": words.say(`call.${kind}`) }, text);
  const button = el("button", { className: "quiet copy", type: "button" }, words.say("call.copy"));
  button.addEventListener("click", async () => {
    if (await copy(text, code)) button.textContent = words.say("call.copied");
  });
  return el("div", { id: `call-${kind}`, role: "tabpanel", "aria-labelledby": `tab-${kind}` }, code, el("p", { className: "after" }, button,
    el("span", { className: "note" }, kind === "python" ? words.say("call.install") : "", " ", key() && kind !== "answer" ? words.say("call.key") : "")));
}

function choose(kind) {
  shown = kind;
  for (const other of KINDS) {
    byId(`tab-${other}`).setAttribute("aria-selected", String(other === kind));
    byId(`tab-${other}`).tabIndex = other === kind ? 0 : -1;
    byId(`call-${other}`).hidden = other !== kind;
  }
}

export function curl(request, file) {
  const lines = [`curl ${quoted(address("v1/annotate"))}`];
  if (key()) lines.push('-H "Authorization: Bearer $IMAGIER_KEY"');
  lines.push(`-F ${quoted(`image=@${file}`)}`);
  // -F would take a file for what begins with @ or <, and cut at a semicolon.
  for (const [name, value] of fields(request)) lines.push(`${/[@<;"]/.test(value) ? "--form-string" : "-F"} ${quoted(`${name}=${value}`)}`);
  return lines.join(" \\\n  ");
}

export function grpcurl(request, file, grpc) {
  // For printf, to which % and backslashes mean something.
  const options = JSON.stringify(request).replaceAll("\\", "\\\\").replaceAll("%", "%%");
  const json = `{"image":"%s",${options.slice(1)}`;
  const secret = key() ? ' -H "authorization: Bearer $IMAGIER_KEY"' : "";
  const plain = secure() ? "" : " -plaintext";
  return `printf ${quoted(json)} "$(base64 -w0 ${quoted(file)})" |\n  grpcurl${plain}${secret} -d @ ${grpc} ${METHOD}`;
}

export function python(request, file, grpc) {
  const { languages, ...tasks } = request;
  const options = Object.entries(tasks).map(([name, values]) => {
    const given = Object.entries(values).map(([option, value]) => `${snake(option)}=${literal(value)}`);
    return `${name[0].toUpperCase()}${name.slice(1)}(${given.join(", ")})`;
  });
  const classes = options.map((option) => option.split("(")[0]);
  const prints = {
    caption: 'print(answer.caption.title)',
    tags: 'for tag in answer.tags.tags:\n    print(f"{tag.score:.0%} {tag.name}")',
    ocr: "print(answer.ocr.text)",
  };
  const names = [...[...classes, "Client"].sort(), ...(secure() ? ["tls"] : [])].join(", ");
  const secret = key() ? ', key=os.environ["IMAGIER_KEY"]' : "";
  const tls = secure() ? ", credentials=tls()" : "";
  return [
    ...(key() ? ["import os", ""] : []),
    `from imagier_client import ${names}`,
    "",
    `with Client(${literal(grpc)}${tls}${secret}) as client:`,
    "    answer = client.annotate(",
    `        ${literal(file)},`,
    ...options.map((option) => `        ${option},`),
    `        languages=${literal(languages)},`,
    "    )",
    ...Object.keys(tasks).map((name) => prints[name]),
  ].join("\n");
}

/** Whether the server is reached over TLS: then for gRPC too. */
const secure = () => location.protocol === "https:";

/** A JSON value as Python writes it. */
function literal(value) {
  if (value === true) return "True";
  if (value === false) return "False";
  return Array.isArray(value) ? `[${value.map(literal).join(", ")}]` : JSON.stringify(value);
}

/** A word of a shell. */
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

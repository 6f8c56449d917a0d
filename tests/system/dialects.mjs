// SPDX-License-Identifier: Apache-2.0
// Asks the server at argv[0] about the picture in the file argv[1] with the official clients, and prints what they read as JSON.
import { readFileSync } from "node:fs";
import { Ollama } from "ollama";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const [server, file] = process.argv.slice(1);
const picture = readFileSync(file);
const encoded = picture.toString("base64");
const url = `data:image/jpeg;base64,${encoded}`;
const Tags = z.object({ tags: z.array(z.string()) });
const seen = {};

const openai = new OpenAI({ baseURL: `${server}/v1`, apiKey: "none", maxRetries: 0 });
const messages = [
  { role: "user", content: [{ type: "text", text: "Tags?" }, { type: "image_url", image_url: { url } }] },
];
const input = [
  { role: "user", content: [{ type: "input_text", text: "Tags?" }, { type: "input_image", image_url: url, detail: "low" }] },
];
seen.models = (await openai.models.list()).data.map((model) => model.id);
seen.completion = (await openai.chat.completions.create({ model: "imagier-tags", messages })).choices[0].message.content;
seen.parsed = (
  await openai.chat.completions.parse({ model: "imagier", messages, response_format: zodResponseFormat(Tags, "schema") })
).choices[0].message.parsed;
seen.streamed = await openai.chat.completions.stream({ model: "imagier-tags", messages }).finalContent();
seen.response = (await openai.responses.create({ model: "imagier-tags", input })).output_text;
seen.responseParsed = (
  await openai.responses.parse({ model: "imagier", input, text: { format: zodTextFormat(Tags, "schema") } })
).output_parsed;
seen.responseStreamed = (await openai.responses.stream({ model: "imagier-tags", input }).finalResponse()).output_text;
try {
  await openai.chat.completions.create({ model: "gpt-5", messages });
} catch (error) {
  seen.refused = [error.constructor.name, error.status, error.code, error.param];
}

const ollama = new Ollama({ host: server });
seen.listed = (await ollama.list()).models.map((model) => model.name);
seen.capabilities = (await ollama.show({ model: "imagier" })).capabilities;
seen.generated = (await ollama.generate({ model: "imagier-tags", prompt: "Tags?", images: [encoded] })).response;
const format = z.toJSONSchema(Tags);
seen.formatted = JSON.parse((await ollama.generate({ model: "imagier", prompt: "?", images: [picture], format })).response);
seen.chatted = "";
const turn = { role: "user", content: "Tags?", images: [encoded] };
for await (const part of await ollama.chat({ model: "imagier-tags", messages: [turn], stream: true })) {
  seen.chatted += part.message.content;
}
try {
  await ollama.generate({ model: "imagier", prompt: "Write a poem." });
} catch (error) {
  seen.ollamaRefused = [error.name, error.status_code];
}
console.log(JSON.stringify(seen));

// SPDX-License-Identifier: Apache-2.0
// Calls the server as Immich's does, at the base URLs argv[1…] about the picture in the file argv[0], and prints what it reads as JSON.
import { readFileSync } from "node:fs";
import { request } from "node:http";

const [file, ...bases] = process.argv.slice(1);
const picture = readFileSync(file);
const entries = JSON.stringify({
  ocr: {
    detection: { modelName: "PP-OCRv5_mobile", options: { minScore: 0.5, maxResolution: 736 } },
    recognition: { modelName: "PP-OCRv5_mobile", options: { minScore: 0.8 } },
  },
});

// undici's FormData: the entries first, then a Blob without a type.
function byFormData(url) {
  const form = new FormData();
  form.append("entries", entries);
  form.append("image", new Blob([new Uint8Array(picture)]));
  return fetch(url, { method: "POST", body: form }).then((answer) => answer.json());
}

// As forks build it, which send no FormData.
function byHand(url) {
  const boundary = "----immich";
  const body = Buffer.concat([
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="entries"\r\n\r\n${entries}\r\n`),
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="image"; filename="blob"\r\n`),
    Buffer.from("Content-Type: application/octet-stream\r\n\r\n"),
    picture,
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ]);
  const headers = { "Content-Type": `multipart/form-data; boundary=${boundary}`, "Content-Length": body.length };
  return new Promise((resolve, reject) => {
    request(url, { method: "POST", headers }, (answer) => {
      let text = "";
      answer.on("data", (part) => (text += part));
      answer.on("end", () => resolve(JSON.parse(text)));
    })
      .on("error", reject)
      .end(body);
  });
}

const seen = [];
for (const base of bases) {
  const ping = await fetch(new URL("ping", base), { signal: AbortSignal.timeout(60_000) });
  seen.push([ping.ok, await byFormData(new URL("predict", base)), await byHand(new URL("predict", base))]);
}
console.log(JSON.stringify(seen));

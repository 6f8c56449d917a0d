// SPDX-License-Identifier: Apache-2.0
// Calls a gateway with the TypeScript client of Connect: node connect_client.mjs URL PICTURE. Prints JSON lines.
import { readFileSync } from "node:fs";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { AnnotatorService } from "./gen/imagier/v1/annotator_pb.js";
import { ErrorInfoSchema } from "./gen/google/rpc/error_details_pb.js";

const [baseUrl, path] = process.argv.slice(2);
const image = readFileSync(path);
for (const useBinaryFormat of [false, true]) {
  const client = createClient(
    AnnotatorService,
    createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat }),
  );
  const answer = await client.annotate({ image, tags: { maxTags: 1 }, requestId: "seven" }, { timeoutMs: 20000 });
  const catalog = await client.getCatalog({});
  let refused;
  try {
    await client.annotate({ image: new Uint8Array([1]), tags: {} });
  } catch (error) {
    refused = error;
  }
  console.log(
    JSON.stringify({
      requestId: answer.requestId,
      tags: answer.tags.tags.map((tag) => tag.names.en),
      tasks: catalog.tasks.map((task) => task.name),
      refused: refused instanceof ConnectError && Code[refused.code],
      reasons: refused.findDetails(ErrorInfoSchema).map((info) => info.reason),
    }),
  );
}

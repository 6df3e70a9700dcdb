// The TypeScript SDK app: `node app.mjs ts-v4|ts-v3 FOLDER PORT [WAY]`; FOLDER holds the installed
// SDK, WAY says how it checkpoints. EFFECTS names the effects log.

import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { define } from "./functions.mjs";
import { defineWaits } from "./waits.mjs";

const [id, folder, port, way] = process.argv.slice(2);
const installed = createRequire(path.join(folder, "package.json"));
const sdk = installed("inngest");
const { serve } = installed("inngest/node");

const ways = {
  classic: { checkpointing: false },
  buffered: { checkpointing: { bufferedSteps: 2, maxInterval: "500ms", maxRuntime: "2s" } },
};
const client = new sdk.Inngest({ id, ...ways[way] });

// version 4 moved the trigger into the options
const create =
  id === "ts-v3"
    ? (options, event, handler) => client.createFunction(options, { event }, handler)
    : (options, event, handler) =>
        client.createFunction({ ...options, triggers: [{ event }] }, handler);

const functions = [
  ...define(sdk, create, client.id, process.env.EFFECTS),
  ...defineWaits(sdk, create, client.id),
];
http.createServer(serve({ client, functions })).listen(Number(port), "127.0.0.1");

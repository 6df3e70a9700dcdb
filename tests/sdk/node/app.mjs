// The TypeScript SDK app: `node app.mjs v4|v3 FOLDER PORT`; FOLDER holds the installed SDK.
// EFFECTS names the effects log.

import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { define } from "./functions.mjs";

const [version, folder, port] = process.argv.slice(2);
const installed = createRequire(path.join(folder, "package.json"));
const sdk = installed("inngest");
const { serve } = installed("inngest/node");

const client = new sdk.Inngest({ id: `ts-${version}` });

// version 4 moved the trigger into the options
const create =
  version === "v3"
    ? (options, event, handler) => client.createFunction(options, { event }, handler)
    : (options, event, handler) =>
        client.createFunction({ ...options, triggers: [{ event }] }, handler);

const functions = define(sdk, create, client.id, process.env.EFFECTS);
http.createServer(serve({ client, functions })).listen(Number(port), "127.0.0.1");

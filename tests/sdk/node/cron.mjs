// A TypeScript app of one function that runs every minute and for an event:
// `node cron.mjs ts-v4|ts-v3… FOLDER PORT`. EFFECTS names the effects log.

import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

const [id, folder, port] = process.argv.slice(2);
const installed = createRequire(path.join(folder, "package.json"));
const { Inngest } = installed("inngest");
const { serve } = installed("inngest/node");

const client = new Inngest({ id });
const triggers = [{ cron: "* * * * *" }, { event: `${id}/now` }];

async function tick({ event, runId, step }) {
  return await step.run("note", () => {
    const line = { run_id: runId, step: "note", event };
    fs.appendFileSync(process.env.EFFECTS, `${JSON.stringify(line)}\n`);
    return event.name;
  });
}

const tickly = id.startsWith("ts-v3")
  ? client.createFunction({ id: "tick" }, triggers, tick)
  : client.createFunction({ id: "tick", triggers }, tick);
http.createServer(serve({ client, functions: [tickly] })).listen(Number(port), "127.0.0.1");

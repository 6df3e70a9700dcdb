// A TypeScript app of one function whose code changes: `node replay.mjs ts-v4-replay FOLDER PORT`.
// The file PARTS has its steps as JSON: names, arrays of names that run side by side, and
// `sleep:` or `wait:` with a name. EFFECTS names the effects log.

import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

const [id, folder, port] = process.argv.slice(2);
const installed = createRequire(path.join(folder, "package.json"));
const { Inngest } = installed("inngest");
const { serve } = installed("inngest/node");

const client = new Inngest({ id });
const event = `${id}/order`;
const note = (run_id, step, attempt) =>
  fs.appendFileSync(process.env.EFFECTS, `${JSON.stringify({ run_id, step, attempt })}\n`);

async function handler({ step, runId, attempt }) {
  const run = (name) =>
    step.run(name, () => {
      note(runId, name, attempt);
      return name;
    });
  for (const part of JSON.parse(fs.readFileSync(process.env.PARTS, "utf8"))) {
    if (Array.isArray(part)) await Promise.all(part.map(run));
    else if (part.startsWith("sleep:")) await step.sleep(part.slice(6), "1h");
    else if (part.startsWith("wait:")) {
      await step.waitForEvent(part.slice(5), { event: "never", timeout: "1h" });
    } else await run(part);
  }
}

const order = id.startsWith("ts-v3")
  ? client.createFunction({ id: "order" }, { event }, handler)
  : client.createFunction({ id: "order", triggers: [{ event }] }, handler);
http.createServer(serve({ client, functions: [order] })).listen(Number(port), "127.0.0.1");

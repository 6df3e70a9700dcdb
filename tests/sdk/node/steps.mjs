// An app of one long function: `node steps.mjs ID FOLDER PORT`. Its steps leave their marks in the
// file that EFFECTS names, and so does every call of the handler.

import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

const [id, folder, port] = process.argv.slice(2);
const installed = createRequire(path.join(folder, "package.json"));
const { Inngest } = installed("inngest");
const { serve } = installed("inngest/node");

const client = new Inngest({ id });
const note = (run_id, step, attempt) =>
  fs.appendFileSync(process.env.EFFECTS, `${JSON.stringify({ run_id, step, attempt })}\n`);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const long = client.createFunction(
  { id: "long", retries: 10, triggers: [{ event: `${id}/long` }] },
  async ({ event, step, runId, attempt }) => {
    note(runId, "body", attempt);
    let sum = 0;
    for (let number = 0; number < event.data.steps; number++) {
      sum += await step.run(`s${number}`, async () => {
        await pause(event.data.pause_ms);
        note(runId, `s${number}`, attempt);
        return number;
      });
    }
    return sum;
  },
);

http.createServer(serve({ client, functions: [long] })).listen(Number(port), "127.0.0.1");

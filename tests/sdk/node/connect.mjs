// The TypeScript SDK as a connected worker: `node connect.mjs KIND FOLDER INSTANCE`; FOLDER holds
// the installed SDK. EFFECTS names the effects log, CAPACITY how many calls it takes at once.

import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import { define } from "./functions.mjs";
import { defineWaits } from "./waits.mjs";

const [id, folder, instanceId] = process.argv.slice(2);
const installed = createRequire(path.join(folder, "package.json"));
const sdk = installed("inngest");
const { connect } = installed("inngest/connect");
const client = new sdk.Inngest({ id, appVersion: process.env.APP_VERSION });

const create = (options, event, handler) =>
  client.createFunction({ ...options, triggers: [{ event }] }, handler);

// a step that ends when the file that the event names exists
const held = create({ id: "held", retries: 1 }, `${id}/held`, async (ctx) => {
  const found = await ctx.step.run("held", async () => {
    const line = { run_id: ctx.runId, step: "held", attempt: ctx.attempt, instance: instanceId };
    fs.appendFileSync(process.env.EFFECTS, `${JSON.stringify({ ...line, pid: process.pid })}\n`);
    while (!fs.existsSync(ctx.event.data.gate)) await setTimeout(20);
    return instanceId;
  });
  return { held: found };
});

// five steps, each of which lasts for the seconds that the event names
const five = create({ id: "five", retries: 4 }, `${id}/five`, async ({ event, step, runId, attempt }) => {
  const found = [];
  for (let number = 0; number < 5; number++) {
    found.push(
      await step.run(`s${number}`, async () => {
        const line = { run_id: runId, step: `s${number}`, attempt, instance: instanceId };
        fs.appendFileSync(process.env.EFFECTS, `${JSON.stringify({ ...line, at: Date.now() / 1000 })}\n`);
        await setTimeout(event.data.takes * 1000);
        return number;
      }),
    );
  }
  return found;
});

const functions = [
  ...define(sdk, create, client.id, process.env.EFFECTS),
  ...defineWaits(sdk, create, client.id),
  held,
  five,
];
const capacity = process.env.CAPACITY ? Number(process.env.CAPACITY) : undefined;
const connection = await connect({
  apps: [{ client, functions }],
  instanceId,
  maxWorkerConcurrency: capacity,
});
await connection.closed;

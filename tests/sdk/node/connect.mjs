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

// how often its handler was called until its third step had run
const calls = new Map();
const counted = create({ id: "counted" }, `${id}/counted`, async ({ step, runId }) => {
  calls.set(runId, (calls.get(runId) ?? 0) + 1);
  for (const name of ["a", "b", "c"]) await step.run(name, () => name);
  return calls.get(runId);
});

// one at a time; it notes from when to when its step lasted
const limited = create(
  { id: "limited", concurrency: [{ limit: 1 }] },
  `${id}/limited`,
  async ({ step, runId, attempt }) =>
    await step.run("limited", async () => {
      const at = Date.now() / 1000;
      await setTimeout(200);
      const line = { run_id: runId, step: "limited", attempt, at, until: Date.now() / 1000 };
      fs.appendFileSync(process.env.EFFECTS, `${JSON.stringify(line)}\n`);
    }),
);

// its answer is more than a message may have
const oversized = create({ id: "oversized", retries: 1 }, `${id}/oversized`, ({ runId, attempt }) => {
  const line = { run_id: runId, step: "oversized", attempt };
  fs.appendFileSync(process.env.EFFECTS, `${JSON.stringify(line)}\n`);
  return "x".repeat(9_000_000);
});

const functions = [
  ...define(sdk, create, client.id, process.env.EFFECTS),
  ...defineWaits(sdk, create, client.id),
  held,
  five,
  counted,
  limited,
  oversized,
];
const capacity = process.env.CAPACITY ? Number(process.env.CAPACITY) : undefined;
const connection = await connect({
  apps: [{ client, functions }],
  instanceId,
  maxWorkerConcurrency: capacity,
});
await connection.closed;

// An app that defers, notes metadata and gives scores: `node defers.mjs ID FOLDER PORT [classic]`.
// What the deferred function gets goes to the file that EFFECTS names.

import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

const [id, folder, port, way] = process.argv.slice(2);
const installed = createRequire(path.join(folder, "package.json"));
const { Inngest } = installed("inngest");
const { createDefer, createScorer, metadataMiddleware, scoreMiddleware } = installed("inngest/experimental");
const { serve } = installed("inngest/node");

const middleware = [metadataMiddleware(), scoreMiddleware()];
const client = new Inngest({ id, middleware, checkpointing: way !== "classic" });
const note = (line) => fs.appendFileSync(process.env.EFFECTS, `${JSON.stringify(line)}\n`);

const later = createDefer(client, { id: "later" }, async ({ event, parents, step }) => {
  await step.run("note", () =>
    note({ run_id: parents[0].runId, step: event.data.which, parent: parents[0].fnSlug }),
  );
});

const parent = client.createFunction(
  { id: "parent", retries: 1, triggers: [{ event: `${id}/parent` }] },
  async ({ event, step, defer, runId, attempt }) => {
    note({ run_id: runId, step: "body", attempt });
    defer("kept", { function: later, data: { which: "kept" } });
    const dropped = defer("dropped", { function: later, data: { which: "dropped" } });
    await step.run("first", async () => {
      note({ run_id: runId, step: "first" });
      await client.metadata.set({ rows: 7 });
    });
    dropped.abort();
    await step.sleep("rest", "1s");
    if (event.data.fails) throw new Error("as told");
    defer("last", { function: later, data: { which: "last" } });
    return "done";
  },
);

const scorer = createScorer(client, { id: "scorer" }, () => ({ name: "deferred", value: 0.75 }));

const scored = client.createFunction(
  { id: "scored", retries: 0, triggers: [{ event: `${id}/scored` }] },
  async ({ step, defer, runId }) => {
    defer("judge", { function: scorer, data: {} });
    await step.run("first", async () => {
      await client.score({ name: "inside", value: true });
      await client.metadata.run().set({ phase: 1 }, "progress");
    });
    await step.score("of the run", { name: "quality", value: 0.5 });
    await step.score("of a step", { runId, stepId: "first", name: "late", value: 2 });
    await step.run("again", () => client.metadata.run().set({ phase: 2 }, "progress"));
    await step.metadata("noted").run().set({ by: "step" }, "own");
  },
);

const functions = [parent, later, scorer, scored];
http.createServer(serve({ client, functions })).listen(Number(port), "127.0.0.1");

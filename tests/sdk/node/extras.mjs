// A TypeScript app of races, middleware, signals and code that changes:
// `node extras.mjs ts-v4-extras|ts-v3-extras FOLDER PORT`. EFFECTS names the effects log.

import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

const [id, folder, port] = process.argv.slice(2);
const installed = createRequire(path.join(folder, "package.json"));
const sdk = installed("inngest");
const { serve } = installed("inngest/node");
const isV3 = id.startsWith("ts-v3");

const counts = new Map();
const broken = new Set();
function note(runId, step, attempt, more = {}) {
  const line = JSON.stringify({ run_id: runId, step, attempt, ...more });
  fs.appendFileSync(process.env.EFFECTS, `${line}\n`);
  const key = `${runId} ${step}`;
  counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts.get(key);
}
const noted = (ctx, step) =>
  ctx.step.run(step, () => {
    note(ctx.runId, step, ctx.attempt);
    return step;
  });

// what leaves the app is hidden: the steps' results and `data.encrypted` of its events
const hide = (value) => ({ hidden: Buffer.from(JSON.stringify(value)).toString("base64") });
const isHidden = (value) => typeof value?.hidden === "string";
const show = (value) =>
  isHidden(value) ? JSON.parse(Buffer.from(value.hidden, "base64").toString()) : value;
const hideEvent = (event) =>
  event.data?.encrypted
    ? { ...event, data: { ...event.data, encrypted: hide(event.data.encrypted) } }
    : event;
const showEvent = (event) =>
  event.data?.encrypted
    ? { ...event, data: { ...event.data, encrypted: show(event.data.encrypted) } }
    : event;

function hiding() {
  if (isV3) {
    return new sdk.InngestMiddleware({
      name: "hiding",
      init: () => ({
        onFunctionRun: () => ({
          transformInput: ({ ctx, steps }) => ({
            ctx: { event: showEvent(ctx.event), events: ctx.events.map(showEvent) },
            steps: steps.map((step) => ({ ...step, data: show(step.data) })),
          }),
          transformOutput: ({ result, step }) =>
            step ? { result: { data: hide(result.data) } } : undefined,
        }),
        onSendEvent: () => ({
          transformInput: ({ payloads }) => ({ payloads: payloads.map(hideEvent) }),
        }),
      }),
    });
  }
  return class extends sdk.Middleware.BaseMiddleware {
    id = "hiding";
    transformSendEvent(arg) {
      return { ...arg, events: arg.events.map(hideEvent) };
    }
    transformFunctionInput(arg) {
      const { event, events } = arg.ctx;
      return {
        ...arg,
        ctx: { ...arg.ctx, event: showEvent(event), events: events.map(showEvent) },
      };
    }
    async wrapStepHandler({ next }) {
      return hide(await next());
    }
    async wrapStep({ next }) {
      return show(await next());
    }
  };
}

const handlers = {
  race: (ctx) => {
    const slow = async () => {
      await ctx.step.sleep("nap", "3s");
      return noted(ctx, "late");
    };
    const quick = async () => {
      await noted(ctx, "first");
      return noted(ctx, "then");
    };
    const both = () => Promise.all([slow(), quick()]);
    // version 3 goes on with each branch by itself unless it is told otherwise
    return isV3 ? both() : ctx.group.parallel({ mode: "race" }, both);
  },
  sprint: async (ctx) => {
    const slow = () =>
      ctx.step.run("slow", async () => {
        note(ctx.runId, "slow", ctx.attempt);
        await new Promise((resolve) => setTimeout(resolve, 4000));
        return "slow";
      });
    const quick = async () => {
      await noted(ctx, "first");
      return noted(ctx, "then");
    };
    const both = () => Promise.race([slow(), quick()]);
    const winner = await (isV3 ? both() : ctx.group.parallel({ mode: "race" }, both));
    return [winner, await noted(ctx, "after")];
  },
  batched: ({ events, step }) => step.run("sizes", () => events.map((e) => e.data.text.length)),
  changed: async (ctx) => {
    if (!broken.has(ctx.runId)) {
      await noted(ctx, "kept");
      await noted(ctx, "dropped");
      broken.add(ctx.runId);
      note(ctx.runId, "broken", ctx.attempt);
      throw new Error("a bug, mended by the next attempt");
    }
    await noted(ctx, "inserted");
    return [await noted(ctx, "kept"), await noted(ctx, "renamed")];
  },
  mended: (ctx) =>
    ctx.step.run("mended", () => {
      if (note(ctx.runId, "body", ctx.attempt) === 1) throw new Error("not yet");
      return { attempt: ctx.attempt };
    }),
  unexpected: async (ctx) => {
    if (note(ctx.runId, "request", ctx.attempt) > 1) await noted(ctx, "surprise");
    return Promise.all([noted(ctx, "a"), noted(ctx, "b")]);
  },
  secret: async ({ step }) => {
    const given = await step.run("give", () => "very private");
    const event = { name: `${id}/told`, data: { encrypted: { given } } };
    return step.sendEvent("tell", event);
  },
  told: (ctx) => {
    note(ctx.runId, "told", ctx.attempt, { data: ctx.event.data.encrypted });
  },
  waiter: async ({ event, step }) => {
    const { signal, onConflict, timeout } = event.data;
    const found = await step.waitForSignal("wait", { signal, onConflict, timeout });
    return { found: found?.data ?? null };
  },
  given: ({ step }) => step.run("given", (what, n) => [what, n], "old", 7),
};
const options = {
  batched: { batchEvents: { maxSize: 3, timeout: "60s" } },
  changed: { retries: 1 },
  mended: { retries: 2 },
  secret: { middleware: [hiding()] },
  told: { middleware: [hiding()] },
};

const client = new sdk.Inngest({ id });
const functions = Object.entries(handlers).map(([name, handler]) => {
  const given = { id: name, retries: 0, ...options[name] };
  const event = `${id}/${name}`;
  return isV3
    ? client.createFunction(given, { event }, handler)
    : client.createFunction({ ...given, triggers: [{ event }] }, handler);
});
http.createServer(serve({ client, functions })).listen(Number(port), "127.0.0.1");

// A TypeScript app whose functions call models and other services, and are cancelled:
// `node control.mjs FOLDER PORT`. PROVIDER is the URL of the service that they call.

import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

const [folder, port] = process.argv.slice(2);
const installed = createRequire(path.join(folder, "package.json"));
const { Inngest, fetch, referenceFunction } = installed("inngest");
const { serve } = installed("inngest/node");

const APP = "ts-control";
const url = process.env.PROVIDER;
const client = new Inngest({ id: APP });
const note = (runId, step, attempt) =>
  fs.appendFileSync(process.env.EFFECTS, `${JSON.stringify({ run_id: runId, step, attempt })}\n`);
// keeps the request under way for as long as the test likes
const hold = async ({ runId, attempt }) => {
  note(runId, "request", attempt);
  await globalThis.fetch(`${url}/hold`);
};
const failed = new Set();

const models = (ai) => {
  const given = (name, model) => ({ apiKey: "sk-a-key-of-ts", baseUrl: `${url}/${name}`, model });
  return {
    openai: ai.models.openai(given("openai", "gpt")),
    anthropic: ai.models.anthropic({
      ...given("anthropic", "claude"),
      defaultParameters: { max_tokens: 9 },
    }),
    gemini: ai.models.gemini(given("gemini", "flash")),
    deepseek: ai.models.deepseek(given("deepseek", "seek")),
    grok: ai.models.grok(given("grok", "grok")),
  };
};

const handlers = {
  infer: async ({ step }) => {
    const asked = Object.entries(models(step.ai)).map(async ([name, model]) => [
      name,
      await step.ai.infer(name, { model, body: { prompt: "hello" } }),
    ]);
    return Object.fromEntries(await Promise.all(asked));
  },
  infer_fails: async ({ step }) => {
    const model = step.ai.models.openai({ apiKey: "sk", baseUrl: `${url}/broken`, model: "gpt" });
    try {
      await step.ai.infer("broken", { model, body: {} });
    } catch (error) {
      return { name: error.name, message: error.message };
    }
  },
  fetches: async () => {
    const posted = await fetch(`${url}/echo?q=1`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-own": "mine" },
      body: JSON.stringify({ a: [1, 2] }),
    });
    const missing = await fetch(`${url}/missing`);
    const empty = await fetch(`${url}/empty`);
    return {
      echo: await posted.json(),
      kind: posted.headers.get("content-type"),
      missing: [missing.status, await missing.text()],
      empty: [empty.status, await empty.text()],
    };
  },
  fetch_fails: async () => {
    try {
      await fetch("http://127.0.0.1:1/");
    } catch (error) {
      return { name: error.name, message: error.message };
    }
  },
  sleeping: async ({ step }) => step.sleep("nap", "1h"),
  waiting: async ({ step }) => step.waitForEvent("wait", { event: "never", timeout: "1h" }),
  calling: async ({ step, runId }) => {
    await step.run("slow", async () => {
      note(runId, "called");
      await globalThis.fetch(`${url}/hold`);
    });
    note(runId, "after");
  },
  slow: async ({ step }) => step.sleep("nap", "1h"),
  late: async () => "in time",
  rated: async () => "rated",
  invokes: async ({ event, step }) => {
    const { target, timeout } = event.data;
    const wanted = { function: referenceFunction({ functionId: target }), data: { key: 9 } };
    try {
      return { data: await step.invoke("call", { ...wanted, timeout: `${timeout}s` }) };
    } catch (error) {
      return { error: error.message };
    }
  },
  naps: async (ctx) => {
    await hold(ctx);
    await ctx.step.sleep("nap", "1s");
    return ctx.step.run("after", () => {
      note(ctx.runId, "after", ctx.attempt);
      return 1;
    });
  },
  flaky: async (ctx) => {
    await hold(ctx);
    return ctx.step.run("after", () => {
      note(ctx.runId, "after", ctx.attempt);
      if (failed.has(ctx.runId)) return 2;
      failed.add(ctx.runId);
      throw new Error("not yet");
    });
  },
  matched: async ({ step }) => step.sleep("nap", "1h"),
};

const stop = { event: `${APP}/stop`, timeout: "1h" };
const really = "event.data.key == async.data.key && async.data.really == true";
const cancelOn = [{ ...stop, if: really }];
const options = {
  infer_fails: { retries: 1 },
  fetch_fails: { retries: 0 },
  sleeping: { cancelOn },
  waiting: { cancelOn },
  calling: { cancelOn },
  slow: { timeouts: { finish: "2s" } },
  late: { timeouts: { start: "1s" }, throttle: { limit: 1, period: "1h" } },
  rated: { rateLimit: { limit: 1, period: "1h" } },
  invokes: { retries: 0 },
  naps: { retries: 1 },
  flaky: { retries: 1 },
  matched: { cancelOn: [{ ...stop, match: "data.key" }] },
};
const functions = Object.entries(handlers).map(([id, handler]) =>
  client.createFunction({ id, triggers: [{ event: `${APP}/${id}` }], ...options[id] }, handler),
);
http.createServer(serve({ client, functions })).listen(Number(port), "127.0.0.1");

// A TypeScript app that publishes and is subscribed: `node realtime.mjs ts-v4-realtime|ts-v3-realtime
// FOLDER PORT`. EFFECTS names the log of what its steps did and which messages it got.

import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

const [id, folder, port] = process.argv.slice(2);
const installed = createRequire(path.join(folder, "package.json"));
const { Inngest } = installed("inngest");
const { serve } = installed("inngest/node");
const isV3 = id.startsWith("ts-v3");
const realtime = installed(isV3 ? "@inngest/realtime" : "inngest/realtime");

const middleware = isV3 ? [installed("@inngest/realtime/middleware").realtimeMiddleware()] : [];
const client = new Inngest({ id, middleware });
const log = (line) => fs.appendFileSync(process.env.EFFECTS, `${JSON.stringify(line)}\n`);
const note = (ctx, step) => log({ run_id: ctx.runId, step, attempt: ctx.attempt });

const create = isV3
  ? (fn, handler) => client.createFunction({ id: fn }, { event: `${id}/${fn}` }, handler)
  : (fn, handler) => client.createFunction({ id: fn, triggers: [{ event: `${id}/${fn}` }] }, handler);
const stepPublish = (ctx, step, channel, topic, data) =>
  isV3
    ? ctx.step.realtime.publish(step, { channel, topic, data })
    : ctx.step.realtime.publish(step, { channel, topic }, data);
const publish = (channel, topic, data) =>
  isV3
    ? client.realtime.publish({ channel, topic, data })
    : client.realtime.publish({ channel, topic }, data);

const words = () => {
  const encoder = new TextEncoder();
  return new ReadableStream({
    async start(controller) {
      for (const word of ["once ", "upon ", "a time"]) {
        controller.enqueue(encoder.encode(word));
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      controller.close();
    },
  });
};

const functions = [
  create("told", async (ctx) => {
    note(ctx, "body");
    const { channel } = ctx.event.data;
    const said = await stepPublish(ctx, "first", channel, "status", { n: 1 });
    await ctx.step.sleep("rest", "1s");
    await ctx.step.run("work", () => publish(channel, "status", "in a step"));
    if (isV3) await ctx.publish({ channel, topic: "status", data: "by the middleware" });
    await ctx.step.run("talk", () => publish(channel, "text", words()));
    await stepPublish(ctx, "last", channel, "status", [3]);
    return said;
  }),
  create("refused", (ctx) => stepPublish(ctx, "first", ctx.event.data.channel, "", "no topic")),
];

const seen = (message) =>
  log({
    run_id: message.runId ?? "",
    step: "message",
    kind: message.kind,
    channel: message.channel,
    topic: message.topic,
    data: message.data,
    at: message.createdAt,
  });
const topics = ["status"]; // not "text": on a stream's start, subscribe() throws
// by the client, which gets a token; and as a browser, which is handed one
await realtime.subscribe({ app: client, channel: `room:${id}`, topics }, seen);
const token = await realtime.getSubscriptionToken(client, { channel: `lobby:${id}`, topics });
await realtime.subscribe(JSON.parse(JSON.stringify(token)), seen);

http.createServer(serve({ client, functions })).listen(Number(port), "127.0.0.1");

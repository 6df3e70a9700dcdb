// An app of durable endpoints: `node endpoint.mjs ID FOLDER PORT`. What its steps do goes to the
// file that EFFECTS names.

import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

const [id, folder, port] = process.argv.slice(2);
const installed = createRequire(path.join(folder, "package.json"));
const { Inngest, NonRetriableError, step } = installed("inngest");
const { endpointAdapter, serve, serveEndpoint } = installed("inngest/node");
const { stream } = installed("inngest/experimental/durable-endpoints");

const client = new Inngest({ id, endpointAdapter });
const note = (name, value) => {
  fs.appendFileSync(process.env.EFFECTS, `${JSON.stringify({ run_id: "", step: name, value })}\n`);
  return value;
};
let failures = 0;

const routes = {
  // ends in the caller's own request
  "/quick": async (req) => {
    const name = new URL(req.url).searchParams.get("name");
    const one = await step.run("one", () => note("one", `hello ${name}`));
    const two = await step.run("two", () => note("two", one.length));
    return Response.json({ one, two });
  },
  // goes on in the background
  "/slow": async (req) => {
    const name = new URL(req.url).searchParams.get("name");
    const before = await step.run("before", () => note("before", 1));
    await step.sleep("rest", "1s");
    const [a, b] = await Promise.all([
      step.run("a", () => note("a", before + 1)),
      step.run("b", () => note("b", before + 2)),
    ]);
    return Response.json({ name, sum: before + a + b });
  },
  "/flaky": async () => {
    const value = await step.run("flaky", () => {
      failures += 1;
      note("flaky", failures);
      if (failures < 2) throw new Error("not yet");
      return failures;
    });
    return Response.json({ value });
  },
  "/posted": async (req) => {
    await step.sleep("rest", "1s");
    return step.run("echo", () => note("echo", req.method));
  },
  // streams in the caller's request, and goes on in the background
  "/story": async (req) => {
    const times = Number(new URL(req.url).searchParams.get("times"));
    const begun = await step.run("begin", () => {
      stream.push("once");
      return note("begin", 1);
    });
    for (let n = 0; n < times; n += 1) await step.sleep(`rest-${n}`, "1s");
    const told = await step.run("tell", async () => {
      const words = ["upon ", "a ", "time"];
      note("tell", words.length);
      return stream.pipe((async function* () { yield* words; })());
    });
    return Response.json({ begun, told });
  },
  // fails for good in the background
  "/tragedy": async () => {
    await step.run("begin", () => stream.push("alas"));
    await step.sleep("rest", "1s");
    throw new NonRetriableError("no happy end");
  },
  // is cancelled, so that it never says in its stream how it ended
  "/endless": async () => {
    await step.run("begin", () => stream.push("once"));
    await step.sleep("rest", "1d");
  },
  // without a step
  "/plain": async () => Response.json({ plain: true }),
};

const inngest = serve({ client, functions: [] });
http
  .createServer((req, res) => {
    const handler = routes[new URL(req.url, "http://localhost").pathname];
    if (handler) return serveEndpoint(client.endpoint(handler))(req, res);
    return inngest(req, res);
  })
  .listen(Number(port), "127.0.0.1");

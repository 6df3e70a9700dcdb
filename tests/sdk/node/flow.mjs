// A TypeScript app with a function for each rule of flow control: `node flow.mjs ts-v4-flow FOLDER PORT`.

import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

const [id, folder, port] = process.argv.slice(2);
const installed = createRequire(path.join(folder, "package.json"));
const { Inngest } = installed("inngest");
const { serve } = installed("inngest/node");

const rules = {
  throttle: { throttle: { limit: 1, period: "2s", burst: 1 } },
  rate: { rateLimit: { limit: 1, period: "1h", key: "event.data.k" } },
  idempotent: { idempotency: "event.data.k" },
  debounce: { debounce: { period: "2s", key: "event.data.k" } },
  batch: { batchEvents: { maxSize: 3, timeout: "2s" } },
  skip: { singleton: { mode: "skip", key: "event.data.k" } },
  cancel: { singleton: { mode: "cancel", key: "event.data.k" } },
  priority: { priority: { run: "event.data.p" }, throttle: { limit: 1, period: "2s", burst: 0 } },
};

const client = new Inngest({ id });
const functions = Object.entries(rules).map(([name, rule]) =>
  client.createFunction(
    { id: name, ...rule, triggers: [{ event: `${id}/${name}` }] },
    async ({ events, step }) => {
      if (name === "skip" || name === "cancel") await step.sleep("rest", "1s");
      return step.run("seen", () => events.map((event) => event.data.n));
    },
  ),
);
http.createServer(serve({ client, functions })).listen(Number(port), "127.0.0.1");

// The scenarios' functions, the same as those of the Python apps.

import fs from "node:fs";

const LARGE = "x".repeat(1_500_000);

// Step bodies that leave their mark in the effects log, one line an execution.
function marking(log) {
  const counts = new Map();
  const note = (runId, step, attempt, more = {}) => {
    fs.appendFileSync(log, `${JSON.stringify({ run_id: runId, step, attempt, ...more })}\n`);
    const key = `${runId} ${step}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
    return counts.get(key);
  };
  const value = (ctx, step, result) => async () => {
    note(ctx.runId, step, ctx.attempt);
    return result;
  };
  const failing = (ctx, step, error, times = 1000) => async () => {
    const count = note(ctx.runId, step, ctx.attempt);
    if (count <= times) throw error();
    return count;
  };
  return { note, value, failing };
}

function plain({ note, value }) {
  return {
    noop: async (ctx) => {
      note(ctx.runId, "body", ctx.attempt);
      return { ok: true, echo: ctx.event.data };
    },
    sequential: async (ctx) => {
      const found = [];
      for (const [i, s] of ["a", "b", "c"].entries()) {
        found.push(await ctx.step.run(s, value(ctx, s, i + 1)));
      }
      return found;
    },
    parallel: async (ctx) => {
      const found = await Promise.all(
        ["a", "b", "c"].map((s, i) => ctx.step.run(s, value(ctx, s, i + 1))),
      );
      const sum = found.reduce((a, b) => a + b, 0);
      return ctx.step.run("sum", value(ctx, "sum", sum));
    },
    sleep: async (ctx) => {
      await ctx.step.run("before", value(ctx, "before", null));
      await ctx.step.sleep("rest", "1s");
      return ctx.step.run("after", value(ctx, "after", "rested"));
    },
    nap: async (ctx) => {
      await ctx.step.sleep("nap", "1h");
    },
    given: async (ctx) => {
      await ctx.step.run("first", value(ctx, "first", 1));
      return ctx.step.run("given", (what) => value(ctx, "given", what)(), "old");
    },
    large: async (ctx) => {
      let total = 0;
      for (const s of ["a", "b", "c"]) {
        total += (await ctx.step.run(s, value(ctx, s, LARGE))).length;
      }
      return total;
    },
  };
}

function failures(sdk, { value, failing }) {
  const notYet = () => new Error("not yet");
  return {
    retry: async (ctx) => ctx.step.run("flaky", failing(ctx, "flaky", notYet, 2)),
    function_retry: async (ctx) => failing(ctx, "body", notYet, 2)(),
    no_retry: async (ctx) => {
      const never = () => new sdk.NonRetriableError("never");
      return ctx.step.run("hopeless", failing(ctx, "hopeless", never));
    },
    retry_after: async (ctx) => {
      const later = () => new sdk.RetryAfterError("later", "3s");
      return ctx.step.run("later", failing(ctx, "later", later, 1));
    },
    failure: async (ctx) => {
      return ctx.step.run("boom", failing(ctx, "boom", () => new Error("boom")));
    },
    caught: async (ctx) => {
      let message;
      try {
        await ctx.step.run("bad", failing(ctx, "bad", () => new Error("bad luck")));
      } catch (error) {
        message = error.message;
      }
      return ctx.step.run("after", value(ctx, "after", { caught: message }));
    },
  };
}

// Make every function, each triggered by `<app>/<scenario>`.
export function define(sdk, create, app, log) {
  const marks = marking(log);
  const handlers = {
    ...plain(marks),
    ...failures(sdk, marks),
    send: async (ctx) => {
      const sent = await ctx.step.sendEvent("send", {
        name: `${app}/child`,
        data: { parent: ctx.runId },
      });
      return sent.ids;
    },
    child: async (ctx) => {
      marks.note(ctx.runId, "child", ctx.attempt, { parent: ctx.event.data.parent });
      return "grown up";
    },
  };
  const onFailure = async ({ event, attempt }) => {
    const { run_id, error } = event.data;
    marks.note(run_id, "on_failure", attempt, { error });
  };
  const retries = { failure: 0, caught: 0 };
  return Object.entries(handlers).map(([id, handler]) =>
    create(
      { id, retries: retries[id] ?? 3, ...(id === "failure" ? { onFailure } : {}) },
      `${app}/${id}`,
      handler,
    ),
  );
}

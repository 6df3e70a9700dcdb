// The scenarios that wait, the same as those of the Python apps, and signals.

export function defineWaits(sdk, create, app) {
  const make = (id, handler) => create({ id, retries: 0 }, `${app}/${id}`, handler);

  const child = make("invoked", async ({ event, step }) => ({
    got: await step.run("look", () => event.data.n),
  }));
  const failing = make("invoked_fails", async () => {
    throw new sdk.NonRetriableError("child broke");
  });
  const sleeping = make("invoked_sleeps", async ({ step }) => step.sleep("long", "1m"));

  // waits beside a step that sends an event of number 1 and one of number 2
  const waiting = async ({ runId, step }, wanted, timeout) => {
    const name = `${app}/awaited`;
    const [found] = await Promise.all([
      step.waitForEvent("wait", {
        event: name,
        if: `async.data.run == '${runId}' && async.data.n == ${wanted}`,
        timeout,
      }),
      step.sendEvent("send", [1, 2].map((n) => ({ name, data: { n, run: runId } }))),
    ]);
    return found === null ? null : [found.name, found.data.n];
  };

  const errorOf = async (call) => {
    try {
      await call();
    } catch (error) {
      return [error.name, error.message];
    }
    return null;
  };

  const handlers = {
    wait: (ctx) => waiting(ctx, 2, "1m"),
    wait_in_vain: (ctx) => waiting(ctx, 3, "1s"),
    wait_timeout: async ({ step }) => {
      const found = await step.waitForEvent("wait", { event: `${app}/never`, timeout: "1s" });
      return found === null ? "timed out" : found.name;
    },
    invoke: ({ step }) => step.invoke("call", { function: child, data: { n: 7 } }),
    invoke_by_id: ({ step }) =>
      step.invoke("call", {
        function: sdk.referenceFunction({ appId: app, functionId: "invoked" }),
        data: { n: 8 },
      }),
    invoke_many: ({ step }) =>
      Promise.all(
        [0, 1, 2].map((n) => step.invoke(`call-${n}`, { function: child, data: { n } })),
      ),
    invoke_fails: ({ step }) =>
      errorOf(() => step.invoke("call", { function: failing, data: {} })),
    invoke_timeout: ({ step }) =>
      errorOf(() => step.invoke("call", { function: sleeping, data: {}, timeout: "1s" })),
    invoke_unknown: ({ step }) =>
      errorOf(() =>
        step.invoke("call", {
          function: sdk.referenceFunction({ functionId: "nobody" }),
          data: {},
        }),
      ),
    signal: async ({ runId, step }) => {
      const signal = `go/${runId}`;
      const [found, sent] = await Promise.all([
        step.waitForSignal("wait", { signal, timeout: "1m", onConflict: "fail" }),
        step.sendSignal("send", { signal, data: { n: 5 } }),
      ]);
      return [found.data, sent.runId === runId];
    },
    signal_timeout: async ({ runId, step }) => {
      const opts = { signal: `never/${runId}`, timeout: "1s", onConflict: "replace" };
      return { found: await step.waitForSignal("wait", opts) };
    },
  };
  const made = Object.entries(handlers).map(([id, handler]) => make(id, handler));
  return [child, failing, sleeping, ...made];
}

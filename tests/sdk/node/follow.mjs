// Calls a durable endpoint and follows its stream, as a browser does: `node follow.mjs FOLDER URL`.
// Prints a line of JSON for each thing that happens, the endpoint's answer last.

import { createRequire } from "node:module";
import path from "node:path";

const [folder, url] = process.argv.slice(2);
const installed = createRequire(path.join(folder, "package.json"));
const { fetchWithStream } = installed("inngest/experimental/durable-endpoints/client");

const tell = (what) => (found) => console.log(JSON.stringify({ what, ...found }));
const answer = await fetchWithStream(url, {
  onMetadata: tell("run"),
  onData: tell("data"),
  onCommit: tell("commit"),
  onRollback: tell("rollback"),
});
tell("answer")({ status: answer.status, body: await answer.text() });

// Given [[FILE, BASE or null], ...] on standard input: for each, a line with the list of its lines of the protocol.
import { readFileSync } from "node:fs";
import { lines } from "../../codec/js/tools/dcz-cat.mjs";

for (const [file, base] of JSON.parse(readFileSync(0, "utf8"))) {
  console.log(JSON.stringify(await lines(file, base ?? undefined)));
}

// Given [[FRAME, size], ...] in base64 on standard input: for each, what it decodes to in base64, or null if it is refused.
import { readFileSync } from "node:fs";
import decompress from "../../codec/js/zstd.mjs";

for (const [frame, size] of JSON.parse(readFileSync(0, "utf8"))) {
  let out = null;
  try {
    out = Buffer.from(decompress(Buffer.from(frame, "base64"), size)).toString("base64");
  } catch (error) {
    if (!/^zstd: /.test(error.message)) throw error;
  }
  console.log(JSON.stringify(out));
}

#!/usr/bin/env node
// Prints a line of JSON for each tensor of a dcz file, as codec/c/tools/dcz-cat does (the protocol of spec/README.md).
//
//     node dcz-cat.mjs --json FILE [--base BASE]
//     node dcz-cat.mjs FILE NAME > WORDS
//
// DCZ_WASM names the WebAssembly module where it is not beside dcz.mjs.

import { open, readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import * as dcz from "../dcz.mjs";
import decompress from "../zstd.mjs";

const CLASSES = { FormatError: "format", ChecksumError: "checksum", TruncatedError: "truncated", UnsupportedError: "unsupported", LimitError: "limit", BaseError: "base" };
const MOST = 2 ** 34; // bytes of a tensor that is decoded

async function source(path) {
  const handle = await open(path);
  const { size } = await handle.stat();
  const read = async (offset, length) => {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(length), 0, length, offset);
    return new Uint8Array(buffer.buffer, buffer.byteOffset, bytesRead);
  };
  return { size, read, close: () => handle.close() };
}

const wasm = process.env.DCZ_WASM ? await readFile(process.env.DCZ_WASM) : undefined;

// What a function makes of an open file.
async function using(path, basePath, job) {
  const from = await source(path), base = basePath && await source(basePath);
  try {
    const options = { zstd: decompress, wasm };
    return await job(await dcz.Dcz.open(from, { ...options, base: base && await dcz.Dcz.open(base, options) }));
  } finally {
    await from.close();
    await base?.close();
  }
}

// Numbers above 2^53 are BigInt, which JSON.stringify does not take.
const json = (value) => Array.isArray(value) ? `[${value.map(json).join(", ")}]` : typeof value === "bigint" ? String(value) : JSON.stringify(value);

async function line(model, name, info) {
  try {
    const crc = (await model.crc32c(await model.bytes(name))).toString(16).padStart(8, "0");
    return `{"name": ${json(name)}, "dtype": ${json(info.dtype)}, "shape": ${json(info.shape)}, "content_crc32c": "${crc}"}`;
  } catch (error) {
    const needsBase = error instanceof dcz.BaseError && /it needs its base/.test(error.message);
    if (!(error instanceof dcz.UnsupportedError || needsBase)) throw error;
    return `{"name": ${json(name)}, "unsupported": ${json(error.message)}}`;
  }
}

async function all(model) {
  const large = model.tensors.find((info) => info.nbytes > MOST && !info.unsupported);
  if (large) throw new dcz.LimitError(`a tensor has ${large.nbytes} bytes; the limit is ${MOST}`);
  await model.verify();
  const out = [];
  for (const info of model.tensors) out.push(await line(model, info.name, info));
  for (const { name, index } of model.aliases) out.push(await line(model, name, model.tensors[index]));
  return out;
}

/** The lines of the protocol. */
export async function lines(path, basePath) {
  try {
    return await using(path, basePath, all);
  } catch (error) {
    if (!(error instanceof dcz.DczError)) throw error;
    return [json({ error: CLASSES[error.name] ?? "dcz", message: error.message })];
  }
}

async function main(words) {
  const take = (option, count) => {
    const at = words.indexOf(option);
    return at < 0 ? undefined : words.splice(at, 1 + count)[count];
  };
  const asJson = take("--json", 0), basePath = take("--base", 1), [path, name] = words;
  if (!path || words.length > 2 || (asJson === undefined) !== (name !== undefined)) {
    console.error("usage: dcz-cat.mjs --json FILE [--base BASE] | FILE NAME [--base BASE]");
    return 2;
  }
  if (asJson) {
    const found = await lines(path, basePath);
    if (found.length) console.log(found.join("\n"));
    return Number(found.length === 1 && "error" in JSON.parse(found[0]));
  }
  process.stdout.write(await using(path, basePath, (model) => model.bytes(name)));
  return 0;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.exitCode = await main(process.argv.slice(2)).catch((error) => {
    if (!(error instanceof dcz.DczError)) throw error;
    console.error(`dcz-cat: ${error.message}`);
    return 1;
  });
}

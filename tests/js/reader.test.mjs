// What dcz.mjs promises of sources, zstd functions and errors. DCZ_WASM, DCZ_FILE and DCZ_BASED name the module and files
// of which `expected` in DCZ_EXPECTED knows the words.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import test from "node:test";
import { pathToFileURL } from "node:url";
import * as dcz from "../../codec/js/dcz.mjs";
import decompress from "../../codec/js/zstd.mjs";

const { Dcz } = dcz, wasm = readFileSync(process.env.DCZ_WASM), file = readFileSync(process.env.DCZ_FILE);
const expected = JSON.parse(readFileSync(process.env.DCZ_EXPECTED, "utf8"));
const options = { wasm, zstd: decompress };

async function same(model) {
  assert.deepEqual(model.tensors.map(({ name }) => name), Object.keys(expected));
  for (const [name, { dtype, shape, crc32c }] of Object.entries(expected)) {
    const tensor = await model.tensor(name);
    assert.deepEqual([tensor.name, tensor.dtype, tensor.shape], [name, dtype, shape]);
    assert.equal(await model.crc32c(new Uint8Array(tensor.data.buffer)), crc32c, name);
  }
  await model.verify();
}

test("bytes, a part of a buffer, a Blob and a source of one's own", async () => {
  const copy = new Uint8Array(file), shifted = new Uint8Array(file.length + 3);
  shifted.set(file, 3);
  await same(await Dcz.open(copy, options));
  await same(await Dcz.open(copy.buffer, options));
  await same(await Dcz.open(shifted.subarray(3), options));
  await same(await Dcz.open(new Blob([file]), options));
  const read = async (offset, size) => copy.subarray(offset, offset + size);
  await same(await Dcz.open({ size: copy.length, read }, options));
  assert.equal(copy.length, file.length);
});

test("zstd by a function, by a promise, by a module, and without", async () => {
  let frames = 0;
  const later = async (frame, size) => (frames++, await null, decompress(frame, size));
  await same(await Dcz.open(file, { wasm, zstd: later }));
  assert.ok(frames > 2);
  await same(await Dcz.open(file, { wasm, zstd: new URL("../../codec/js/zstd.mjs", import.meta.url) }));
  await assert.rejects(Dcz.open(file, { wasm }), dcz.UnsupportedError);
  for (const zstd of [() => { throw Error("no"); }, async () => { throw Error("no"); }, () => new Uint8Array(3), async () => new Uint8Array(3)])
    await assert.rejects(Dcz.open(file, { wasm, zstd }), dcz.FormatError);
});

async function served(answer, use) {
  const asked = [], server = createServer((request, response) => {
    asked.push(request.headers.range ?? request.method);
    answer(request, response, /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? ""));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await use(`http://127.0.0.1:${server.address().port}/model.dcz`, asked);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const ranges = (headers = {}) => (request, response, range) => {
  const part = file.subarray(Number(range[1]), Math.min(file.length, Number(range[2]) + 1));
  response.writeHead(206, { "Content-Range": `bytes ${range[1]}-${Number(range[1]) + part.length - 1}/${file.length}`, ...headers }).end(part);
};

test("a URL by ranges reads what is asked for and no more", async () => {
  await served(ranges(), async (url, asked) => {
    const model = await Dcz.open(url, options);
    assert.ok(asked.length <= 3, "head, end, and a large index");
    const info = model.names.get("large"), before = asked.length;
    await model.tensor("large");
    const bytes = asked.slice(before).map((range) => range.match(/\d+/g).map(Number)).reduce((sum, [a, b]) => sum + b - a + 1, 0);
    assert.ok(bytes >= info.stored && bytes <= info.stored + 4096, `${bytes} of ${info.stored}`);
    await same(model);
  });
});

test("a server without ranges, one that refuses, one whose file changes", async () => {
  await served((request, response) => response.end(file), async (url, asked) => {
    await same(await Dcz.open(new URL(url), options));
    assert.equal(asked.length, 1);
  });
  await served((request, response) => response.writeHead(404).end(), (url) => assert.rejects(Dcz.open(url, options), /404/));
  let count = 0;
  await served((...a) => ranges({ ETag: `"${count++ < 2 ? 1 : 2}"` })(...a), async (url) => {
    const model = await Dcz.open(url, options);
    await assert.rejects(model.tensor("large"), /has changed/);
  });
});

test("a source that fails passes its error through, at every call, and can be used again", async () => {
  let calls = 0, fails = -1;
  const read = (offset, size) => {
    if (calls++ === fails) throw new RangeError("the disk is gone");
    return file.subarray(offset, offset + size);
  };
  const work = async () => {
    const model = await Dcz.open({ size: file.length, read }, options);
    for (const name of ["large", "bytes"]) await model.tensor(name);
  };
  await work();
  for (const total = calls; ++fails < total;) {
    calls = 0;
    await assert.rejects(work(), RangeError, `call ${fails} of ${total}`);
  }
  calls = 0, fails = -1;
  const model = await Dcz.open({ size: file.length, read }, options);
  fails = calls;
  await assert.rejects(model.tensor("large"), RangeError);
  fails = -1;
  await same(model);
  const short = await Dcz.open({ size: file.length, read: (offset, size) => file.subarray(offset, Math.min(offset + size, file.length)) }, options);
  await same(short);
  await assert.rejects(Dcz.open({ size: file.length + 9, read: () => new Uint8Array(1) }, options), dcz.TruncatedError);
});

test("ranges of chunks are parts of the whole", async () => {
  const model = await Dcz.open(file, options), { chunks, chunk, wordSize } = model.names.get("large"), whole = await model.bytes("large");
  assert.ok(chunks > 2);
  assert.deepEqual(await model.chunks("large", 1, 1), whole.subarray(chunk * wordSize, 2 * chunk * wordSize));
  assert.deepEqual(await model.chunks("large", chunks - 1, 1), whole.subarray((chunks - 1) * chunk * wordSize));
  assert.equal((await model.chunks("large", 0, 0)).length, 0);
  await assert.rejects(model.chunks("large", chunks, 1), dcz.DczError);
  for (const [first, count] of [[-1, 1], [0.5, 1], [0, NaN], ["0", 1]]) await assert.rejects(model.chunks("large", first, count), dcz.DczError);
});

test("calls at the same time", async () => {
  const model = await Dcz.open(file, { wasm, zstd: async (...a) => decompress(...a) });
  const all = await Promise.all(Object.keys(expected).map((name) => model.bytes(name)));
  for (const [i, { crc32c }] of Object.values(expected).entries()) assert.equal(await model.crc32c(all[i]), crc32c);
});

test("names, metadata, and what is not there", async () => {
  const model = await Dcz.open(file, options);
  assert.deepEqual(model.metadata, { note: "é", list: [1, -5, 2.5, null, true, { deep: 2 ** 40 }], big: 2n ** 64n - 1n, low: -(2n ** 63n), __proto__x: 1 });
  assert.deepEqual(Object.keys(model.extensions), []);
  assert.equal(model.names.get("tied").name, model.tensors[model.aliases[0].index].name);
  assert.deepEqual((await model.tensor("tied")).data, (await model.tensor("few")).data);
  for (const name of ["", "x", "__proto__", "constructor"]) await assert.rejects(model.tensor(name), dcz.DczError);
  for (const wrong of [undefined, null, 5, {}, { size: 5 }, { size: -1.5, read() {} }]) await assert.rejects(Dcz.open(wrong, options), dcz.DczError);
});

test("a closed file, and a call that is given up", async () => {
  const model = await Dcz.open(file, options), gone = new AbortController();
  gone.abort();
  await assert.rejects(model.tensor("large", { signal: gone.signal }), { name: "AbortError" });
  model.close();
  await assert.rejects(model.tensor("large"), dcz.DczError);
});

test("differences to a base", async () => {
  const based = readFileSync(process.env.DCZ_BASED), base = await Dcz.open(file, options), want = await base.bytes("large");
  const model = await Dcz.open(based, { ...options, base });
  assert.ok(model.hasBase && !base.hasBase);
  const got = await model.tensor("large");
  assert.notDeepEqual(new Uint8Array(got.data.buffer), want);
  assert.equal(await model.crc32c(new Uint8Array(got.data.buffer)), model.names.get("large").crc32c);
  await assert.rejects((await Dcz.open(based, options)).tensor("large"), dcz.BaseError);
  const other = { names: base.names, bytes: async () => want.map((byte, i) => i === 5 ? byte ^ 1 : byte) };
  await assert.rejects((await Dcz.open(based, { ...options, base: other })).tensor("large"), dcz.BaseError);
});

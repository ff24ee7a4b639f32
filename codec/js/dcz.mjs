// A reader of dcz files for browsers, Node and other engines: the C reader (codec/c) as WebAssembly, one ES module, no
// dependencies. `dcz.d.ts` describes what it exports.
//
// WebAssembly never waits: a call that lacks bytes of the file, or a zstd frame's content, ends with what it needs. It
// is then fetched here, and the call is made again. So sources and zstd functions may be asynchronous, and the same
// code drives the reader in this thread and in a worker.

const CLASSES = ["", "Format", "Checksum", "Truncated", "Unsupported", "Limit", "Base", "Limit", "", "Dcz"];
const PIECE = 1 << 16; // bytes that opening asks for at once
const BATCH = 1 << 25; // bytes that are decoded at once
const LARGEST = 1n << 31n; // bytes of one allocation in WebAssembly
const TYPES = {
  I8: "Int8Array", I4: "Int8Array", I2: "Int8Array", U16: "Uint16Array", I16: "Int16Array", U32: "Uint32Array", I32: "Int32Array",
  U64: "BigUint64Array", I64: "BigInt64Array", F16: "Float16Array", F32: "Float32Array", F64: "Float64Array",
  C64: "Float32Array", C128: "Float64Array",
};
const BY_SIZE = { 1: "Uint8Array", 2: "Uint16Array", 4: "Uint32Array", 8: "BigUint64Array" };

/** Base of all errors of this reader. */
export class DczError extends Error {
  constructor(message) {
    super(message);
    this.name = new.target.name;
  }
}
export class FormatError extends DczError {}
export class ChecksumError extends DczError {}
export class TruncatedError extends DczError {}
export class UnsupportedError extends DczError {}
export class LimitError extends DczError {}
export class BaseError extends DczError {}
const ERRORS = { Dcz: DczError, Format: FormatError, Checksum: ChecksumError, Truncated: TruncatedError,
  Unsupported: UnsupportedError, Limit: LimitError, Base: BaseError };

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const number = (big) => big <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(big) : big;

// -- The reader in WebAssembly: here, or in a worker

class Core {
  constructor(module) {
    const imports = { host_read: (...a) => this.#read(...a), host_zstd: (...a) => this.#zstd(...a) };
    this.wasm = new WebAssembly.Instance(module, { dcz: imports }).exports;
    this.pieces = []; // of the file: { offset, bytes }
    this.frames = new Map(); // what zstd frames decode to, by their bytes in the file
    this.needs = null;
  }

  // Does it, or says what it needs first: bytes of the file, or what a zstd frame decodes to.
  run({ command, given, release, ...rest }) {
    if (given?.bytes) this.pieces.push(given);
    if (given?.content) this.frames.set(given.key, given.content);
    this.needs = null;
    try {
      const value = this[command](rest);
      if (release !== false) this.#forget();
      return { value };
    } catch (error) {
      if (this.needs) return { needs: this.needs };
      this.#forget();
      return { error: { kind: ERRORS[error.kind] ? error.kind : "Dcz", message: error.message } };
    }
  }

  #forget() {
    this.pieces = [];
    this.frames.clear();
  }

  #bytes(address, size) {
    return new Uint8Array(this.wasm.memory.buffer, address >>> 0, size >>> 0);
  }

  // Imported by WebAssembly: 0, or 1 where it failed.
  #read(offset, to, size) {
    const at = Number(offset), length = size >>> 0;
    const piece = this.pieces.find((p) => p.offset <= at && at + length <= p.offset + p.bytes.length);
    if (!piece) return this.needs = { offset: at, size: length }, 1;
    this.#bytes(to, length).set(piece.bytes.subarray(at - piece.offset, at - piece.offset + length));
    return 0;
  }

  #zstd(to, size, from, length) {
    const frame = this.#bytes(from, length), key = `${size >>> 0} ${this.wasm.crc32c(0, from, length)} ${length >>> 0}`;
    let content = this.frames.get(key);
    try {
      content ??= this.zstd?.(frame.slice(), size >>> 0);
    } catch {
      return 1;
    }
    if (!content) return this.needs = { frame: frame.slice(), size: size >>> 0, key }, 1;
    if (content.then) return this.needs = { content, size: size >>> 0, key }, 1;
    if (content.length !== size >>> 0) return 1;
    this.#bytes(to, size).set(content);
    return 0;
  }

  #call(name, ...args) {
    const status = this.wasm[name](...args);
    if (!status) return;
    const bytes = this.#bytes(this.wasm.message(), 240);
    throw Object.assign(Error(utf8.decode(bytes.subarray(0, bytes.indexOf(0)))), { kind: CLASSES[status] || "Dcz" });
  }

  #answer(count) {
    return new BigUint64Array(this.wasm.memory.buffer, this.wasm.answer(), count).slice();
  }

  // Text and bytes of the last answer.
  #told(answer, at) {
    return this.#bytes(Number(answer[at]), Number(answer[at + 1])).slice();
  }

  // Memory for the time of a function.
  #with(size, use) {
    const address = this.wasm.allocate(Math.max(size, 1)) >>> 0;
    if (!address) throw Object.assign(Error(`no memory for ${size} bytes`), { kind: "Limit" });
    try {
      return use(address);
    } finally {
      this.wasm.release(address);
    }
  }

  open({ size }) {
    this.#call("open", BigInt(size), LARGEST);
    const answer = this.#answer(8), metadata = this.#told(answer, 3), extensions = this.#told(answer, 5);
    const tensors = Array.from({ length: Number(answer[0]) }, (_, i) => this.#describe(i));
    const aliases = Array.from({ length: Number(answer[1]) }, (_, i) => this.#alias(i));
    return { tensors, aliases, hasBase: answer[2] !== 0n, metadata, extensions };
  }

  #describe(index) {
    this.#call("describe", index);
    const a = this.#answer(32), text = (at) => utf8.decode(this.#told(a, at));
    const [words, wordSize, nbytes, nonzeros, crc32c, sameAs, positions, values, chunk, chunks, entries, group, offset, stored, codes,
      transform, storedCodebooks, storedPositions] = Array.from(a.subarray(12, 30), number);
    const shape = a[11] ? Array.from(new BigUint64Array(this.wasm.memory.buffer, Number(a[10]), Number(a[11])), number) : [];
    return { name: text(0), index, dtype: text(2), shape, words, wordSize, nbytes, nonzeros, crc32c, sameAs, positions, values, chunk,
      chunks, entries, group, offset, stored, storedCodebooks, storedPositions, codes, transform, baseName: text(4),
      metadata: this.#told(a, 6), unsupported: text(8) };
  }

  #alias(index) {
    this.#call("alias", index);
    const answer = this.#answer(3);
    return { name: utf8.decode(this.#told(answer, 0)), index: Number(answer[2]) };
  }

  locate({ index, first, count }) {
    this.#call("locate", index, BigInt(first), BigInt(count));
    return Array.from(this.#answer(2), Number);
  }

  decode({ index, first, count, size }) {
    return this.#with(size, (at) => {
      this.#call("decode", index, BigInt(first), BigInt(count), at, size);
      return this.#bytes(at, size).slice();
    });
  }

  apply({ index, words }) {
    return this.#with(words.length, (at) => {
      this.#bytes(at, words.length).set(words);
      this.#call("apply", index, at, words.length);
      return this.#bytes(at, words.length).slice();
    });
  }

  verify({ index }) {
    this.#call("verify", index);
  }

  crc({ words }) {
    return this.#with(words.length, (at) => {
      this.#bytes(at, words.length).set(words);
      return this.wasm.crc32c(0, at, words.length) >>> 0;
    });
  }
}

// -- The worker: this module again

const WORKER = "dcz reader";

async function start({ wasm, zstd }) {
  const core = new Core(await WebAssembly.compile(wasm));
  if (zstd) core.zstd = (await import(zstd)).default;
  return core;
}

if (typeof WorkerGlobalScope !== "undefined" && globalThis.name === WORKER) {
  let core;
  globalThis.onmessage = async ({ data: { id, ...job } }) => {
    try {
      core ??= start(job);
      const result = job.wasm ? (await core, {}) : (await core).run(job);
      const moved = [result.value?.buffer, result.needs?.frame?.buffer].filter(Boolean);
      globalThis.postMessage({ id, ...result }, moved);
    } catch (error) {
      globalThis.postMessage({ id, error: { kind: "Dcz", message: String(error.message ?? error) } });
    }
  };
  globalThis.postMessage({ id: 0 }); // it listens now
}

// Runs a core's jobs in a worker.
class Remote {
  constructor(made) {
    this.worker = typeof made === "function" ? made(WORKER) : new Worker(made, { type: "module", name: WORKER });
    this.waiting = new Map();
    this.count = 0;
    this.ready = new Promise((resolve, reject) => this.waiting.set(0, { resolve, reject }));
    this.worker.onmessage = ({ data: { id, ...result } }) => this.#end(id, (job) => job.resolve(result));
    this.worker.onerror = (event) => {
      event.preventDefault?.();
      const error = new DczError(`the worker ended: ${event.message || "its module cannot be loaded"}`);
      this.#endAll(error);
    };
  }

  #endAll(error) {
    for (const id of [...this.waiting.keys()]) this.#end(id, (job) => job.reject(error));
  }

  #end(id, how) {
    const job = this.waiting.get(id);
    this.waiting.delete(id);
    if (job) how(job);
  }

  async run(job) {
    await this.ready;
    return new Promise((resolve, reject) => {
      this.waiting.set(++this.count, { resolve, reject });
      this.worker.postMessage({ id: this.count, ...job });
    });
  }

  close() {
    this.worker.terminate();
    this.#endAll(new DczError("the file is closed"));
  }
}

// -- Where the bytes come from

// A URL, by range requests; or whole, where the server does not know them.
async function remote(url, options) {
  const ask = (first, size) => fetch(url, { ...options, headers: { ...options?.headers, Range: `bytes=${first}-${first + size - 1}` } });
  const bytes = async (response) => new Uint8Array(await response.arrayBuffer());
  const version = (response) => response.headers.get("ETag") ?? response.headers.get("Last-Modified");
  const check = (response) => {
    if (!response.ok && response.status !== 416) throw new DczError(`${url}: the server answers ${response.status} ${response.statusText}`);
  };
  const first = await ask(0, PIECE);
  check(first);
  if (first.status === 416) return memory(new Uint8Array());
  const begin = await bytes(first);
  if (first.status !== 206) return memory(begin);
  let total = /\/(\d+)$/.exec(first.headers.get("Content-Range") ?? "")?.[1];
  // Servers of another origin may hide Content-Range; a page of less than was asked for is the whole of it.
  if (total === undefined && begin.length < PIECE) total = begin.length;
  if (total === undefined) total = (await fetch(url, { ...options, method: "HEAD" })).headers.get("Content-Length");
  if (total === null || !(total >= begin.length)) throw new DczError(`${url}: the server does not say how long the file is`);
  return {
    size: Number(total),
    async read(offset, size) {
      if (offset + size <= begin.length) return begin.slice(offset, offset + size);
      const response = await ask(offset, size);
      check(response);
      const got = await bytes(response);
      if (version(response) !== version(first)) throw new DczError(`${url}: the file has changed since it was opened`);
      return response.status === 200 ? got.subarray(offset, offset + size) : got;
    },
  };
}

const memory = (bytes) => ({ size: bytes.length, read: (offset, size) => bytes.slice(offset, offset + size) });

function sourceOf(from, options) {
  if (typeof from === "string" || from instanceof URL) return remote(from, options.fetch);
  if (from instanceof ArrayBuffer) return memory(new Uint8Array(from));
  if (ArrayBuffer.isView(from)) return memory(new Uint8Array(from.buffer, from.byteOffset, from.byteLength));
  if (typeof Blob !== "undefined" && from instanceof Blob)
    return { size: from.size, read: async (offset, size) => new Uint8Array(await from.slice(offset, offset + size).arrayBuffer()) };
  if (typeof from?.read === "function" && Number.isSafeInteger(from.size)) return from;
  throw new DczError("a dcz file is opened by URL, Blob, ArrayBuffer, Uint8Array or { size, read(offset, size) }");
}

// The bytes of the WebAssembly module: beside this module unless they are given.
let beside;
async function wasmBytes(given) {
  if (given && !(given instanceof URL) && typeof given !== "string") return given;
  const url = new URL(given ?? "./dcz.wasm", import.meta.url);
  const load = async () => {
    if (url.protocol === "file:" && globalThis.process?.versions?.node)
      return (await import("node:fs/promises")).readFile(url);
    const response = await fetch(url);
    if (!response.ok) throw new DczError(`${url}: the server answers ${response.status}`);
    return response.arrayBuffer();
  };
  return given ? load() : beside ??= load().catch((error) => { throw beside = undefined, error; });
}

// -- A file

/** An open file. */
export class Dcz {
  #core; #source; #zstd; #base; #queue = Promise.resolve(); #closed = false; #restarts = false;

  /** Opens a URL, Blob, ArrayBuffer, Uint8Array or { size, read }. */
  static async open(from, options = {}) {
    const file = new Dcz();
    file.#source = await sourceOf(from, options);
    file.#base = options.base;
    const module = typeof options.zstd === "string" || options.zstd instanceof URL ? String(options.zstd) : undefined;
    const wasm = await wasmBytes(options.wasm);
    if (options.worker ?? typeof Worker !== "undefined") {
      file.#core = new Remote(options.worker === undefined || options.worker === true ? import.meta.url : options.worker);
      const { error } = await file.#core.run({ wasm, zstd: module });
      if (error) throw new DczError(error.message);
    } else {
      file.#core = await start({ wasm, zstd: module });
      file.#core.zstd ??= options.zstd;
    }
    file.#zstd = module ? undefined : options.zstd;
    try {
      const size = file.#source.size, end = Math.max(0, size - PIECE);
      const pieces = [[0, Math.min(size, 8)], [end, size - end]].filter(([, length]) => length);
      Object.assign(file, await file.#exclusive(() => file.#run({ command: "open", size }, pieces)));
    } catch (error) {
      file.close();
      throw error;
    }
    file.metadata = unpack(file.metadata);
    file.extensions = unpack(file.extensions);
    for (const each of file.tensors) each.metadata = each.metadata.length ? unpack(each.metadata) : {};
    file.size = file.#source.size;
    file.names = new Map(file.tensors.map((each) => [each.name, each]));
    for (const { name, index } of file.aliases) file.names.set(name, file.tensors[index]);
    return file;
  }

  /** A tensor: { name, dtype, shape, data }, its data an array of the type that fits the dtype. */
  async tensor(name, options = {}) {
    const info = this.#info(name), bytes = await this.#words(info, options);
    return { name, dtype: info.dtype, shape: info.shape, data: typed(info, bytes) };
  }

  /** The words of a tensor as bytes, little-endian, in C order. */
  async bytes(name, options = {}) {
    return this.#words(this.#info(name), options);
  }

  /** The words of chunks `first` to `first + count` of a tensor. */
  async chunks(name, first, count) {
    const info = this.tensors[this.#info(name).sameAs];
    if (!(Number.isSafeInteger(first + count) && first >= 0 && count >= 0 && first + count <= info.chunks))
      throw new DczError(`${name}: chunks ${first} to ${first + count} are asked for; there are ${info.chunks}`);
    if (info.unsupported || info.transform) throw new UnsupportedError(`${name}: its chunks cannot be decoded on their own`);
    return this.#exclusive(() => this.#decode(info, first, count));
  }

  /** Decodes a tensor, or all of them, and checks everything that can be checked without the base. */
  async verify(name) {
    const some = name === undefined ? this.tensors : [this.#info(name)];
    return this.#exclusive(async () => {
      for (const { index, stored, offset } of some) await this.#run({ command: "verify", index }, split(Math.max(0, offset - 64), stored ? offset + stored : 0));
    });
  }

  /** CRC-32C of bytes, as `crc32c` of a tensor is of its words. */
  crc32c(bytes) {
    return this.#exclusive(() => this.#run({ command: "crc", words: bytes }));
  }

  /** Ends the worker, and every call that still runs. */
  close() {
    this.#closed = true;
    this.#core.close?.();
  }

  #info(name) {
    const info = this.names.get(name);
    if (!info) throw new DczError(`there is no tensor ${JSON.stringify(name)}`);
    return info;
  }

  // One call at a time: a call that needs something is made again.
  #exclusive(job) {
    const next = this.#queue.then(job);
    this.#queue = next.catch(() => {});
    return next;
  }

  async #words(info, { signal } = {}) {
    const holder = this.tensors[info.sameAs];
    if (info.unsupported || holder.unsupported)
      throw new UnsupportedError(`${info.name}: its ${holder.unsupported || info.unsupported} is not known here`);
    if (holder.transform) return this.#applied(holder);
    return this.#exclusive(() => this.#decode(holder, 0, holder.chunks, signal));
  }

  // Chunk ranges, a few at a time, into one buffer: so the whole may be larger than WebAssembly's memory.
  async #decode(info, first, count, signal) {
    const { index, chunk, wordSize, words } = info;
    if (!count) return new Uint8Array();
    const end = first + count, total = (Math.min(words, end * chunk) - first * chunk) * wordSize;
    let out, step = Math.max(1, Math.floor(BATCH / (chunk * wordSize)));
    try {
      out = new Uint8Array(total);
    } catch {
      throw new LimitError(`${info.name}: no memory for ${total} bytes; read some chunks at a time`);
    }
    const [books] = await this.#run({ command: "locate", index, first: 0, count: 0 });
    const before = Math.max(0, info.offset - 64);
    for (let at = first, done = 0; at < end; at += step) {
      signal?.throwIfAborted();
      if (info.codes & 8 && this.#restarts) step = 1; // each frame that is not there yet begins the batch anew
      const n = Math.min(step, end - at), size = (Math.min(words, (at + n) * chunk) - at * chunk) * wordSize;
      const [offset, stored] = await this.#run({ command: "locate", index, first: at, count: n });
      const pieces = offset === books ? split(before, offset + stored) : [...split(before, books), ...split(offset, offset + stored)];
      const part = await this.#run({ command: "decode", index, first: at, count: n, size }, pieces);
      if (part.length === total) return part;
      out.set(part, done);
      done += size;
    }
    return out;
  }

  async #applied(info) {
    if (!this.#base) throw new BaseError(`${info.name}: it needs its base: give it to Dcz.open as \`base\``);
    const old = this.#base.names.get(info.baseName);
    if (!old || old.dtype !== info.dtype || old.nbytes !== info.nbytes)
      throw new BaseError(`${info.name}: the base lacks ${JSON.stringify(info.baseName)}, or has it with another dtype or size`);
    const words = await this.#base.bytes(info.baseName);
    return this.#exclusive(() => this.#run({ command: "apply", index: info.index, words }, split(Math.max(0, info.offset - 64), info.offset + info.stored)));
  }

  // Runs a command until it needs nothing more. `pieces` of the file are read before.
  async #run(job, pieces = []) {
    for (const [offset, size] of pieces) await this.#give({ offset, bytes: await this.#read(offset, size) });
    for (let given; ;) {
      if (this.#closed) throw new DczError("the file is closed");
      const { value, needs, error } = await this.#core.run({ ...job, given });
      if (error) throw new ERRORS[error.kind](error.message);
      if (!needs) return value;
      this.#restarts ||= "key" in needs;
      given = "key" in needs ? await this.#unzstd(needs) : { offset: needs.offset, bytes: await this.#read(needs.offset, needs.size) };
    }
  }

  #give(given) {
    return this.#core.run({ command: "keep", given, release: false });
  }

  async #read(offset, size) {
    const bytes = await this.#source.read(offset, size);
    if (bytes.length !== size) throw new TruncatedError(`reading ${size} bytes at ${offset} gave ${bytes.length}`);
    return bytes;
  }

  async #unzstd({ frame, size, key, content }) {
    if (!this.#zstd) throw new UnsupportedError("the file needs zstd: give Dcz.open a function as `zstd`");
    try {
      content = await (content ?? this.#zstd(frame, size));
    } catch (error) {
      throw new FormatError(`a zstd frame does not decode: ${error.message}`);
    }
    if (content?.length !== size) throw new FormatError(`a zstd frame has ${content?.length} bytes instead of ${size}`);
    return { key, content: content.slice() };
  }
}

Core.prototype.keep = () => undefined;

// Pieces of at most 64 MiB of what lies between two offsets.
function split(begin, end) {
  const out = [];
  for (let at = begin; at < end; at += 1 << 26) out.push([at, Math.min(1 << 26, end - at)]);
  return out;
}

function typed(info, bytes) {
  const type = globalThis[TYPES[info.dtype] ?? BY_SIZE[info.wordSize]] ?? globalThis[BY_SIZE[info.wordSize]];
  return new type(bytes.buffer, bytes.byteOffset, bytes.byteLength / type.BYTES_PER_ELEMENT);
}

// -- Metadata: the msgpack that SPEC 7.3 allows, which the reader has checked

function unpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const skip = (size) => (at += size) - size;
  const slice = (size) => bytes.slice(skip(size), at);
  const uint = (width) => width === 1 ? view.getUint8(skip(1)) : width === 2 ? view.getUint16(skip(2)) : width === 4 ? view.getUint32(skip(4)) : number(view.getBigUint64(skip(8)));
  const int = (width) => {
    const value = width === 8 ? view.getBigInt64(skip(8)) : BigInt(width === 1 ? view.getInt8(skip(1)) : width === 2 ? view.getInt16(skip(2)) : view.getInt32(skip(4)));
    return value < -BigInt(Number.MAX_SAFE_INTEGER) ? value : Number(value);
  };
  const list = (size) => Array.from({ length: size }, next);
  const map = (size) => {
    const out = {};
    for (let i = 0; i < size; i++) Object.defineProperty(out, next(), { value: next(), enumerable: true, writable: true, configurable: true });
    return out;
  };
  function next() {
    const byte = view.getUint8(skip(1));
    if (byte < 0x80) return byte;
    if (byte >= 0xE0) return byte - 256;
    if (byte < 0x90) return map(byte & 15);
    if (byte < 0xA0) return list(byte & 15);
    if (byte < 0xC0) return utf8.decode(slice(byte & 31));
    const width = (first) => 1 << (byte - first);
    if (byte === 0xC0) return null;
    if (byte <= 0xC3) return byte === 0xC3;
    if (byte <= 0xC6) return slice(uint(width(0xC4)));
    if (byte === 0xCB) return view.getFloat64(skip(8));
    if (byte <= 0xCF) return uint(width(0xCC));
    if (byte <= 0xD3) return int(width(0xD0));
    if (byte <= 0xDB) return utf8.decode(slice(uint(width(0xD9))));
    return byte <= 0xDD ? list(uint(2 * width(0xDC))) : map(uint(2 * width(0xDE)));
  }
  return next();
}

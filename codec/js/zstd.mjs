// Decodes a zstd frame (RFC 8878) where the platform has no zstd: hand it to Dcz.open, as a function or by its address.
// Dictionaries and checksums are not supported: frames of dcz files have neither.

const MAX_WINDOW = 8 << 20;
const MAX_BLOCK = 1 << 17;

const fail = (what) => {
  throw new Error(`zstd: ${what}`);
};

// Bits read backwards from the last bit that is set, as Huffman and sequence streams are; below the first bit are zeros.
class Backward {
  constructor(data, begin, end) {
    if (end <= begin || !data[end - 1]) fail("a bit stream does not end with a set bit");
    this.data = data;
    this.begin = begin;
    this.at = (end - begin) * 8 - (Math.clz32(data[end - 1]) - 24) - 1;
  }

  peek(count) {
    let at = this.at - count;
    if (at < 0) return at + count <= 0 ? 0 : (this.#low(0, at + count) << -at) >>> 0;
    return this.#low(at, count);
  }

  #low(at, count) {
    const d = this.data, i = this.begin + (at >> 3), shift = at & 7;
    const low = (d[i] | d[i + 1] << 8 | d[i + 2] << 16 | d[i + 3] << 24) >>> shift;
    return (low | (shift ? d[i + 4] << 32 - shift : 0)) & (count === 32 ? -1 : (1 << count) - 1);
  }

  read(count) {
    const value = count ? this.peek(count) >>> 0 : 0;
    this.at -= count;
    return value;
  }
}

// -- Finite state entropy: 4.1

// A table's states by their number: symbol, bits to read and base of the next state.
function fseTable(counts, log) {
  const size = 1 << log, symbols = new Uint8Array(size), bits = new Uint8Array(size), next = new Uint16Array(size);
  const seen = counts.map((count) => count < 0 ? 1 : count);
  let high = size, at = 0;
  counts.forEach((count, symbol) => {
    if (count < 0) symbols[--high] = symbol;
  });
  counts.forEach((count, symbol) => {
    for (let i = 0; i < count; i++) {
      symbols[at] = symbol;
      do at = at + (size >> 1) + (size >> 3) + 3 & size - 1; while (at >= high);
    }
  });
  if (at) fail("a table is not spread evenly");
  for (let i = 0; i < size; i++) {
    const state = seen[symbols[i]]++;
    bits[i] = log - (31 - Math.clz32(state));
    next[i] = (state << bits[i]) - size;
  }
  return { log, symbols, bits, next };
}

// Reads a table's description: the table, and where it ends.
function readFse(data, begin, end, mostLog, mostSymbols) {
  let at = 0;
  const read = (count) => {
    let value = 0;
    for (let i = 0; i < count; i++, at++) value |= (data[begin + (at >> 3)] >> (at & 7) & 1) << i;
    if (begin + (at + 7 >> 3) > end) fail("a table ends early");
    return value;
  };
  const log = read(4) + 5, counts = [];
  if (log > mostLog) fail("a table is too large");
  for (let left = (1 << log) + 1; left > 1;) {
    const width = 32 - Math.clz32(left), most = (1 << width) - 1 - left;
    let value = read(width - 1);
    if (value >= most) {
      value |= read(1) << width - 1;
      if (value >= 1 << width - 1) value -= most;
    }
    const count = value - 1;
    counts.push(count);
    left -= Math.abs(count);
    if (!count) for (let zeros = 3; zeros === 3;) {
      zeros = read(2);
      for (let i = 0; i < zeros; i++) counts.push(0);
    }
    if (counts.length > mostSymbols || left < 1) fail("a table has too many symbols");
  }
  return [fseTable(counts, log), begin + (at + 7 >> 3)];
}

// -- Huffman codes of literals: 4.2

function readWeights(data, begin, end) {
  const head = data[begin++], weights = [];
  if (head >= 128) {
    const count = head - 127, last = begin + (count + 1 >> 1);
    if (last > end) fail("weights end early");
    for (let i = 0; i < count; i++) weights.push(data[begin + (i >> 1)] >> (i & 1 ? 0 : 4) & 15);
    return [weights, last];
  }
  const last = begin + head;
  if (last > end) fail("weights end early");
  const [table, at] = readFse(data, begin, last, 6, 256);
  const stream = new Backward(data, at, last), states = [stream.read(table.log), stream.read(table.log)];
  if (stream.at < 0) fail("weights end early");
  for (let turn = 0; ; turn ^= 1) {
    weights.push(table.symbols[states[turn]]);
    const bits = table.bits[states[turn]];
    if (stream.at < bits) {
      weights.push(table.symbols[states[turn ^ 1]]);
      break;
    }
    states[turn] = table.next[states[turn]] + stream.read(bits);
    if (weights.length > 255) fail("there are too many weights");
  }
  return [weights, last];
}

function huffmanTable(weights) {
  const sum = weights.reduce((all, weight) => all + (weight ? 1 << weight - 1 : 0), 0);
  if (!sum) fail("a Huffman code has no symbols");
  const log = 32 - Math.clz32(sum), left = (1 << log) - sum;
  if (log > 11 || left & left - 1 || weights.length > 255) fail("a Huffman code is not complete");
  weights.push(32 - Math.clz32(left));
  const symbols = new Uint8Array(1 << log), bits = new Uint8Array(1 << log);
  let at = 0;
  for (let weight = 1; weight <= log; weight++)
    weights.forEach((each, symbol) => {
      if (each !== weight) return;
      symbols.fill(symbol, at, at + (1 << weight - 1));
      bits.fill(log + 1 - weight, at, at += 1 << weight - 1);
    });
  return { log, symbols, bits };
}

function decodeLiterals(table, data, begin, end, out, from, to) {
  const stream = new Backward(data, begin, end), { log, symbols, bits } = table;
  while (from < to) {
    const code = stream.peek(log);
    out[from++] = symbols[code];
    stream.at -= bits[code];
  }
  if (stream.at) fail("a stream of literals does not end where its symbols do");
}

// -- Sequences: 3.1.1.3.2

const LENGTH_BITS = [...Array(16).fill(0), 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
const MATCH_BITS = [...Array(32).fill(0), 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
const bases = (bits, first) => bits.map((_, i) => bits.slice(0, i).reduce((all, each) => all + 2 ** each, first));
const LENGTH_BASE = bases(LENGTH_BITS, 0), MATCH_BASE = bases(MATCH_BITS, 3);
const KINDS = [ // of literal lengths, offsets, match lengths: the predefined table, and the limits of others
  { counts: [4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1], log: 6, mostLog: 9, symbols: 36 },
  { counts: [1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1], log: 5, mostLog: 8, symbols: 32 },
  { counts: [1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1], log: 6, mostLog: 9, symbols: 53 },
];

// The literals of a block: their bytes, and where they end.
function readLiterals(data, at, end, state) {
  const head = data[at], type = head & 3, format = head >> 2 & 3;
  if (type < 2) {
    const bytes = format === 1 ? 2 : format === 3 ? 3 : 1;
    if (at + bytes > end) fail("literals end early");
    const number = data[at] | data[at + 1] << 8 | data[at + 2] << 16;
    const size = bytes === 1 ? head >> 3 : bytes === 2 ? (number & 0xFFFF) >> 4 : (number & 0xFFFFFF) >> 4;
    at += bytes;
    if (size > MAX_BLOCK || (type ? at + 1 : at + size) > end) fail("literals end early");
    return type ? [new Uint8Array(size).fill(data[at]), at + 1] : [data.subarray(at, at + size), at + size];
  }
  const bytes = format < 2 ? 3 : format + 2, width = [10, 10, 14, 18][format];
  if (at + bytes > end) fail("literals end early");
  let number = 0;
  for (let i = bytes; i-- > 0;) number = number * 256 + data[at + i];
  const size = Math.floor(number / 16) % 2 ** width, stored = Math.floor(number / 2 ** (4 + width));
  at += bytes;
  const last = at + stored;
  if (last > end || size > MAX_BLOCK) fail("literals end early");
  if (type === 2) {
    const [weights, after] = readWeights(data, at, last);
    state.huffman = huffmanTable(weights);
    at = after;
  }
  if (!state.huffman) fail("literals use the code of a block before, and there is none");
  const out = new Uint8Array(size);
  if (format === 0) {
    decodeLiterals(state.huffman, data, at, last, out, 0, size);
  } else {
    if (at + 6 > last) fail("literals end early");
    const share = size + 3 >> 2, begin = [at + 6];
    for (let i = 0; i < 3; i++) begin.push(begin[i] + (data[at + 2 * i] | data[at + 2 * i + 1] << 8));
    if (begin[3] >= last || 3 * share > size) fail("streams of literals are longer than all of them");
    for (let i = 0; i < 4; i++)
      decodeLiterals(state.huffman, data, begin[i], i < 3 ? begin[i + 1] : last, out, i * share, i < 3 ? (i + 1) * share : size);
  }
  return [out, last];
}

function readTables(data, at, end, modes, state) {
  KINDS.forEach((kind, i) => {
    const mode = modes >> 6 - 2 * i & 3;
    if (mode === 0) state.tables[i] = kind.table ??= fseTable(kind.counts, kind.log);
    if (mode === 1) {
      if (at >= end || data[at] >= kind.symbols) fail("a table of one symbol is not right");
      state.tables[i] = { log: 0, symbols: [data[at++]], bits: [0], next: [0] };
    }
    if (mode === 2) [state.tables[i], at] = readFse(data, at, end, kind.mostLog, kind.symbols);
    if (!state.tables[i]) fail("a block uses the table of a block before, and there is none");
  });
  return at;
}

function decodeBlock(data, at, end, out, to, state) {
  const [literals, after] = readLiterals(data, at, end, state);
  let count = data[after], taken = 0;
  at = after + 1;
  if (after >= end) fail("a block ends early");
  if (count >= 128) {
    const wide = count === 255;
    count = wide ? (data[at] | data[at + 1] << 8) + 0x7F00 : (count - 128 << 8) + data[at];
    at += wide ? 2 : 1;
  }
  if (count) {
    if (at >= end || data[at] & 3) fail("the modes of sequences are not right");
    at = readTables(data, at + 1, end, data[at], state);
    const stream = new Backward(data, at, end), [lengths, offsets, matches] = state.tables, recent = state.recent;
    let l = stream.read(lengths.log), o = stream.read(offsets.log), m = stream.read(matches.log);
    for (let i = 0; i < count; i++) {
      const code = offsets.symbols[o], matchCode = matches.symbols[m], lengthCode = lengths.symbols[l];
      if (code > 31) fail("an offset is too large");
      let offset = 2 ** code + stream.read(code);
      const match = MATCH_BASE[matchCode] + stream.read(MATCH_BITS[matchCode]);
      const length = LENGTH_BASE[lengthCode] + stream.read(LENGTH_BITS[lengthCode]);
      if (offset > 3) {
        offset -= 3;
        recent.unshift(offset), recent.pop();
      } else {
        const index = offset - 1 + (length === 0);
        offset = index === 3 ? recent[0] - 1 : recent[index];
        if (index) recent.splice(Math.min(index, 2), 1), recent.unshift(offset);
      }
      if (taken + length > literals.length || to + length + match > out.length || !offset || offset > to + length) fail("a sequence reaches beyond its data");
      for (const stop = to + length; to < stop;) out[to++] = literals[taken++];
      if (offset >= match) out.copyWithin(to, to - offset, to - offset + match), to += match;
      else for (const stop = to + match; to < stop; to++) out[to] = out[to - offset];
      if (i + 1 < count) {
        l = lengths.next[l] + stream.read(lengths.bits[l]);
        m = matches.next[m] + stream.read(matches.bits[m]);
        o = offsets.next[o] + stream.read(offsets.bits[o]);
      }
      if (stream.at < 0) fail("sequences end early");
    }
    if (stream.at) fail("sequences do not end where their bits do");
  } else if (at !== end) fail("bytes follow the literals of a block");
  const rest = literals.length - taken;
  if (to + rest > out.length) fail("a block is longer than the content");
  out.set(literals.subarray(taken), to);
  return to + rest;
}

/** The `size` bytes that a frame decodes to. Throws where it is not one frame of so many bytes. */
export default function decompress(frame, size) {
  const data = frame, flags = data[4], single = flags >> 5 & 1;
  if (data.length < 6 || data[0] !== 0x28 || data[1] !== 0xB5 || data[2] !== 0x2F || data[3] !== 0xFD) fail("this is no frame");
  if (flags & 0x0F) fail("the frame has a dictionary, a checksum or a reserved bit");
  let at = 5, width = [single, 2, 4, 8][flags >> 6], content = 0;
  if (!single) {
    const window = (1 << 10 + Math.min(data[at] >> 3, 20)) * (1 + (data[at] & 7) / 8);
    if (window > MAX_WINDOW) fail("the window is too large");
    at++;
  }
  if (!width || at + width > data.length) fail("the frame does not say its size");
  for (let i = width; i-- > 0;) content = content * 256 + data[at + i];
  if (content + (width === 2 ? 256 : 0) !== size) fail(`the frame has other than ${size} bytes`);
  at += width;
  const out = new Uint8Array(size), state = { huffman: null, tables: [null, null, null], recent: [1, 4, 8] };
  for (let to = 0, last = 0; !last || to !== size || at !== data.length;) {
    if (last || at + 3 > data.length) fail("the frame's blocks are not as long as it says");
    const head = data[at] | data[at + 1] << 8 | data[at + 2] << 16, length = head >> 3, type = head >> 1 & 3;
    last = head & 1;
    at += 3;
    const stored = type === 1 ? 1 : length;
    if (type === 3 || at + stored > data.length || length > MAX_BLOCK) fail("a block is not right");
    if (type !== 2 && to + length > size) fail("a block is longer than the content");
    if (type === 0) out.set(data.subarray(at, at + length), to), to += length;
    if (type === 1) out.fill(data[at], to, to += length);
    if (type === 2) to = decodeBlock(data, at, at + length, out, to, state);
    at += stored;
  }
  return out;
}

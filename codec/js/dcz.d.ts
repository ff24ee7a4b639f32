/** A reader of dcz files (spec/SPEC.md). README.md shows how to use it. */

/** Decodes one zstd frame to exactly `size` bytes; throws or rejects where it does not decode. */
export type Zstd = (frame: Uint8Array, size: number) => Uint8Array | Promise<Uint8Array>;

/** A file of one's own: `read` gives exactly `size` bytes at `offset`; it is never asked for bytes beyond the end. */
export interface Source {
  size: number;
  read(offset: number, size: number): Uint8Array | Promise<Uint8Array>;
}

export interface Options {
  /** What decodes zstd; most files need it. A function runs in this thread, whatever `worker` says. A URL names a
   * module whose default export is such a function, which must not be asynchronous: it runs where tensors are decoded. */
  zstd?: Zstd | string | URL;
  /** Decode in a worker: as a rule where there is `Worker`. A URL names this module for the worker; a function makes
   * a worker of the name that it is given, which imports this module. */
  worker?: boolean | string | URL | ((name: string) => Worker);
  /** The WebAssembly module, or its URL: as a rule `dcz.wasm` beside this module. */
  wasm?: BufferSource | string | URL;
  /** The model to which tensors of the file are differences. */
  base?: Dcz;
  /** Further options of `fetch`, such as headers. */
  fetch?: RequestInit;
}

export type TensorData =
  | Int8Array | Uint8Array | Int16Array | Uint16Array
  | Int32Array | Uint32Array | BigInt64Array | BigUint64Array
  | Float32Array | Float64Array;

/** What a tensor decodes to. C64 and C128 are pairs of floats. F16 is a Float16Array where there is one, else
 * Uint16Array, like BF16; types of 8 bits and fewer that are not integers are Uint8Array: `toFloats` of floats.mjs gives
 * their values. */
export interface Tensor {
  name: string;
  dtype: string;
  /** Lengths; BigInt above 2^53. */
  shape: (number | bigint)[];
  data: TensorData;
}

/** What the index says of a tensor. Numbers are those of SPEC.md sections 3, 4 and 8; BigInt above 2^53. */
export interface Info {
  name: string;
  index: number;
  dtype: string;
  shape: (number | bigint)[];
  words: number;
  /** Bytes of a word. */
  wordSize: number;
  /** Bytes of all words. */
  nbytes: number;
  nonzeros: number;
  /** CRC-32C of the words. */
  crc32c: number;
  /** The number of the tensor that holds the words: its own but for tied tensors. */
  sameAs: number;
  /** 0 all, 1 bitmap, 4, 5, 8, 16 relative indices of so many bits. */
  positions: number;
  /** 0 bytes, 1 byte planes, 2 codebook. */
  values: number;
  /** Weights per chunk, and how many chunks. */
  chunk: number;
  chunks: number;
  entries: number;
  group: number;
  /** Where the tensor's stored bytes begin, and how many they are; of these codebooks and positions. */
  offset: number;
  stored: number;
  storedCodebooks: number;
  storedPositions: number;
  /** Which codes its rows use, added: 1 raw, 2 packed, 4 Huffman, 8 zstd. */
  codes: number;
  /** 0 none, 1 copy, 2 step, 3 xor, 4 replace. */
  transform: number;
  baseName: string;
  metadata: Record<string, unknown>;
  /** What of it is not known here, so that it cannot be decoded: "dtype"; as a rule empty. */
  unsupported: string;
}

export class Dcz {
  /** Opens a file: reads its end, checks its index and nothing more.
   * @throws {DczError} one of the classes below; what `fetch` or `read` throws passes through. */
  static open(from: string | URL | Blob | ArrayBuffer | ArrayBufferView | Source, options?: Options): Promise<Dcz>;

  /** Tensors in the order of the file. */
  readonly tensors: Info[];
  /** Further names of tensors. */
  readonly aliases: { name: string; index: number }[];
  /** All tensors by all of their names. */
  readonly names: Map<string, Info>;
  /** Bytes of the file. */
  readonly size: number;
  readonly metadata: Record<string, unknown>;
  readonly extensions: Record<string, unknown>;
  /** Are some tensors differences to a base? */
  readonly hasBase: boolean;

  /** Decodes a tensor. Each chunk's CRC-32C is verified before. */
  tensor(name: string, options?: { signal?: AbortSignal }): Promise<Tensor>;
  /** The words of a tensor, little-endian, in C order. */
  bytes(name: string, options?: { signal?: AbortSignal }): Promise<Uint8Array>;
  /** The words of `count` chunks from chunk `first` on. */
  chunks(name: string, first: number, count: number): Promise<Uint8Array>;
  /** Decodes a tensor, or all, and checks everything that can be checked without the base. */
  verify(name?: string): Promise<void>;
  /** CRC-32C. */
  crc32c(bytes: Uint8Array): Promise<number>;
  /** Ends the worker; calls that run are rejected. */
  close(): void;
}

/** Base of all errors of this reader; itself for arguments that make no sense, servers that refuse, closed files. */
export class DczError extends Error {}
/** The bytes are not a valid dcz file. */
export class FormatError extends DczError {}
/** Bytes do not match their CRC-32C. */
export class ChecksumError extends DczError {}
/** The file ends early. */
export class TruncatedError extends DczError {}
/** Valid, but not known here: a newer version, a dtype, zstd without a function for it. */
export class UnsupportedError extends DczError {}
/** Larger than a limit, or than memory. */
export class LimitError extends DczError {}
/** The base is missing, or is not the one that the file was made from. */
export class BaseError extends DczError {}

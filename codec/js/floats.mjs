// The values of tensors whose dtypes JavaScript has no arrays for.

// Bits of exponent and of mantissa, the exponent's bias, and how infinities and NaNs are told: as IEEE 754 has them; NaN
// alone, all bits set; NaN alone, where -0 would be; not at all.
const FLOATS = {
  F16: [5, 10, 15, "ieee"], BF16: [8, 7, 127, "ieee"], F8_E5M2: [5, 2, 15, "ieee"], F8_E4M3: [4, 3, 7, "nan"], F8_E4M3FNUZ: [4, 3, 8, "zero"],
  F8_E5M2FNUZ: [5, 2, 16, "zero"], F8_E4M3_IEEE: [4, 3, 7, "ieee"], F8_E3M4: [3, 4, 3, "ieee"], F8_E4M3B11FNUZ: [4, 3, 11, "zero"],
  F4: [2, 1, 1, "none"], F6_E2M3: [2, 3, 1, "none"], F6_E3M2: [3, 2, 3, "none"],
};
const SIGNED = { I4: 4, I2: 2 };

function valueOf(word, [exponentBits, mantissaBits, bias, special]) {
  const most = 2 ** exponentBits - 1, sign = word >> exponentBits + mantissaBits & 1 ? -1 : 1;
  const exponent = word >> mantissaBits & most, mantissa = word & 2 ** mantissaBits - 1;
  if (special === "ieee" && exponent === most) return mantissa ? NaN : sign * Infinity;
  if (special === "nan" && exponent === most && mantissa === 2 ** mantissaBits - 1) return NaN;
  if (special === "zero" && sign < 0 && !exponent && !mantissa) return NaN;
  return sign * (exponent ? 2 ** (exponent - bias) * (1 + mantissa / 2 ** mantissaBits) : 2 ** (1 - bias) * (mantissa / 2 ** mantissaBits));
}

export function toFloats({ dtype, data }) {
  if (data instanceof Float32Array || data instanceof Float64Array) return data;
  if (FLOATS[dtype] && (data instanceof Uint16Array || data instanceof Uint8Array)) {
    const table = Float32Array.from({ length: data instanceof Uint8Array ? 256 : 65536 }, (_, word) => valueOf(word, FLOATS[dtype]));
    return Float32Array.from(data, (word) => table[word]);
  }
  if (dtype === "F8_E8M0") return Float32Array.from(data, (word) => word === 255 ? NaN : 2 ** (word - 127));
  if (SIGNED[dtype]) return Float32Array.from(data, (word) => word << 32 - SIGNED[dtype] >> 32 - SIGNED[dtype]);
  if (dtype === "BOOL") return Float32Array.from(data, (word) => Number(word !== 0));
  if (typeof data[0] === "bigint") return Float64Array.from(data, Number);
  return data.BYTES_PER_ELEMENT === 4 ? Float64Array.from(data) : Float32Array.from(data);
}

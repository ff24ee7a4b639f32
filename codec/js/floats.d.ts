import type { Tensor } from "./dcz.mjs";

/** The values of a tensor as numbers: Float64Array of integers of 32 bits and more and of F64, else Float32Array. C64
 * and C128 give pairs. */
export function toFloats(tensor: Tensor): Float32Array | Float64Array;

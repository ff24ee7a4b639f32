/** The `size` bytes that a zstd frame decodes to. Throws where it is not one frame of so many bytes, without dictionary
 * and checksum and with a window of at most 8 MiB: what dcz files hold. */
export default function decompress(frame: Uint8Array, size: number): Uint8Array;

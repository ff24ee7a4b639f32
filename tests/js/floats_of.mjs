// Given a file: for each tensor, its name and the bytes of its values as float64, in base64.
import { readFileSync } from "node:fs";
import { Dcz } from "../../codec/js/dcz.mjs";
import { toFloats } from "../../codec/js/floats.mjs";
import decompress from "../../codec/js/zstd.mjs";

const path = JSON.parse(readFileSync(0, "utf8"));
const model = await Dcz.open(readFileSync(path), { zstd: decompress, wasm: readFileSync(process.env.DCZ_WASM) });
for (const { name } of model.tensors) {
  const tensor = await model.tensor(name), values = Float64Array.from(toFloats(tensor));
  console.log(JSON.stringify([name, tensor.data.constructor.name, Buffer.from(values.buffer).toString("base64")]));
}

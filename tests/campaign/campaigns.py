"""What there is to run, each a module of this package with a function `run(full, scale, seed)`."""

CAMPAIGNS = {
    "flips": "every bit flipped, every truncation, every byte appended",
    "mutations": "anything changed, all checksums repaired; all readers agree",
    "bombs": "small files that ask for much",
    "kernels": "libFuzzer over the kernels and the C reader, under the sanitizers",
}

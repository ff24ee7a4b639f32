"""What there is to run, each a module of this package with a function `run(full, scale, seed)`."""

CAMPAIGNS = {
    "flips": "every bit flipped, every truncation, every byte appended",
    "mutations": "anything changed, all checksums repaired; all readers agree",
    "bombs": "small files that ask for much",
    "faults": "system calls and allocations that fail, each in turn",
    "kills": "SIGKILL and SIGTERM at random moments of writing",
    "jobs": "workers, schedulers, stores and disks that fail while a job runs on a cluster",
    "handles": "threads, forks, copies and descriptors of readers",
    "generated": "random files of the specification, by all readers",
    "converters": "hostile files of other formats",
    "branches": "every branch of the checks is taken by tests",
    "mutants": "mutation testing of the checks",
    "kernels": "libFuzzer over the kernels and the C reader, under the sanitizers",
}

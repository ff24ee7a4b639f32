"""What makes this process, or a worker that loads it (`--preload`), wait for moments where it would for seconds."""

import s3fs

from dcz.jobs import cluster, tasks

s3fs.S3FileSystem.retries = 2
tasks.WAITS = (0.05, 0.1, 0.2)
cluster.PATIENCE = 3.0

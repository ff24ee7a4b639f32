"""What is measured apart from the contest: memory, stages, Huffman alone, whole processes."""

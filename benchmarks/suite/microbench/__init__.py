"""What is measured apart from the peers: memory, stages, Huffman alone, whole processes."""

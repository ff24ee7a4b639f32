"""safetensors files, read with the interface of a dcz file: whoever switches an import may still hold both kinds."""

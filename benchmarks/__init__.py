"""Measurements of the product; `benchmarks/README.md` says how to read them."""

from infra.embedded.bytecode import keep_bytecode

keep_bytecode()

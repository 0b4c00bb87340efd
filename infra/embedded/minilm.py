"""all-MiniLM-L6-v2 by ONNX Runtime: text in, unit vectors out."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Encoding, Tokenizer

from infra.embedded import carried

# It says too little about its types to be checked.
ort: Any = onnxruntime

DIMENSIONS = 384
MAX_TOKENS = 256
"""What the model was trained on; longer texts are cut there."""
BATCH = 16

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Embedded:
    """One unit vector a text, in the order of the texts, and the tokens that were read for them."""

    vectors: Vectors
    tokens: int


class MiniLm:
    """The model. Vectors are means over the tokens, of length 1, so their dot product is their cosine."""

    def __init__(self, session: Any, tokenizer: Tokenizer) -> None:
        self._session = session
        self._tokenizer = tokenizer

    @classmethod
    def load(cls) -> "MiniLm":
        """Loads the weights, for one thread and as little memory as it takes."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # The arena would keep what the largest batch took, for good.
        options.enable_cpu_mem_arena = False
        session = ort.InferenceSession(
            str(carried.embedding_weights()), options, providers=["CPUExecutionProvider"]
        )
        tokenizer = Tokenizer.from_file(str(carried.embedding_tokenizer()))
        cast(Any, tokenizer).enable_truncation(MAX_TOKENS)
        tokenizer.no_padding()
        return cls(session, tokenizer)

    def embed(self, texts: list[str]) -> Embedded:
        """Embeds the texts, those of like length together, so that little is spent on padding."""
        encodings = self._tokenizer.encode_batch_fast(texts)
        by_length = sorted(range(len(texts)), key=lambda index: len(encodings[index].ids))
        vectors = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        for start in range(0, len(by_length), BATCH):
            chosen = by_length[start : start + BATCH]
            vectors[chosen] = self._embed_batch([encodings[index] for index in chosen])
        return Embedded(vectors, sum(len(encoding.ids) for encoding in encodings))

    def _embed_batch(self, batch: list[Encoding]) -> Vectors:
        shape = (len(batch), max(len(encoding.ids) for encoding in batch))
        ids = np.zeros(shape, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        for row, encoding in enumerate(batch):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        states: Vectors = self._session.run(None, feeds)[0]
        weights = mask[:, :, None].astype(np.float32)
        means: Vectors = (states * weights).sum(axis=1) / weights.sum(axis=1)
        return means / np.linalg.norm(means, axis=1, keepdims=True)

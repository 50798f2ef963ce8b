"""Name every random stream, prove that none depends on another or on order, say the same numbers anywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kagkit.foundation.files import canonical_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def _key_of(names: Sequence[str | int]) -> bytes:
    spelled = [name if isinstance(name, str) else int(name) for name in names]
    return hashlib.sha256(canonical_json(spelled).encode()).digest()


def stream(*names: str | int) -> np.random.Generator:
    """A random stream that belongs to its names alone.

    Asking for a stream changes no other, and the order of asking does not matter, so a sample's
    augmentation named (seed, epoch, key) is the same in any worker and after any restart.
    A text and a number are different names: `stream("1")` is not `stream(1)`.

    Args:
        names: What the stream is for, in any number: "shuffle", a seed, an epoch, a row's key.

    Returns:
        A NumPy generator at the start of its stream; numpy may change how distributions
        draw from it between versions (NEP 19), never the stream of bits itself.

    References:
        Philox: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011; here its
        128-bit key is the first half of the sha256 of the names.

    Example:
        >>> stream("shuffle", 0).permutation(5).tolist() == stream("shuffle", 0).permutation(5).tolist()
        True
    """
    import numpy as np

    return np.random.Generator(np.random.Philox(key=int.from_bytes(_key_of(names)[:16], "little")))


def seed_of(*names: str | int) -> int:
    """A seed that belongs to its names alone, for generators that want one of their own.

    Args:
        names: What the seed is for: "sample", a seed, an epoch, a row's key.

    Returns:
        63 bits, from 0 on: no generator refuses them.

    Example:
        >>> seed_of("sample", 0) == seed_of("sample", 0) != seed_of("sample", "0")
        True
    """
    return int.from_bytes(_key_of(names)[:8], "little") >> 1


def draws(keys: Sequence[str], *names: str | int) -> NDArray[np.float64]:
    """One uniform draw for each key, which depends on that key and the names, not on its position.

    Args:
        keys: (n,) texts, such as the keys of rows.
        names: What the draws are for; other names give other draws.

    Returns:
        (n,) float64 in [0, 1), in the order of `keys`; equal keys have equal draws.

    Example:
        >>> draws(["a", "b"], "smoke").tolist() == draws(["b", "a"], "smoke").tolist()[::-1]
        True
    """
    import numpy as np

    secret = _key_of(names)
    hashed = b"".join(hashlib.blake2b(key.encode(), digest_size=8, key=secret).digest() for key in keys)
    bits = np.frombuffer(hashed, dtype="<u8") >> np.uint64(11)
    return bits.astype(np.float64) * 2.0**-53

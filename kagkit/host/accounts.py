"""Make keys, keep only their digests, and say who sent a request by its Authorization header."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

from kagkit.host.terms import Terms


def new_key() -> str:
    """A key that nobody can guess: 128 random bits in hex, as Kaggle's own are."""
    return secrets.token_hex(16)


def digest_key(key: str) -> str:
    """The sha256 of a key, in hex: all that is kept of it. The key is random, so no salt is needed.

    Example:
        >>> digest_key("abc")[:8]
        'ba7816bf'
    """
    return hashlib.sha256(key.encode()).hexdigest()


def owner_of(terms: Terms, key: str) -> str | None:
    """The participant whose key this is; None where it is nobody's."""
    digest = digest_key(key)
    owners = [
        user for user, them in terms.participants.items() if hmac.compare_digest(them.key_sha256, digest)
    ]
    return owners[0] if owners else None


def sender_of(terms: Terms, header: str) -> str | None:
    """Who sent a request: Basic with user name and key, or Bearer with the key; None where nobody known did.

    Args:
        terms: The competition, which knows its participants.
        header: The Authorization header.
    """
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return owner_of(terms, value.strip())
    user, key = read_basic(header)
    return user if user and owner_of(terms, key) == user else None


def read_basic(header: str) -> tuple[str, str]:
    """User name and password of a Basic header; two empty texts where it is none."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password
